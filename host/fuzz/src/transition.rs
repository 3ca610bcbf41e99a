//! The check of a turn. The rules of the ABI are stated here a second time, for rings as sequences of items instead of
//! pointers. The check must accept the same turns.

use arbitrary::{Arbitrary, Unstructured};
use guest_abi::{
    digest::Digest,
    mailbox::{Mailbox, Quota},
    ring::{Capacity, MAX_CAPACITY, Ring},
    transition::{Items, Role, adopt, check},
};
use zerocopy::{FromBytes, IntoBytes};

/// A turn: the ring before it, and the changes to the mailbox.
#[derive(Arbitrary, Debug)]
struct Turn {
    capacity: u8,
    used: u8,
    count: u8,
    producer: bool,
    earlier: Vec<u32>,
    moved: Vec<u32>,
    /// Words of the mailbox that are changed, and what to.
    edits: Vec<(u8, Edit)>,
    /// True if the account is updated correctly for the moved items.
    honest_account: bool,
    /// The number of items that the turn must move; `None` is any number.
    ordered: Option<u8>,
}

#[derive(Arbitrary, Debug)]
enum Edit {
    Set(u32),
    Add(i8),
}

/// Checks a turn.
pub fn run(data: &[u8]) {
    let Ok(turn) = Turn::arbitrary(&mut Unstructured::new(data)) else { return };
    let role = if turn.producer { Role::Producer } else { Role::Consumer };
    let ring = turn.ring();
    let account = Digest::EMPTY.with_all(&turn.earlier);
    let claim = turn.claim(role, &ring, account);
    let quota = turn.ordered.map_or(Quota::Random, |items| Quota::Items(items.into()));
    let judged = judged(role, &ring, &claim, account).filter(|items| turn.is_met_by(items.len(), &ring));
    match (check(role, quota, &ring, &claim, account), judged) {
        (Ok(items), Some(expected)) => {
            assert_eq!(*items, expected);
            adopted(role, ring, &claim, &items);
        }
        (Err(_), None) => {}
        other => panic!("{turn:?}: {other:?}"),
    }
}

impl Turn {
    fn ring(&self) -> Ring {
        let capacity = u32::from(self.capacity) % MAX_CAPACITY + 1;
        let mut ring = Ring::new(Capacity::new(capacity).expect("1 to 64"));
        for item in 0..self.used.into() {
            ring.push(item).expect("it is empty");
            ring.take();
        }
        for item in 0..u32::from(self.count).min(capacity) {
            ring.push(item ^ 0x5A).expect("it has room");
        }
        ring
    }

    /// Returns true if the turn may move this number of items.
    fn is_met_by(&self, moved: usize, ring: &Ring) -> bool {
        let possible = if self.producer { ring.pointers().free() } else { ring.pointers().count };
        self.ordered.is_none_or(|ordered| moved == usize::from(ordered).min(possible as usize))
    }

    /// An honest turn, then the edits.
    fn claim(&self, role: Role, ring: &Ring, account: Digest) -> Mailbox {
        let mut claim = Mailbox::new(Quota::Random, ring);
        let mut moved = account;
        for &item in &self.moved {
            let slot = match role {
                Role::Producer => claim.pointers.push(),
                Role::Consumer => claim.pointers.take(),
            };
            let Some(slot) = slot else { break };
            if role == Role::Producer {
                claim.slots[slot as usize] = item;
            }
            moved = moved.with(claim.slots[slot as usize]);
        }
        if self.honest_account {
            claim.digest = moved;
        }
        let mut words: Vec<u32> = claim.as_bytes().chunks_exact(4).map(word).collect();
        for (place, edit) in &self.edits {
            let place = usize::from(*place) % words.len();
            words[place] = match edit {
                Edit::Set(value) => *value,
                Edit::Add(number) => words[place].wrapping_add_signed((*number).into()),
            };
        }
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        Mailbox::read_from_bytes(&bytes).expect("as many words as before")
    }
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("four bytes"))
}

/// Returns the items of a claim, if it follows the rules.
fn judged(role: Role, ring: &Ring, claim: &Mailbox, account: Digest) -> Option<Vec<u32>> {
    let (old, new) = (ring.pointers(), claim.pointers);
    let sound = new.capacity == old.capacity
        && new.prod_p < new.capacity
        && new.cons_p < new.capacity
        && new.count <= new.capacity
        && (new.cons_p + new.count) % new.capacity == new.prod_p;
    if !sound {
        return None;
    }
    let slots = |first: u32, len: u32| (0..len).map(move |place| ((first + place) % old.capacity) as usize);
    let held: Vec<u32> = slots(old.cons_p, old.count).map(|slot| ring.slots()[slot]).collect();
    let left: Vec<u32> = slots(new.cons_p, new.count).map(|slot| claim.slots[slot]).collect();
    let (items, touched) = match role {
        Role::Producer if new.cons_p == old.cons_p && left.starts_with(&held) => {
            (left[held.len()..].to_vec(), slots(old.prod_p, new.count - old.count))
        }
        Role::Consumer if new.prod_p == old.prod_p && held.ends_with(&left) => {
            let taken = old.count - new.count;
            (held[..taken as usize].to_vec(), slots(old.cons_p, taken))
        }
        _ => return None,
    };
    let touched: Vec<usize> = touched.collect();
    let untouched = (0..old.capacity as usize).filter(|slot| !touched.contains(slot));
    let same = untouched.into_iter().all(|slot| ring.slots()[slot] == claim.slots[slot]);
    (same && claim.digest == account.with_all(&items)).then_some(items)
}

/// Checks that an accepted claim can be adopted, and that the host's ring is then as claimed.
fn adopted(role: Role, mut ring: Ring, claim: &Mailbox, items: &Items) {
    adopt(role, &mut ring, items).expect("it was checked against this ring");
    assert_eq!(ring.pointers(), claim.pointers);
}
