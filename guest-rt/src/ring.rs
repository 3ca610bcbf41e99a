//! The ring of the producer-consumer exchange, as a guest sees it: a mailbox that the host fills
//! before each turn and reads after it. It is for guests of `run prodcons`; for messages of any other kind there
//! is [`mailbox`](mod@crate::mailbox).
//!
//! ```ignore
//! let mut mailbox = RingMailbox::attach();
//! loop {
//!     let mut turn = mailbox.turn();
//!     while let Some(item) = turn.take() {
//!         // ...
//!     }
//!     turn.end();
//! }
//! ```
//!
//! One exit to attach, one a turn.

use core::mem::offset_of;

use guest_abi::{
    digest::Digest,
    mailbox::{Mailbox, Quota},
    ring::{Full, MAX_CAPACITY, Pointers},
};
use rand_core::Rng;

use crate::{entropy::Below, hypercall, mailbox, volatile::Volatile};

/// A [`Mailbox`] whose every field is shared with the host.
#[repr(C)]
struct Shared {
    quota: Volatile<u32>,
    digest: Volatile<Digest>,
    pointers: Volatile<Pointers>,
    slots: [Volatile<u32>; MAX_CAPACITY as usize],
}

const _: () = assert!(size_of::<Shared>() == size_of::<Mailbox>());
const _: () = assert!(offset_of!(Shared, quota) == offset_of!(Mailbox, quota));
const _: () = assert!(offset_of!(Shared, digest) == offset_of!(Mailbox, digest));
const _: () = assert!(offset_of!(Shared, pointers) == offset_of!(Mailbox, pointers));
const _: () = assert!(offset_of!(Shared, slots) == offset_of!(Mailbox, slots));

/// The mailbox. Only the [`RingMailbox`] that attached it touches it, and the host while the
/// guest is stopped.
static MAILBOX: Shared = Shared {
    quota: Volatile::new(0),
    digest: Volatile::new(Digest { items: 0, hash: 0 }),
    pointers: Volatile::new(Pointers { capacity: 0, prod_p: 0, cons_p: 0, count: 0 }),
    slots: [const { Volatile::new(0) }; MAX_CAPACITY as usize],
};

/// This guest's mailbox, which the host knows of.
pub struct RingMailbox {
    account: Digest,
}

impl RingMailbox {
    /// Tells the host where the mailbox is; returns when this guest's first turn has begun.
    ///
    /// # Panics
    ///
    /// If this guest has attached a mailbox before: it has one.
    pub fn attach() -> Self {
        // SAFETY: all fields of MAILBOX are volatile.
        unsafe { mailbox::attach(&MAILBOX) };
        Self { account: Digest::EMPTY }
    }

    /// The turn that has begun.
    pub fn turn(&mut self) -> Turn<'_> {
        Turn { pointers: self.pointers(), mailbox: self }
    }

    /// How many items this turn is to move.
    pub fn quota(&self) -> Quota {
        Quota::decode(MAILBOX.quota.get())
    }

    /// Where the ring in the mailbox stands.
    pub fn pointers(&self) -> Pointers {
        MAILBOX.pointers.get()
    }

    /// Sets where the ring in the mailbox stands. The host checks it after the turn.
    pub fn set_pointers(&mut self, pointers: Pointers) {
        MAILBOX.pointers.set(pointers);
    }

    /// The item in a slot.
    ///
    /// # Panics
    ///
    /// If there is no such slot.
    pub fn slot(&self, slot: u32) -> u32 {
        MAILBOX.slots[slot as usize].get()
    }

    /// Puts an item into a slot. The host checks it after the turn.
    ///
    /// # Panics
    ///
    /// If there is no such slot.
    pub fn set_slot(&mut self, slot: u32, item: u32) {
        MAILBOX.slots[slot as usize].set(item);
    }

    /// Counts an item into the account of what this guest moved, which the host compares with
    /// its own after each turn.
    pub fn count(&mut self, item: u32) {
        self.account = self.account.with(item);
    }

    /// Replaces the account of what this guest moved.
    pub fn set_account(&mut self, account: Digest) {
        self.account = account;
    }

    /// Leaves the account in the mailbox and ends the turn; returns when the next has begun.
    pub fn end_turn(&mut self) {
        MAILBOX.digest.set(self.account);
        hypercall::end_turn();
    }
}

/// One turn: the ring's operations, on the mailbox.
pub struct Turn<'a> {
    mailbox: &'a mut RingMailbox,
    pointers: Pointers,
}

impl Turn<'_> {
    /// The number of items in the ring.
    pub fn count(&self) -> u32 {
        self.pointers.count
    }

    /// The number of items that the ring has room for.
    pub fn free(&self) -> u32 {
        self.pointers.free()
    }

    /// How many of the `possible` items this turn is to move: as many as it was told to, or a
    /// random number from none to all.
    pub fn share(&self, possible: u32, random: &mut impl Rng) -> u32 {
        match self.mailbox.quota() {
            Quota::Random => random.below(possible + 1),
            Quota::Items(items) => items.min(possible),
        }
    }

    /// Where the ring stands by now, to be changed otherwise than by pushing and taking. The host
    /// checks it after the turn.
    pub fn pointers_mut(&mut self) -> &mut Pointers {
        &mut self.pointers
    }

    /// Appends an item.
    ///
    /// # Errors
    ///
    /// [`Full`] if the ring has no room; nothing has changed.
    pub fn push(&mut self, item: u32) -> Result<(), Full> {
        let slot = self.pointers.push().ok_or(Full)?;
        self.mailbox.set_slot(slot, item);
        self.mailbox.count(item);
        Ok(())
    }

    /// Takes the item at the front, if there is one.
    pub fn take(&mut self) -> Option<u32> {
        let item = self.mailbox.slot(self.pointers.take()?);
        self.mailbox.count(item);
        Some(item)
    }

    /// Ends the turn; returns when this guest's next turn has begun.
    pub fn end(self) {
        self.mailbox.set_pointers(self.pointers);
        self.mailbox.end_turn();
    }
}
