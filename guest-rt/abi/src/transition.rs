//! The check of a guest's changes to the ring in one turn.
//!
//! A producer may only append, and a consumer may only take from the front. Pointers,
//! count, untouched slots and the guest's digest must agree. A fixed quota is an order:
//! the guest must move exactly that many items, or as many as the ring allows. The host
//! applies a valid turn to its ring with its own operations, using only the moved items.

use core::{fmt, ops::Deref};

use crate::{
    digest::Digest,
    mailbox::{Mailbox, Quota},
    ring::{Pointers, Ring, Slots},
};

/// The role of a guest at the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Appends items.
    Producer,
    /// Takes items from the front.
    Consumer,
}

impl Role {
    /// Returns the role's name in transcripts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }

    /// Returns the most items that this role can move in one turn: the free slots, or the items in the ring.
    pub const fn possible(self, ring: Pointers) -> u32 {
        match self {
            Self::Producer => ring.free(),
            Self::Consumer => ring.count,
        }
    }
}

/// The items moved in one turn, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Items {
    slots: Slots,
    len: usize,
}

impl Items {
    /// Copies `len` items of `slots`, from slot `first` on, wrapping around at `capacity`.
    fn from_ring(slots: &Slots, first: u32, len: u32, capacity: u32) -> Self {
        let mut items = Self { slots: [0; _], len: len as usize };
        let mut slot = first;
        for item in &mut items.slots[..len as usize] {
            *item = slots[slot as usize];
            slot = if slot + 1 == capacity { 0 } else { slot + 1 };
        }
        items
    }
}

impl Deref for Items {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        &self.slots[..self.len]
    }
}

/// A rule that a guest broke, with the guest's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The guest changed the capacity.
    Capacity {
        /// The capacity that the guest left.
        claimed: u32,
    },
    /// A pointer lies outside the ring.
    PointerRange {
        /// The pointer's name.
        pointer: &'static str,
        /// Its value.
        claimed: u32,
    },
    /// The count exceeds the number of slots.
    CountRange {
        /// The count that the guest left.
        claimed: u32,
    },
    /// The guest moved the other side's pointer.
    ForeignPointer {
        /// The pointer's name.
        pointer: &'static str,
        /// Its value.
        claimed: u32,
    },
    /// The count changed in the wrong direction: it fell for a producer or rose for a consumer.
    CountDirection {
        /// The count that the guest left.
        claimed: u32,
    },
    /// The guest's own pointer did not move as far as the count did.
    CountPointer {
        /// The count that the guest left.
        count: u32,
        /// The guest's own pointer after the turn.
        pointer: u32,
        /// The pointer that belongs to this count.
        expected: u32,
    },
    /// The guest changed a slot that it must not write.
    Slot {
        /// The slot.
        slot: u32,
        /// The slot's value after the turn.
        claimed: u32,
    },
    /// The guest's digest of its items differs from the host's.
    Digest {
        /// The guest's digest.
        claimed: Digest,
        /// The host's digest.
        expected: Digest,
    },
    /// The turn had a fixed quota, and the guest moved another number.
    Quota {
        /// The guest's side.
        role: Role,
        /// The turn's quota.
        ordered: u32,
        /// The most items that the ring allowed.
        possible: u32,
        /// The number of items that the guest moved.
        moved: u32,
    },
}

impl Violation {
    /// Returns the rule's name, for reports and for programs.
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Capacity { .. } => "capacity",
            Self::PointerRange { .. } => "pointer-range",
            Self::CountRange { .. } => "count-range",
            Self::ForeignPointer { .. } => "foreign-pointer",
            Self::CountDirection { .. } => "count-direction",
            Self::CountPointer { .. } => "count-pointer",
            Self::Slot { .. } => "slot",
            Self::Digest { .. } => "digest",
            Self::Quota { .. } => "quota",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Capacity { claimed } => write!(f, "a guest may not change the capacity, it left {claimed}"),
            Self::PointerRange { pointer, claimed } => {
                write!(f, "{pointer} must lie in the ring, it is {claimed}")
            }
            Self::CountRange { claimed } => write!(f, "count must not exceed the capacity, it is {claimed}"),
            Self::ForeignPointer { pointer, claimed } => {
                write!(f, "{pointer} is the other side's to move, it was set to {claimed}")
            }
            Self::CountDirection { claimed } => {
                write!(f, "a producer's count may only rise and a consumer's only fall, it is {claimed}")
            }
            Self::CountPointer { count, pointer, expected } => write!(
                f,
                "the pointer must move as far as the count: for count={count} it belongs at {expected}, it is {pointer}"
            ),
            Self::Slot { slot, claimed } => {
                write!(f, "slot {slot} was not this guest's to write, it holds {claimed}")
            }
            Self::Digest { claimed, expected } => write!(
                f,
                "the guest's account of its items ({} items, {:08x}) is not the host's ({} items, {:08x})",
                claimed.items, claimed.hash, expected.items, expected.hash
            ),
            Self::Quota { role, ordered, possible, moved } => {
                let (order, room) = match role {
                    Role::Producer => ("add", "the ring had room for"),
                    Role::Consumer => ("take", "the ring held"),
                };
                let due = ordered.min(possible);
                write!(
                    f,
                    "the turn was told to {order} {ordered} and {room} {possible}: {due} had to move, {moved} moved"
                )
            }
        }
    }
}

/// Checks the mailbox of a guest after one turn.
///
/// `quota` is the turn's quota, and `before` is the host's ring at the
/// beginning of the turn, which the mailbox held then. `account` is the
/// host's digest of all items that this guest moved in earlier turns.
///
/// # Errors
///
/// The first broken rule. The caller must not adopt any part of the claim then.
pub fn check(
    role: Role,
    quota: Quota,
    before: &Ring,
    claim: &Mailbox,
    account: Digest,
) -> Result<Items, Violation> {
    let old = before.pointers();
    check_ranges(old.capacity, &claim.pointers)?;
    let moved = check_pointers(role, &old, &claim.pointers)?;
    let items = match role {
        Role::Producer => Items::from_ring(&claim.slots, old.prod_p, moved, old.capacity),
        Role::Consumer => Items::from_ring(before.slots(), old.cons_p, moved, old.capacity),
    };
    check_slots(role, before, &claim.slots, moved)?;
    let expected = account.with_all(&items);
    if claim.digest != expected {
        return Err(Violation::Digest { claimed: claim.digest, expected });
    }
    // Last, because the other rules explain more than a wrong number does.
    check_quota(role, quota, role.possible(old), moved)?;
    Ok(items)
}

/// Moves the items of a checked turn into or out of the host's ring.
///
/// # Errors
///
/// If the ring cannot take or give the items: they were checked against another ring.
pub fn adopt(role: Role, ring: &mut Ring, items: &Items) -> Result<(), Mismatch> {
    for &item in items.iter() {
        match role {
            Role::Producer => ring.push(item).map_err(|_| Mismatch)?,
            Role::Consumer if ring.take() == Some(item) => {}
            Role::Consumer => return Err(Mismatch),
        }
    }
    Ok(())
}

/// The error for items that were checked against another ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch;

/// Checks each number: the capacity must be unchanged, pointers and count must be in range.
fn check_ranges(capacity: u32, new: &Pointers) -> Result<(), Violation> {
    if new.capacity != capacity {
        return Err(Violation::Capacity { claimed: new.capacity });
    }
    for (pointer, claimed) in [("prod_p", new.prod_p), ("cons_p", new.cons_p)] {
        if claimed >= capacity {
            return Err(Violation::PointerRange { pointer, claimed });
        }
    }
    if new.count > capacity {
        return Err(Violation::CountRange { claimed: new.count });
    }
    Ok(())
}

/// Checks the numbers against each other, and returns the number of moved items.
fn check_pointers(role: Role, old: &Pointers, new: &Pointers) -> Result<u32, Violation> {
    let (own_old, own_new, foreign, foreign_old, foreign_new, moved) = match role {
        Role::Producer => {
            (old.prod_p, new.prod_p, "cons_p", old.cons_p, new.cons_p, new.count.checked_sub(old.count))
        }
        Role::Consumer => {
            (old.cons_p, new.cons_p, "prod_p", old.prod_p, new.prod_p, old.count.checked_sub(new.count))
        }
    };
    if foreign_new != foreign_old {
        return Err(Violation::ForeignPointer { pointer: foreign, claimed: foreign_new });
    }
    let moved = moved.ok_or(Violation::CountDirection { claimed: new.count })?;
    let expected = (own_old + moved) % old.capacity;
    if own_new != expected {
        return Err(Violation::CountPointer { count: new.count, pointer: own_new, expected });
    }
    Ok(moved)
}

/// Checks a fixed quota, as far as the ring allows. `quota` is the host's own copy, not the mailbox's.
fn check_quota(role: Role, quota: Quota, possible: u32, moved: u32) -> Result<(), Violation> {
    match quota {
        Quota::Items(ordered) if moved != ordered.min(possible) => {
            Err(Violation::Quota { role, ordered, possible, moved })
        }
        Quota::Items(_) | Quota::Random => Ok(()),
    }
}

/// Checks that every slot except the `moved` ones has its old value. The slots that
/// a consumer emptied may hold anything, because the host does not read them again.
fn check_slots(role: Role, before: &Ring, new: &Slots, moved: u32) -> Result<(), Violation> {
    let old = before.pointers();
    let first = match role {
        Role::Producer => old.prod_p,
        Role::Consumer => old.cons_p,
    };
    for slot in 0..old.capacity {
        // The distance from the first slot, wrapping around the ring's end.
        let distance = if slot >= first { slot - first } else { slot + old.capacity - first };
        let claimed = new[slot as usize];
        if distance >= moved && claimed != before.slots()[slot as usize] {
            return Err(Violation::Slot { slot, claimed });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
