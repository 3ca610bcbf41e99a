//! The ring of the producer-consumer exchange, as a guest sees it: a mailbox that the host fills
//! before each turn and reads after it.
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

use core::sync::atomic::{AtomicBool, Ordering};

use guest_abi::{
    block::MailboxAttach,
    digest::Digest,
    mailbox::{Mailbox, Quota},
    ring::{Full, MAX_CAPACITY, Pointers},
};
use rand_core::Rng;

use crate::{
    entropy::Below,
    hypercall,
    volatile::{self, Shared},
};

/// The mailbox. Only the [`RingMailbox`] that attached it touches it, and the host while the
/// guest is stopped.
static MAILBOX: Shared<Mailbox> = Shared::new(Mailbox::VOID);

static ATTACHED: AtomicBool = AtomicBool::new(false);

/// This guest's mailbox, which the host knows of.
pub struct RingMailbox {
    account: Digest,
}

impl RingMailbox {
    /// Tells the host where the mailbox is; returns when this guest's first turn has begun.
    ///
    /// # Panics
    ///
    /// If called twice: a guest has one mailbox.
    pub fn attach() -> Self {
        assert!(!ATTACHED.swap(true, Ordering::Relaxed), "the mailbox is attached already");
        #[expect(clippy::cast_possible_truncation, reason = "guest memory ends below 4 GiB")]
        let (address, size) = (MAILBOX.get().addr() as u32, size_of::<Mailbox>() as u32);
        hypercall::mailbox_attach(MailboxAttach { address, size });
        Self { account: Digest::EMPTY }
    }

    /// The turn that has begun.
    pub fn turn(&mut self) -> Turn<'_> {
        Turn { pointers: self.pointers(), mailbox: self }
    }

    /// How many items this turn is to move.
    pub fn quota(&self) -> Quota {
        // SAFETY: MAILBOX is a live static; `self` is its only user.
        Quota::decode(unsafe { volatile::read(&raw const (*MAILBOX.get()).quota) })
    }

    /// Where the ring in the mailbox stands.
    pub fn pointers(&self) -> Pointers {
        // SAFETY: MAILBOX is a live static; `self` is its only user.
        unsafe { volatile::read(&raw const (*MAILBOX.get()).pointers) }
    }

    /// Sets where the ring in the mailbox stands. The host checks it after the turn.
    pub fn set_pointers(&mut self, pointers: Pointers) {
        // SAFETY: MAILBOX is a live static; `self` is its only user.
        unsafe { volatile::write(&raw mut (*MAILBOX.get()).pointers, pointers) }
    }

    /// The item in a slot.
    ///
    /// # Panics
    ///
    /// If there is no such slot.
    pub fn slot(&self, slot: u32) -> u32 {
        // SAFETY: MAILBOX is a live static and the slot is checked; `self` is its only user.
        unsafe { volatile::read(slot_address(slot)) }
    }

    /// Puts an item into a slot. The host checks it after the turn.
    ///
    /// # Panics
    ///
    /// If there is no such slot.
    pub fn set_slot(&mut self, slot: u32, item: u32) {
        // SAFETY: MAILBOX is a live static and the slot is checked; `self` is its only user.
        unsafe { volatile::write(slot_address(slot), item) }
    }

    /// Counts an item into the account of what this guest moved, which the host compares with
    /// its own after each turn.
    pub fn count(&mut self, item: u32) {
        self.account = self.account.with(item);
    }

    /// Leaves the account in the mailbox and ends the turn; returns when the next has begun.
    pub fn end_turn(&mut self) {
        // SAFETY: MAILBOX is a live static; `self` is its only user.
        unsafe { volatile::write(&raw mut (*MAILBOX.get()).digest, self.account) };
        hypercall::end_turn();
    }
}

/// The address of a slot that there is.
fn slot_address(slot: u32) -> *mut u32 {
    assert!(slot < MAX_CAPACITY, "the ring has no slot {slot}");
    // SAFETY: MAILBOX is a live static, and the slot lies in it.
    unsafe { (&raw mut (*MAILBOX.get()).slots).cast::<u32>().add(slot as usize) }
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
