//! The exchange: the host's own ring, which only the host changes, and the account of all items that moved through it.

use std::{
    collections::VecDeque,
    fmt,
    hash::{Hash, Hasher},
};

use guest_abi::{
    digest::Digest,
    mailbox::{Mailbox, Quota},
    ring::{Capacity, Pointers, Ring, Slots},
    transition::{self, Items, Role, Violation},
};
use serde::{Deserialize, Serialize};

use crate::conduct::Conduct;

/// The number of items that each side has to move in a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Orders {
    /// The quota of producers.
    pub produce: Quota,
    /// The quota of consumers.
    pub consume: Quota,
}

impl Orders {
    /// Any number on both sides.
    pub const RANDOM: Self = Self { produce: Quota::Random, consume: Quota::Random };

    /// The quota of a side.
    pub fn of(self, role: Role) -> Quota {
        match role {
            Role::Producer => self.produce,
            Role::Consumer => self.consume,
        }
    }

    /// These orders with another quota for a side.
    #[must_use]
    pub fn with(self, role: Role, quota: Quota) -> Self {
        match role {
            Role::Producer => Self { produce: quota, ..self },
            Role::Consumer => Self { consume: quota, ..self },
        }
    }
}

/// One VM's part in an exchange.
#[derive(Clone, Debug)]
pub struct Party {
    role: Role,
    quota: Quota,
    account: Digest,
    conduct: Conduct,
}

impl Party {
    /// A party that has moved nothing yet.
    pub fn new(role: Role, quota: Quota) -> Self {
        Self { role, quota, account: Digest::EMPTY, conduct: Conduct::default() }
    }

    /// The side of the party.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The number of items that it moved, and its choices.
    pub fn conduct(&self) -> &Conduct {
        &self.conduct
    }
}

/// The state of an exchange.
#[derive(Clone, Debug)]
pub struct Exchange {
    ring: Ring,
    /// The party that made each item in the ring, from the ring's front.
    makers: VecDeque<usize>,
    parties: Vec<Party>,
    ledger: Ledger,
}

/// A turn that has begun: the ring as its party sees it.
#[derive(Clone, Debug)]
pub struct OpenTurn {
    party: usize,
    quota: Quota,
    ring: Ring,
}

impl OpenTurn {
    /// Returns the content of the party's mailbox at the beginning of the turn.
    pub fn mailbox(&self) -> Mailbox {
        Mailbox::new(self.quota, &self.ring)
    }

    /// The party of the turn.
    pub fn party(&self) -> usize {
        self.party
    }
}

/// The items that a turn moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The items, in order.
    pub items: Items,
    /// The party that made each of them.
    pub makers: Vec<usize>,
}

impl Exchange {
    /// An exchange with an empty ring.
    pub fn new(capacity: Capacity, parties: Vec<Party>) -> Self {
        Self { ring: Ring::new(capacity), makers: VecDeque::new(), parties, ledger: Ledger::default() }
    }

    /// The ring in its last good state.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The parties, in the order of their VMs.
    pub fn parties(&self) -> &[Party] {
        &self.parties
    }

    /// The account of all items.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Begins a turn of a party. A turn of the other role may be open at the same time, but not one of the same role.
    /// Producers only append and consumers only take from the front, so that each side's view of the ring stays valid.
    pub fn begin(&self, party: usize) -> OpenTurn {
        OpenTurn { party, quota: self.parties[party].quota, ring: self.ring.clone() }
    }

    /// Accepts the mailbox of a party at the end of its turn, and returns the items that it moved.
    ///
    /// # Errors
    ///
    /// The guest broke a rule. The exchange is as before.
    ///
    /// # Panics
    ///
    /// Two turns of one role were open at once, which the caller has to prevent.
    pub fn settle(&mut self, turn: OpenTurn, claim: &Mailbox) -> Result<Moved, Refusal> {
        let OpenTurn { party, quota, ring: before } = turn;
        let Party { role, account, conduct, .. } = &mut self.parties[party];
        let items = transition::check(*role, quota, &before, claim, *account)
            .map_err(|violation| Refusal::new(violation, &before, claim))?;
        transition::adopt(*role, &mut self.ring, &items)
            .expect("since these items were checked, only the other side has changed the ring");
        *account = account.with_all(&items);
        conduct.enter(quota, role.possible(before.pointers()), &items);
        self.ledger.enter(*role, &items);
        let makers = match role {
            Role::Producer => vec![party; items.len()],
            Role::Consumer => self.makers.drain(..items.len()).collect(),
        };
        if *role == Role::Producer {
            self.makers.extend(&makers);
        }
        Ok(Moved { items, makers })
    }

    /// Returns true if the consumed items and those in the ring are the produced ones, in order.
    pub fn audit(&self) -> bool {
        self.ledger.agrees_with(&self.ring)
    }
}

/// The reason why a turn was refused: the rule, the state that stays, and the state that the guest claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The rule that was broken.
    pub violation: Violation,
    /// The two states.
    pub states: Box<States>,
}

impl Refusal {
    fn new(violation: Violation, ring: &Ring, claim: &Mailbox) -> Self {
        let capacity = ring.pointers().capacity;
        let old = RingState::new(ring.pointers(), ring.slots(), capacity);
        let claimed = RingState::new(claim.pointers, &claim.slots, capacity);
        Self { violation, states: Box::new(States { old, claimed }) }
    }
}

/// The two states of a ring in a turn that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct States {
    /// The host's state, which stays.
    pub old: RingState,
    /// The guest's state, which was refused.
    pub claimed: RingState,
}

/// The state of a ring, for a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingState {
    /// The capacity in items.
    pub capacity: u32,
    /// The slot of the next item to produce.
    pub prod_p: u32,
    /// The slot of the next item to consume.
    pub cons_p: u32,
    /// The number of items.
    pub count: u32,
    /// The values in all slots, with items or without.
    pub slots: Vec<u32>,
}

impl RingState {
    /// The state with the first `shown` slots.
    fn new(pointers: Pointers, slots: &Slots, shown: u32) -> Self {
        let Pointers { capacity, prod_p, cons_p, count } = pointers;
        Self { capacity, prod_p, cons_p, count, slots: slots[..shown as usize].to_vec() }
    }
}

impl fmt::Display for RingState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { capacity, prod_p, cons_p, count, slots } = self;
        write!(f, "cons_p={cons_p} prod_p={prod_p} count={count} capacity={capacity} slots {slots:?}")
    }
}

/// The state of an exchange, for a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedExchange {
    prod_p: u32,
    cons_p: u32,
    count: u32,
    slots: Vec<u32>,
    makers: Vec<usize>,
    accounts: Vec<SavedDigest>,
    conduct: Vec<Conduct>,
    produced: u64,
    consumed: u64,
    went_in: SavedDigest,
    came_out: SavedDigest,
}

/// A digest: its number of items, and its hash.
type SavedDigest = (u32, u32);

fn saved(digest: Digest) -> SavedDigest {
    (digest.items, digest.hash)
}

fn digest((items, hash): SavedDigest) -> Digest {
    Digest { items, hash }
}

impl Exchange {
    /// Returns the state for a file.
    pub fn save(&self) -> SavedExchange {
        let Pointers { prod_p, cons_p, count, .. } = self.ring.pointers();
        let Ledger { produced, consumed, went_in, came_out } = self.ledger;
        SavedExchange {
            prod_p,
            cons_p,
            count,
            slots: self.ring.slots().to_vec(),
            makers: self.makers.iter().copied().collect(),
            accounts: self.parties.iter().map(|party| saved(party.account)).collect(),
            conduct: self.parties.iter().map(|party| party.conduct.clone()).collect(),
            produced,
            consumed,
            went_in: saved(went_in),
            came_out: saved(came_out),
        }
    }

    /// Returns the exchange of a file, or `None` if no exchange with this capacity and these parties can be in its state.
    pub fn restore(capacity: Capacity, parties: Vec<Party>, state: SavedExchange) -> Option<Self> {
        let SavedExchange { prod_p, cons_p, count, produced, consumed, .. } = state;
        let slots: Slots = state.slots.try_into().ok()?;
        let ring = Ring::of(Pointers { capacity: capacity.items(), prod_p, cons_p, count }, slots)?;
        let ledger =
            Ledger { produced, consumed, went_in: digest(state.went_in), came_out: digest(state.came_out) };
        let is_producer = |&party: &usize| parties.get(party).is_some_and(|it| it.role == Role::Producer);
        let is_sound = state.makers.len() == count as usize
            && state.makers.iter().all(is_producer)
            && [state.accounts.len(), state.conduct.len()] == [parties.len(); 2]
            && ledger.agrees_with(&ring);
        let accounts = state.accounts.into_iter().map(digest).zip(state.conduct);
        let parties = parties.into_iter().zip(accounts).map(|(party, (account, conduct))| Party {
            account,
            conduct,
            ..party
        });
        is_sound.then(|| Self { ring, makers: state.makers.into(), parties: parties.collect(), ledger })
    }
}

/// The state that decides which turns will pass: the ring, and the accounts of all items. The parties' conduct is not in it.
impl Hash for Exchange {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { ring, makers, parties, ledger } = self;
        (ring, makers, ledger).hash(state);
        parties.iter().for_each(|party| party.account.hash(state));
    }
}

/// The host's account of all items. It is separate from the ring, so that the two can be compared.
#[derive(Clone, Debug, Default, Hash)]
pub struct Ledger {
    produced: u64,
    consumed: u64,
    went_in: Digest,
    came_out: Digest,
}

impl Ledger {
    /// The number of items that were produced.
    pub fn produced(&self) -> u64 {
        self.produced
    }

    /// The number of items that were consumed.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    fn enter(&mut self, role: Role, items: &Items) {
        let (count, digest) = match role {
            Role::Producer => (&mut self.produced, &mut self.went_in),
            Role::Consumer => (&mut self.consumed, &mut self.came_out),
        };
        *count += items.len() as u64;
        *digest = digest.with_all(items);
    }

    /// The consumed items, followed by those in the ring, must be the produced items.
    fn agrees_with(&self, ring: &Ring) -> bool {
        let mut rest = ring.clone();
        let left: VecDeque<u32> = std::iter::from_fn(|| rest.take()).collect();
        let all = left.iter().fold(self.came_out, |digest, &item| digest.with(item));
        all == self.went_in && self.consumed.checked_add(left.len() as u64) == Some(self.produced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange() -> Exchange {
        let parties =
            vec![Party::new(Role::Producer, Quota::Random), Party::new(Role::Consumer, Quota::Items(1))];
        Exchange::new(Capacity::new(4).expect("1 to 64"), parties)
    }

    /// A producer's honest turn that appends these items.
    fn produce(exchange: &Exchange, account: Digest, items: &[u32]) -> Mailbox {
        let mut mailbox = exchange.begin(0).mailbox();
        for &item in items {
            let slot = mailbox.pointers.push().expect("room");
            mailbox.slots[slot as usize] = item;
        }
        mailbox.digest = account.with_all(items);
        mailbox
    }

    #[test]
    fn a_mailbox_hands_over_the_ring_and_the_orders() {
        let exchange = exchange();
        assert_eq!(Quota::decode(exchange.begin(0).mailbox().quota), Quota::Random);
        assert_eq!(Quota::decode(exchange.begin(1).mailbox().quota), Quota::Items(1));
        assert_eq!(exchange.begin(1).mailbox().pointers, exchange.ring().pointers());
    }

    #[test]
    fn items_go_through_and_the_audit_agrees() {
        let mut exchange = exchange();
        let claim = produce(&exchange, Digest::EMPTY, &[10, 11, 12]);
        let moved = exchange.settle(exchange.begin(0), &claim).expect("honest");
        assert_eq!((&*moved.items, &*moved.makers), (&[10, 11, 12][..], &[0, 0, 0][..]));
        assert!(exchange.audit());

        let mut claim = exchange.begin(1).mailbox();
        claim.pointers.take().expect("an item");
        claim.digest = Digest::EMPTY.with(10);
        let moved = exchange.settle(exchange.begin(1), &claim).expect("honest");
        assert_eq!((&*moved.items, &*moved.makers), (&[10][..], &[0][..]));
        assert!(exchange.audit());
        assert_eq!((exchange.ledger().produced(), exchange.ledger().consumed()), (3, 1));
    }

    #[test]
    fn items_keep_their_makers() {
        let consumer = Party::new(Role::Consumer, Quota::Random);
        let producer = Party::new(Role::Producer, Quota::Random);
        let mut exchange =
            Exchange::new(Capacity::new(4).expect("1 to 64"), vec![producer.clone(), producer, consumer]);
        for (party, item) in [(1, 20), (0, 10), (1, 21)] {
            let mut claim = exchange.begin(party).mailbox();
            let slot = claim.pointers.push().expect("room");
            claim.slots[slot as usize] = item;
            claim.digest = exchange.parties[party].account.with(item);
            assert_eq!(exchange.settle(exchange.begin(party), &claim).expect("honest").makers, [party]);
        }
        let mut claim = exchange.begin(2).mailbox();
        claim.pointers.take().expect("an item");
        claim.pointers.take().expect("an item");
        claim.digest = Digest::EMPTY.with_all(&[20, 10]);
        let moved = exchange.settle(exchange.begin(2), &claim).expect("honest");
        assert_eq!((&*moved.items, &*moved.makers), (&[20, 10][..], &[1, 0][..]));
        assert!(exchange.audit());
    }

    #[test]
    fn a_producer_and_a_consumer_may_have_turns_at_once() {
        let mut exchange = exchange();
        let claim = produce(&exchange, Digest::EMPTY, &[10, 11, 12]);
        exchange.settle(exchange.begin(0), &claim).expect("honest");
        let (producing, consuming) = (exchange.begin(0), exchange.begin(1));
        let produced = produce(&exchange, Digest::EMPTY.with_all(&[10, 11, 12]), &[13]);
        let mut consumed = consuming.mailbox();
        consumed.pointers.take().expect("an item");
        consumed.digest = Digest::EMPTY.with(10);
        assert_eq!(&*exchange.settle(consuming, &consumed).expect("honest").items, [10]);
        assert_eq!(&*exchange.settle(producing, &produced).expect("honest").items, [13]);
        assert!(exchange.audit());
        assert_eq!(exchange.ring().pointers().count, 3);
    }

    #[test]
    fn a_violation_changes_nothing() {
        let mut exchange = exchange();
        let claim = produce(&exchange, Digest::EMPTY, &[10]);
        exchange.settle(exchange.begin(0), &claim).expect("honest");
        // The account of the first turn again, as if the guest had not produced before.
        let claim = produce(&exchange, Digest::EMPTY, &[11]);
        let refusal = exchange.settle(exchange.begin(0), &claim).expect_err("a wrong account");
        assert!(matches!(refusal.violation, Violation::Digest { .. }));
        assert_eq!(
            refusal.states.old.to_string(),
            "cons_p=0 prod_p=1 count=1 capacity=4 slots [10, 0, 0, 0]"
        );
        assert_eq!(
            refusal.states.claimed.to_string(),
            "cons_p=0 prod_p=2 count=2 capacity=4 slots [10, 11, 0, 0]"
        );
        assert_eq!(exchange.ring().pointers().count, 1);
        assert_eq!(exchange.ledger().produced(), 1);
        assert!(exchange.audit());
    }

    #[test]
    fn a_fixed_quota_is_an_order() {
        let mut exchange = exchange();
        let claim = produce(&exchange, Digest::EMPTY, &[10, 11]);
        exchange.settle(exchange.begin(0), &claim).expect("any number will do");
        let mut idle = exchange.begin(1).mailbox();
        idle.digest = Digest::EMPTY;
        let refusal = exchange.settle(exchange.begin(1), &idle).expect_err("it was told to take one");
        let expected = Violation::Quota { role: Role::Consumer, ordered: 1, possible: 2, moved: 0 };
        assert_eq!((refusal.violation, exchange.ring().pointers().count), (expected, 2));
    }

    /// The other side's turn at the same time neither excuses nor obliges this one.
    #[test]
    fn a_turn_is_held_to_the_ring_that_it_was_given() {
        let mut exchange = exchange();
        let consuming = exchange.begin(1);
        let claim = produce(&exchange, Digest::EMPTY, &[10]);
        exchange.settle(exchange.begin(0), &claim).expect("honest");
        let mut nothing = consuming.mailbox();
        nothing.digest = Digest::EMPTY;
        assert!(exchange.settle(consuming, &nothing).expect("its ring was empty").items.is_empty());
    }

    #[test]
    fn the_audit_notices_a_ring_that_differs_from_the_account() {
        let mut exchange = exchange();
        let claim = produce(&exchange, Digest::EMPTY, &[10]);
        exchange.settle(exchange.begin(0), &claim).expect("honest");
        exchange.ring.take();
        assert!(!exchange.audit());
        exchange.ring.push(11).expect("room");
        assert!(!exchange.audit());
    }
}
