//! The ring of the producer-consumer exchange, as a guest sees it: a mailbox that the host fills
//! before each turn and reads after it. It is for guests of `run prodcons`; for messages of any other kind there
//! is [`mailbox`](mod@crate::mailbox).
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
    digest: SharedDigest,
    pointers: SharedPointers,
    slots: [Volatile<u32>; MAX_CAPACITY as usize],
}

/// A [`Digest`], its parts each by itself.
#[repr(C)]
struct SharedDigest {
    items: Volatile<u32>,
    hash: Volatile<u32>,
}

/// [`Pointers`], each by itself: whole, they would go through a copy on the stack.
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

/// The mailbox. Only the [`RingMailbox`] that attached it touches it, and the host while the
/// guest is stopped.
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

/// This guest's mailbox, which the host knows of.
pub struct RingMailbox {
    /// The account of what this guest moved.
    account: Account,
}

/// A [`Digest`] whose number of items stays in memory: it changes once a turn, and the CPU has few registers.
struct Account {
    items: Volatile<u32>,
    hash: u32,
}

impl Account {
    fn new(digest: Digest) -> Self {
        Self { items: Volatile::new(digest.items), hash: digest.hash }
    }

    /// Adds items, with which the hash is this.
    fn add(&mut self, items: u32, hash: u32) {
        self.items.set(self.items.get().wrapping_add(items));
        self.hash = hash;
    }
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
        Self { account: Account::new(Digest::EMPTY) }
    }

    /// The turn that has begun.
    pub fn turn(&mut self) -> Turn<'_> {
        Turn { mailbox: self }
    }

    /// How many items this turn is to move.
    pub fn quota(&self) -> Quota {
        Quota::decode(MAILBOX.quota.get())
    }

    /// Where the ring in the mailbox stands.
    pub fn pointers(&self) -> Pointers {
        let SharedPointers { capacity, prod_p, cons_p, count } = &MAILBOX.pointers;
        Pointers { capacity: capacity.get(), prod_p: prod_p.get(), cons_p: cons_p.get(), count: count.get() }
    }

    /// Sets where the ring in the mailbox stands. The host checks it after the turn.
    pub fn set_pointers(&mut self, pointers: Pointers) {
        MAILBOX.pointers.capacity.set(pointers.capacity);
        MAILBOX.pointers.prod_p.set(pointers.prod_p);
        MAILBOX.pointers.cons_p.set(pointers.cons_p);
        MAILBOX.pointers.count.set(pointers.count);
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
        self.account.add(1, Digest::mix(self.account.hash, item));
    }

    /// Replaces the account of what this guest moved.
    pub fn set_account(&mut self, account: Digest) {
        self.account = Account::new(account);
    }

    /// Leaves the account in the mailbox and ends the turn; returns when the next has begun.
    pub fn end_turn(&mut self) {
        MAILBOX.digest.items.set(self.account.items.get());
        MAILBOX.digest.hash.set(self.account.hash);
        hypercall::end_turn();
    }
}

/// One turn: the ring's operations, on the mailbox.
pub struct Turn<'a> {
    mailbox: &'a mut RingMailbox,
}

impl Turn<'_> {
    /// The number of items in the ring.
    pub fn count(&self) -> u32 {
        MAILBOX.pointers.count.get()
    }

    /// The number of items that the ring has room for: none where this turn has pushed too many.
    pub fn free(&self) -> u32 {
        MAILBOX.pointers.capacity.get().saturating_sub(self.count())
    }

    /// How many of the `possible` items this turn is to move: as many as it was told to, or a
    /// random number from none to all.
    pub fn share(&self, possible: u32, random: &mut impl Rng) -> u32 {
        match self.mailbox.quota() {
            // A ring has fewer slots than would make it wrap.
            Quota::Random => random.below(possible.wrapping_add(1)),
            Quota::Items(items) => items.min(possible),
        }
    }

    /// Where the ring stands by now.
    pub fn pointers(&self) -> Pointers {
        self.mailbox.pointers()
    }

    /// Sets where the ring stands, otherwise than by pushing and taking. The host checks it after the
    /// turn.
    pub fn set_pointers(&mut self, pointers: Pointers) {
        self.mailbox.set_pointers(pointers);
    }

    /// Appends an item.
    ///
    /// # Errors
    ///
    /// [`Full`] if the ring has no room; nothing has changed.
    pub fn push(&mut self, item: u32) -> Result<(), Full> {
        if self.free() == 0 {
            return Err(Full);
        }
        self.push_each(1, || item);
        Ok(())
    }

    /// Takes the item at the front, if there is one.
    pub fn take(&mut self) -> Option<u32> {
        let mut taken = None;
        if self.count() > 0 {
            self.take_each(1, |item| taken = Some(item));
        }
        taken
    }

    /// Appends this many items, each as `make` makes it. There must be room for them: the host checks it
    /// after the turn.
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
        // It may wrap: the host is the one to say that the ring had no room.
        count.set(count.get().wrapping_add(items));
        self.mailbox.account.add(items, hash);
    }

    /// Takes this many items from the front and hands each to `with`. There must be so many: the host
    /// checks it after the turn.
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
        // It may wrap: the host is the one to say that there were not so many.
        count.set(count.get().wrapping_sub(items));
        self.mailbox.account.add(items, hash);
    }

    /// Ends the turn; returns when this guest's next turn has begun.
    pub fn end(self) {
        self.mailbox.end_turn();
    }
}

/// Goes through this many slots of a ring, from slot `first` on and round, and returns the slot behind them.
fn go_round(capacity: u32, first: u32, items: u32, mut with: impl FnMut(&Volatile<u32>)) -> u32 {
    assert!(first < capacity && capacity <= MAX_CAPACITY, "the ring's pointers are not in it");
    let mut slot = first;
    for _ in 0..items {
        // SAFETY: slots are MAX_CAPACITY, and `slot` is below the capacity, which does not exceed that: it was so
        // at first, and where the next one is not it becomes 0. (The compiler does not see it, and a check an item
        // is a tenth of what a consumer does.)
        with(unsafe { MAILBOX.slots.get_unchecked(slot as usize) });
        // It does not wrap, and a check would cost an instruction an item.
        slot = slot.wrapping_add(1);
        slot = if slot == capacity { 0 } else { slot };
    }
    slot
}
