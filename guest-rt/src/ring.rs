//! The ring of the producer-consumer exchange, for guests: a mailbox that the
//! host fills before each turn and reads after it. Guests of `run prodcons`
//! use it. For all other messages use [`mailbox`](mod@crate::mailbox).
//!
//! ```ignore
//! let mut mailbox = RingMailbox::attach();
//! loop {
//!     let mut turn = mailbox.turn();
//!     turn.take_each(turn.count(), |item| {
//!         // ...
//!     });
//!     turn.end();
//! }
//! ```
//!
//! Cost: one exit to attach, and one per turn.

use core::mem::offset_of;

use guest_abi::{
    digest::Digest,
    mailbox::Mailbox,
    ring::{Full, MAX_CAPACITY},
};
pub use guest_abi::{mailbox::Quota, ring::Pointers};
use rand_core::Rng;

use crate::{entropy::Below, hypercall, mailbox, volatile::Volatile};

/// A [`Mailbox`] in which every field is shared with the host.
#[repr(C)]
struct Shared {
    quota: Volatile<u32>,
    digest: SharedDigest,
    pointers: SharedPointers,
    slots: [Volatile<u32>; MAX_CAPACITY as usize],
}

/// A [`Digest`] with a separate shared value for each field.
#[repr(C)]
struct SharedDigest {
    items: Volatile<u32>,
    hash: Volatile<u32>,
}

/// [`Pointers`] with a separate shared value for each: read as a whole, they would need a copy on the stack.
#[repr(C)]
struct SharedPointers {
    capacity: Volatile<u32>,
    prod_p: Volatile<u32>,
    cons_p: Volatile<u32>,
    count: Volatile<u32>,
}

const _: () = assert!(size_of::<Shared>() == size_of::<Mailbox>());
const _: () = assert!(offset_of!(Shared, quota) == offset_of!(Mailbox, quota));
const _: () = assert!(offset_of!(Shared, digest) == offset_of!(Mailbox, digest));
const _: () = assert!(offset_of!(Shared, pointers) == offset_of!(Mailbox, pointers));
const _: () = assert!(offset_of!(Shared, slots) == offset_of!(Mailbox, slots));
const _: () = assert!(size_of::<SharedPointers>() == size_of::<Pointers>());
const _: () = assert!(offset_of!(SharedPointers, capacity) == offset_of!(Pointers, capacity));
const _: () = assert!(offset_of!(SharedPointers, prod_p) == offset_of!(Pointers, prod_p));
const _: () = assert!(offset_of!(SharedPointers, cons_p) == offset_of!(Pointers, cons_p));
const _: () = assert!(offset_of!(SharedPointers, count) == offset_of!(Pointers, count));

/// The mailbox. Only the attached [`RingMailbox`]
/// accesses it, and the host while the guest is stopped.
static MAILBOX: Shared = Shared {
    quota: Volatile::new(0),
    digest: SharedDigest { items: Volatile::new(0), hash: Volatile::new(0) },
    pointers: SharedPointers {
        capacity: Volatile::new(0),
        prod_p: Volatile::new(0),
        cons_p: Volatile::new(0),
        count: Volatile::new(0),
    },
    slots: [const { Volatile::new(0) }; MAX_CAPACITY as usize],
};

/// This guest's mailbox, registered with the host.
pub struct RingMailbox {
    /// The account of the items that this guest moved.
    account: Account,
}

/// A [`Digest`] with the number of items in memory: it changes once per turn, and the CPU has few registers.
struct Account {
    items: Volatile<u32>,
    hash: u32,
}

impl Account {
    fn new(digest: Digest) -> Self {
        Self { items: Volatile::new(digest.items), hash: digest.hash }
    }

    /// Adds a number of items, and sets the new hash.
    fn add(&mut self, items: u32, hash: u32) {
        self.items.set(self.items.get().wrapping_add(items));
        self.hash = hash;
    }
}

impl RingMailbox {
    /// Registers the mailbox with the host; returns when this guest's first turn has begun.
    ///
    /// # Panics
    ///
    /// If this guest has already attached a mailbox.
    pub fn attach() -> Self {
        // SAFETY: all fields of MAILBOX are volatile.
        unsafe { mailbox::attach(&MAILBOX) };
        Self { account: Account::new(Digest::EMPTY) }
    }

    /// Returns the current turn.
    pub fn turn(&mut self) -> Turn<'_> {
        Turn { mailbox: self }
    }

    /// Returns the number of items that this turn must move.
    pub fn quota(&self) -> Quota {
        Quota::decode(MAILBOX.quota.get())
    }

    /// Returns the pointers of the ring in the mailbox.
    pub fn pointers(&self) -> Pointers {
        let SharedPointers { capacity, prod_p, cons_p, count } = &MAILBOX.pointers;
        Pointers { capacity: capacity.get(), prod_p: prod_p.get(), cons_p: cons_p.get(), count: count.get() }
    }

    /// Sets the pointers of the ring in the mailbox. The host checks them after the turn.
    pub fn set_pointers(&mut self, pointers: Pointers) {
        MAILBOX.pointers.capacity.set(pointers.capacity);
        MAILBOX.pointers.prod_p.set(pointers.prod_p);
        MAILBOX.pointers.cons_p.set(pointers.cons_p);
        MAILBOX.pointers.count.set(pointers.count);
    }

    /// Returns the item in a slot.
    ///
    /// # Panics
    ///
    /// If the slot does not exist.
    pub fn slot(&self, slot: u32) -> u32 {
        MAILBOX.slots[slot as usize].get()
    }

    /// Writes an item into a slot. The host checks it after the turn.
    ///
    /// # Panics
    ///
    /// If the slot does not exist.
    pub fn set_slot(&mut self, slot: u32, item: u32) {
        MAILBOX.slots[slot as usize].set(item);
    }

    /// Adds an item to the account of the items that this guest moved.
    /// The host compares it with its own account after each turn.
    pub fn count(&mut self, item: u32) {
        self.account.add(1, Digest::mix(self.account.hash, item));
    }

    /// Replaces the account of the items that this guest moved.
    pub fn set_account(&mut self, account: Digest) {
        self.account = Account::new(account);
    }

    /// Writes the account into the mailbox and ends the turn; returns when the next turn has begun.
    pub fn end_turn(&mut self) {
        MAILBOX.digest.items.set(self.account.items.get());
        MAILBOX.digest.hash.set(self.account.hash);
        hypercall::end_turn();
    }
}

/// One turn: the operations on the ring in the mailbox.
pub struct Turn<'a> {
    mailbox: &'a mut RingMailbox,
}

impl Turn<'_> {
    /// Returns the number of items in the ring.
    pub fn count(&self) -> u32 {
        MAILBOX.pointers.count.get()
    }

    /// Returns the number of free slots, or 0 if this turn has pushed too many items.
    pub fn free(&self) -> u32 {
        MAILBOX.pointers.capacity.get().saturating_sub(self.count())
    }

    /// Returns the share of the `possible` items to move in this turn:
    /// the fixed number of its quota, or a random number from 0 to all.
    pub fn share(&self, possible: u32, random: &mut impl Rng) -> u32 {
        match self.mailbox.quota() {
            // The sum cannot wrap, because a ring has few slots; a check would cost an instruction.
            Quota::Random => random.below(possible.wrapping_add(1)),
            Quota::Items(items) => items.min(possible),
        }
    }

    /// Returns the ring's current pointers.
    pub fn pointers(&self) -> Pointers {
        self.mailbox.pointers()
    }

    /// Sets the ring's pointers directly, without pushing
    /// or taking. The host checks them after the turn.
    pub fn set_pointers(&mut self, pointers: Pointers) {
        self.mailbox.set_pointers(pointers);
    }

    /// Appends an item.
    ///
    /// # Errors
    ///
    /// [`Full`] if the ring has no free slot; nothing has changed.
    pub fn push(&mut self, item: u32) -> Result<(), Full> {
        if self.free() == 0 {
            return Err(Full);
        }
        self.push_each(1, || item);
        Ok(())
    }

    /// Takes the item at the front, if the ring has one.
    pub fn take(&mut self) -> Option<u32> {
        let mut taken = None;
        if self.count() > 0 {
            self.take_each(1, |item| taken = Some(item));
        }
        taken
    }

    /// Appends this many items from `make`. The ring must
    /// have room for them: the host checks it after the turn.
    pub fn push_each(&mut self, items: u32, mut make: impl FnMut() -> u32) {
        if items == 0 {
            return;
        }
        let SharedPointers { capacity, prod_p, count, .. } = &MAILBOX.pointers;
        let mut hash = self.mailbox.account.hash;
        let next = go_round(capacity.get(), prod_p.get(), items, |slot| {
            let item = make();
            slot.set(item);
            hash = Digest::mix(hash, item);
        });
        prod_p.set(next);
        // The count may wrap: the host reports that the ring had no room.
        count.set(count.get().wrapping_add(items));
        self.mailbox.account.add(items, hash);
    }

    /// Takes this many items from the front and passes each to `with`.
    /// The ring must have so many: the host checks it after the turn.
    pub fn take_each(&mut self, items: u32, mut with: impl FnMut(u32)) {
        if items == 0 {
            return;
        }
        let SharedPointers { capacity, cons_p, count, .. } = &MAILBOX.pointers;
        let mut hash = self.mailbox.account.hash;
        let next = go_round(capacity.get(), cons_p.get(), items, |slot| {
            let item = slot.get();
            with(item);
            hash = Digest::mix(hash, item);
        });
        cons_p.set(next);
        // The count may wrap: the host reports that the ring had fewer items.
        count.set(count.get().wrapping_sub(items));
        self.mailbox.account.add(items, hash);
    }

    /// Ends the turn; returns when this guest's next turn has begun.
    pub fn end(self) {
        self.mailbox.end_turn();
    }
}

/// Visits this many slots of a ring, from slot `first` on, and returns the slot after the last one.
fn go_round(capacity: u32, first: u32, items: u32, mut with: impl FnMut(&Volatile<u32>)) -> u32 {
    assert!(first < capacity && capacity <= MAX_CAPACITY, "the ring's pointers are not in it");
    let mut slot = first;
    for _ in 0..items {
        // SAFETY: there are MAX_CAPACITY slots, and the capacity does not exceed that. `slot` is below the
        // capacity: the first one was checked above, and the code below resets it to 0 at the capacity.
        // (The compiler cannot see this, and a check per item would be a tenth of a consumer's work.)
        with(unsafe { MAILBOX.slots.get_unchecked(slot as usize) });
        // The addition cannot wrap, and a check would cost an instruction per item.
        slot = slot.wrapping_add(1);
        slot = if slot == capacity { 0 } else { slot };
    }
    slot
}
