//! The exchange while it is played: turns, one after another or (in [`free`](super::parallel)) side by
//! side.

use std::collections::BTreeMap;

use guest_abi::{
    mailbox::{MAILBOX_SIZE, Mailbox},
    ring::{Capacity, Pointers},
    transition::Role,
};

use zerocopy::IntoBytes;

use super::Cast;
use crate::{
    lab::{
        error::Error,
        events,
        session::{self, Session, TurnEnd},
    },
    runlog::{
        conduct::Record,
        event::{Account, Audit, End, Event, Finding, Turn},
        ring_check::{Exchange, Moved, OpenTurn, Orders},
    },
    vmm::{fault::Crash, machine::Machine},
};

/// The exchange, and how far it has come.
pub struct Stage {
    exchange: Exchange,
    turns: u64,
}

impl Stage {
    /// An exchange that begins, with an empty ring.
    pub fn new(cast: &Cast, orders: Orders, capacity: Capacity) -> Self {
        Self { exchange: Exchange::new(capacity, cast.parties(orders)), turns: 0 }
    }

    /// The exchange as it is.
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// The number of turns that are over.
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// Boots the guests and gives each turn to its VM, which `turns` names by its index.
    ///
    /// # Errors
    ///
    /// A guest failed, or KVM or the output did.
    pub fn play(
        &mut self,
        session: &Session<'_>,
        machines: &mut [Machine],
        turns: impl IntoIterator<Item = usize>,
    ) -> Result<(), Error> {
        machines.iter_mut().try_for_each(|machine| boot(session, machine))?;
        turns.into_iter().try_for_each(|vm| self.turn(session, &mut machines[vm], vm))
    }

    /// Gives a VM, by its index and its machine, one turn.
    ///
    /// # Errors
    ///
    /// As [`play`](Self::play).
    pub fn turn(&mut self, session: &Session<'_>, machine: &mut Machine, vm: usize) -> Result<(), Error> {
        let turn = self.begin(vm);
        let taken = take_turn(session, machine, &turn, self.turns + 1)?;
        self.settle(session, machine, turn, &taken)
    }

    /// Begins a VM's turn.
    pub(super) fn begin(&self, vm: usize) -> OpenTurn {
        self.exchange.begin(vm)
    }

    /// Checks and adopts what a VM left at the end of its turn.
    pub(super) fn settle(
        &mut self,
        session: &Session<'_>,
        machine: &Machine,
        turn: OpenTurn,
        Taken { claim, exits }: &Taken,
    ) -> Result<(), Error> {
        let number = self.turns + 1;
        let role = self.exchange.parties()[turn.party()].role();
        let Moved { items, makers } = self
            .exchange
            .settle(turn, claim)
            .map_err(|refusal| session::refuse(machine, Some(number), Crash::Violation(refusal)))?;
        self.turns = number;
        let ring = self.exchange.ring();
        let Pointers { prod_p, cons_p, count, .. } = ring.pointers();
        session.event(&Event::Turn(Turn {
            turn: number,
            vm: machine.vm(),
            role,
            items: &items,
            prod_p,
            cons_p,
            count,
            exits: *exits,
            from: self.shown_makers(role, &makers),
            ring,
        }))
    }

    /// The VMs that made the items of a consumer's turn; with two VMs there is no question.
    fn shown_makers(&self, role: Role, makers: &[usize]) -> Option<Vec<u32>> {
        let many = self.exchange.parties().len() > 2 && role == Role::Consumer;
        many.then(|| makers.iter().map(|&party| vm_number(party)).collect())
    }

    /// The habits that guests have where they are to choose at random.
    fn findings(&self, machines: &[Machine]) -> Vec<Finding> {
        let parties = self.exchange.parties().iter().zip(machines);
        let findings = parties.flat_map(|(party, machine)| {
            Finding::all(machine.vm(), machine.name(), party.role(), &Record::of(party.conduct()))
        });
        findings.collect()
    }

    /// How the run ended.
    pub(super) fn end(&self, outcome: &Result<(), Error>, machines: &[Machine]) -> End {
        let refusal = match outcome {
            Err(Error::Guest(error)) => error.end.refusal(),
            _ => None,
        };
        let ledger = self.exchange.ledger();
        End {
            turns: self.turns,
            account: Some(Account {
                produced: ledger.produced(),
                consumed: ledger.consumed(),
                left: self.exchange.ring().pointers().count,
                audit: if refusal.is_some() || !self.exchange.audit() { Audit::Failed } else { Audit::Ok },
            }),
            rule: refusal.map(|refusal| refusal.violation.rule()),
            findings: self.findings(machines),
            exits: machines.iter().map(|m| (m.vm(), events::exits(m.stats()))).collect::<BTreeMap<_, _>>(),
        }
    }
}

/// What a VM left at the end of its turn.
pub(super) struct Taken {
    claim: Mailbox,
    exits: u64,
}

/// Runs a guest until it has attached its mailbox, which must be this experiment's.
///
/// # Errors
///
/// As [`Stage::play`].
pub fn boot(session: &Session<'_>, machine: &mut Machine) -> Result<(), Error> {
    match session.attach(machine)? {
        MAILBOX_SIZE => Ok(()),
        size => Err(session::refuse(machine, None, Crash::MailboxSize { size, expected: MAILBOX_SIZE })),
    }
}

/// The guest's side of a turn: the ring goes into its mailbox, it runs, and what it left is copied.
pub(super) fn take_turn(
    session: &Session<'_>,
    machine: &mut Machine,
    turn: &OpenTurn,
    number: u64,
) -> Result<Taken, Error> {
    let mut claim = turn.mailbox();
    match session.turn(machine, number, claim.as_mut_bytes())? {
        TurnEnd { exits, left: false } => Ok(Taken { claim, exits }),
        TurnEnd { left: true, .. } => Err(session::refuse(machine, Some(number), Crash::LeftExchange)),
    }
}

/// The number of the VM of a party.
fn vm_number(party: usize) -> u32 {
    u32::try_from(party).map_or(u32::MAX, |party| party + 1)
}
