//! Correct turns pass and are adopted exactly; every corrupted turn is refused.

extern crate std;

use std::{format, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::ring::{Capacity, MAX_CAPACITY};

/// A used ring: its pointers may be anywhere, and its free slots hold old items.
fn any_ring() -> impl Strategy<Value = Ring> {
    (1..=MAX_CAPACITY, 0..200u32, 0..=MAX_CAPACITY).prop_map(|(capacity, used, count)| {
        let mut ring = Ring::new(Capacity::new(capacity).expect("1 to 64"));
        for item in 0..used {
            ring.push(item).expect("it is empty");
            ring.take();
        }
        for item in 0..count.min(capacity) {
            ring.push(1000 + item).expect("it has room");
        }
        ring
    })
}

fn any_role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Producer), Just(Role::Consumer)]
}

/// Returns the mailbox of a correct guest after moving up to `wish` items.
fn honest_turn(role: Role, ring: &Ring, wish: &[u32], account: Digest) -> (Mailbox, Vec<u32>) {
    let mut mailbox = Mailbox::new(Quota::Random, ring);
    let mut moved = Vec::new();
    for &item in wish {
        let slot = match role {
            Role::Producer => mailbox.pointers.push(),
            Role::Consumer => mailbox.pointers.take(),
        };
        let Some(slot) = slot else { break };
        if role == Role::Producer {
            mailbox.slots[slot as usize] = item;
        }
        moved.push(mailbox.slots[slot as usize]);
    }
    mailbox.digest = account.with_all(&moved);
    (mailbox, moved)
}

proptest! {
    #[test]
    fn an_honest_turn_passes_and_is_adopted(
        ring in any_ring(), role in any_role(), wish in proptest::collection::vec(any::<u32>(), 0..70),
        earlier in proptest::collection::vec(any::<u32>(), 0..5),
    ) {
        let account = Digest::EMPTY.with_all(&earlier);
        let (mailbox, moved) = honest_turn(role, &ring, &wish, account);
        let items = check(role, Quota::Random, &ring, &mailbox, account).expect("honest");
        prop_assert_eq!(&*items, &moved[..]);
        let mut after = ring.clone();
        adopt(role, &mut after, &items).expect("checked");
        prop_assert_eq!(after.pointers(), mailbox.pointers);
    }

    /// Any number of the pointers, changed to any other value, is refused.
    #[test]
    fn a_corrupted_pointer_is_refused(
        ring in any_ring(), role in any_role(), wish in proptest::collection::vec(any::<u32>(), 0..70),
        field in 0..4usize, value in prop_oneof![0..70u32, any::<u32>()],
    ) {
        let (mut mailbox, _) = honest_turn(role, &ring, &wish, Digest::EMPTY);
        let pointers = &mut mailbox.pointers;
        let field = [&mut pointers.capacity, &mut pointers.prod_p, &mut pointers.cons_p, &mut pointers.count]
            .into_iter().nth(field).expect("0 to 3");
        prop_assume!(*field != value);
        *field = value;
        prop_assert!(check(role, Quota::Random, &ring, &mailbox, Digest::EMPTY).is_err());
    }

    /// Any slot in use, changed to any other value, is
    /// refused, except slots that a consumer emptied.
    #[test]
    fn a_corrupted_slot_is_refused(
        ring in any_ring(), role in any_role(), wish in proptest::collection::vec(any::<u32>(), 0..70),
        slot in 0..MAX_CAPACITY, value in any::<u32>(),
    ) {
        let (mut mailbox, moved) = honest_turn(role, &ring, &wish, Digest::EMPTY);
        let Pointers { capacity, cons_p, .. } = ring.pointers();
        let slot = slot % capacity;
        let emptied = role == Role::Consumer
            && (((slot + capacity - cons_p) % capacity) as usize) < moved.len();
        prop_assume!(!emptied && mailbox.slots[slot as usize] != value);
        mailbox.slots[slot as usize] = value;
        prop_assert!(check(role, Quota::Random, &ring, &mailbox, Digest::EMPTY).is_err());
    }

    /// A guest with any other digest is refused.
    #[test]
    fn a_corrupted_digest_is_refused(
        ring in any_ring(), role in any_role(), wish in proptest::collection::vec(any::<u32>(), 0..70),
        items in any::<u32>(), hash in any::<u32>(),
    ) {
        let (mut mailbox, _) = honest_turn(role, &ring, &wish, Digest::EMPTY);
        let lie = Digest { items, hash };
        prop_assume!(mailbox.digest != lie);
        mailbox.digest = lie;
        let refused = matches!(check(role, Quota::Random, &ring, &mailbox, Digest::EMPTY), Err(Violation::Digest { .. }));
        prop_assert!(refused);
    }

    /// A fixed quota allows one number of items and no other.
    #[test]
    fn a_fixed_quota_is_met_exactly_as_far_as_the_ring_allows(
        ring in any_ring(), role in any_role(), wish in proptest::collection::vec(any::<u32>(), 0..70),
        ordered in 0..=MAX_CAPACITY,
    ) {
        let (mailbox, moved) = honest_turn(role, &ring, &wish, Digest::EMPTY);
        let possible = role.possible(ring.pointers());
        let number = u32::try_from(moved.len()).expect("few");
        let expected = match ordered.min(possible) == number {
            true => Ok(moved),
            false => Err(Violation::Quota { role, ordered, possible, moved: number }),
        };
        let checked = check(role, Quota::Items(ordered), &ring, &mailbox, Digest::EMPTY);
        prop_assert_eq!(checked.map(|items| items.to_vec()), expected);
    }

    /// For any mailbox the check returns, and a turn that passes can be adopted.
    #[test]
    fn any_bytes_are_checked(ring in any_ring(), role in any_role(), words in proptest::collection::vec(0..70u32, 71)) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mailbox: Mailbox = zerocopy::FromBytes::read_from_bytes(&bytes[..]).expect("71 words");
        if let Ok(items) = check(role, Quota::Random, &ring, &mailbox, Digest::EMPTY) {
            prop_assert_eq!(adopt(role, &mut ring.clone(), &items), Ok(()));
        }
    }
}

/// Returns a ring of capacity 4 with the items 10 and 11, and
/// the mailbox after a turn of `role` with `change` applied.
fn verdict(role: Role, change: impl FnOnce(&mut Mailbox)) -> Result<Items, Violation> {
    ordered_verdict(role, Quota::Random, change)
}

fn ordered_verdict(role: Role, quota: Quota, change: impl FnOnce(&mut Mailbox)) -> Result<Items, Violation> {
    let mut ring = Ring::new(Capacity::new(4).expect("1 to 64"));
    ring.push(10).expect("room");
    ring.push(11).expect("room");
    let (mut mailbox, _) = honest_turn(role, &ring, &[12], Digest::EMPTY);
    change(&mut mailbox);
    check(role, quota, &ring, &mailbox, Digest::EMPTY)
}

#[test]
fn each_broken_rule_is_named() {
    use Role::{Consumer, Producer};
    let rule = |role, change: fn(&mut Mailbox)| verdict(role, change).map_err(|v| v.rule());
    assert_eq!(rule(Producer, |m| m.pointers.capacity = 5), Err("capacity"));
    assert_eq!(rule(Producer, |m| m.pointers.prod_p = 4), Err("pointer-range"));
    assert_eq!(rule(Consumer, |m| m.pointers.cons_p = 9), Err("pointer-range"));
    assert_eq!(rule(Producer, |m| m.pointers.count = 5), Err("count-range"));
    assert_eq!(rule(Producer, |m| m.pointers.cons_p = 1), Err("foreign-pointer"));
    assert_eq!(rule(Consumer, |m| m.pointers.prod_p = 0), Err("foreign-pointer"));
    assert_eq!(rule(Producer, |m| m.pointers.count = 1), Err("count-direction"));
    assert_eq!(rule(Consumer, |m| m.pointers.count = 3), Err("count-direction"));
    assert_eq!(rule(Producer, |m| m.pointers.count = 2), Err("count-pointer"));
    assert_eq!(rule(Producer, |m| m.slots[0] = 1), Err("slot"));
    assert_eq!(rule(Consumer, |m| m.slots[3] = 1), Err("slot"));
    assert_eq!(rule(Producer, |m| m.digest = Digest::EMPTY), Err("digest"));
    assert_eq!(rule(Producer, |_| ()).as_deref(), Ok(&[12][..]));
    assert_eq!(rule(Consumer, |_| ()).as_deref(), Ok(&[10][..]));
}

#[test]
fn a_violation_says_what_was_claimed() {
    let text = |change: fn(&mut Mailbox)| format!("{}", verdict(Role::Producer, change).expect_err("broken"));
    assert_eq!(text(|m| m.pointers.prod_p = 7), "prod_p must lie in the ring, it is 7");
    assert_eq!(
        text(|m| m.pointers.count = 2),
        "the pointer must move as far as the count: for count=2 it belongs at 2, it is 3"
    );
}

#[test]
fn a_broken_quota_says_what_was_ordered_what_could_move_and_what_moved() {
    let text = |role, ordered| {
        let verdict = ordered_verdict(role, Quota::Items(ordered), |_| ());
        verdict.map(|items| items.len()).map_err(|violation| format!("{}: {violation}", violation.rule()))
    };
    assert_eq!(text(Role::Producer, 1), Ok(1));
    assert_eq!(text(Role::Consumer, 1), Ok(1));
    assert_eq!(
        text(Role::Producer, 5).expect_err("broken"),
        "quota: the turn was told to add 5 and the ring had room for 2: 2 had to move, 1 moved"
    );
    assert_eq!(
        text(Role::Consumer, 0).expect_err("broken"),
        "quota: the turn was told to take 0 and the ring held 2: 0 had to move, 1 moved"
    );
}

#[test]
fn the_orders_in_the_mailbox_are_not_the_guests_to_change() {
    let lazy = ordered_verdict(Role::Producer, Quota::Items(2), |mailbox| {
        mailbox.quota = Quota::Items(1).encode();
    });
    assert_eq!(lazy.map_err(|violation| violation.rule()).err(), Some("quota"));
}

#[test]
fn a_turn_that_is_wrong_in_itself_is_not_told_of_its_quota() {
    let wrong = ordered_verdict(Role::Producer, Quota::Items(2), |mailbox| mailbox.pointers.count = 2);
    assert_eq!(wrong.map_err(|violation| violation.rule()).err(), Some("count-pointer"));
}

#[test]
fn items_of_another_ring_are_not_adopted() {
    let items = verdict(Role::Consumer, |_| ()).expect("honest");
    let mut empty = Ring::new(Capacity::DEFAULT);
    assert_eq!(adopt(Role::Consumer, &mut empty, &items), Err(Mismatch));
}
