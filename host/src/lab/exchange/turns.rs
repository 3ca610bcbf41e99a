//! The turns of an exchange, one after another. [`parallel`](super::parallel) runs them at the same time.

use std::collections::BTreeMap;

use guest_abi::{
    mailbox::{MAILBOX_SIZE, Mailbox},
    ring::{Capacity, Pointers},
    transition::Role,
};

use zerocopy::IntoBytes;

use super::vms::Vms;
use crate::{
    lab::refused::Refused,
    lab::vm::Vm,
    lab::{
        error::Error,
        events,
        session::{self, Session, TurnEnd},
        snapshot::Snapshot,
    },
    runlog::{
        conduct::{Conduct, Record, Weight},
        event::{self, Action, CheckResult, End, Event, Finding, Totals, Turn},
        ring_check::{Exchange, Moved, OpenTurn, Orders},
    },
};

/// Runs the turns of an exchange, and counts them.
#[derive(Clone)]
pub struct TurnRunner {
    exchange: Exchange,
    turns: u64,
}

impl TurnRunner {
    /// Begins an exchange with an empty ring.
    pub fn new(vms: &Vms, orders: Orders, capacity: Capacity) -> Self {
        Self { exchange: Exchange::new(capacity, vms.parties(orders)), turns: 0 }
    }

    /// Goes on with the exchange of a snapshot.
    ///
    /// # Errors
    ///
    /// No exchange of these VMs can be in its state.
    pub fn resumed(
        vms: &Vms,
        orders: Orders,
        capacity: Capacity,
        snapshot: &Snapshot,
    ) -> Result<Self, Error> {
        let exchange = snapshot.exchange(|saved| Exchange::restore(capacity, vms.parties(orders), saved))?;
        Ok(Self { exchange, turns: snapshot.turns() })
    }

    /// Returns the state of the exchange.
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Returns the conduct of each VM.
    pub fn conduct(&self) -> Vec<Conduct> {
        self.exchange.parties().iter().map(|party| party.conduct().clone()).collect()
    }

    /// Returns the number of turns that are over.
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// Boots the guests that are not in the exchange yet, and runs the turns. `turns` has the index of the VM of each turn,
    /// and `ended` is called at the beginning and behind each.
    ///
    /// # Errors
    ///
    /// A guest, the engine or the output failed, or `ended`.
    pub fn run_turns(
        &mut self,
        session: &Session<'_>,
        machines: &mut [Vm],
        turns: impl IntoIterator<Item = usize>,
        mut ended: impl FnMut(&Self, &mut [Vm]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        boot_all(session, machines)?;
        ended(self, machines)?;
        turns.into_iter().try_for_each(|vm| {
            self.turn(session, &mut machines[vm], vm)?;
            ended(self, machines)
        })
    }

    /// Runs one turn of a VM, with its index and its machine.
    ///
    /// # Errors
    ///
    /// As [`run_turns`](Self::run_turns).
    pub fn turn(&mut self, session: &Session<'_>, machine: &mut Vm, vm: usize) -> Result<(), Error> {
        let turn = self.begin(vm);
        let taken = take_turn(session, machine, &turn, self.turns + 1)?;
        self.settle(session, machine, turn, &taken)
    }

    /// Begins a VM's turn.
    pub(super) fn begin(&self, vm: usize) -> OpenTurn {
        self.exchange.begin(vm)
    }

    /// Checks and adopts the ring that a VM left at the end of its turn.
    pub(super) fn settle(
        &mut self,
        session: &Session<'_>,
        machine: &mut Vm,
        turn: OpenTurn,
        TurnOutcome { claim, exits }: &TurnOutcome,
    ) -> Result<(), Error> {
        let number = self.turns + 1;
        let role = self.exchange.parties()[turn.party()].role();
        let Moved { items, makers } = self
            .exchange
            .settle(turn, claim)
            .map_err(|refusal| session::refuse(&mut *machine, Some(number), Refused::Violation(refusal)))?;
        self.turns = number;
        let ring = self.exchange.ring();
        let Pointers { prod_p, cons_p, count, .. } = ring.pointers();
        let moved = event::Moved { role, items: (&*items).into(), prod_p, cons_p, count };
        session.event(&Event::Turn(Turn {
            turn: number,
            vm: machine.vm(),
            action: Action::Moved(moved),
            exits: *exits,
            from: self.shown_makers(role, &makers),
            ring: Some(ring),
        }))
    }

    /// Returns the VMs that made the items of a consumer's turn, if there are more than two VMs.
    fn shown_makers(&self, role: Role, makers: &[usize]) -> Option<Box<[u32]>> {
        let many = self.exchange.parties().len() > 2 && role == Role::Consumer;
        many.then(|| makers.iter().map(|&party| vm_number(party)).collect())
    }

    /// Returns the findings: habits of guests where they must choose at random.
    fn findings(&self, machines: &[Vm]) -> Vec<Finding> {
        let parties = self.exchange.parties().iter().zip(machines);
        let findings = parties.flat_map(|(party, machine)| {
            let record = Record::of(party.conduct());
            Finding::all(machine.vm(), machine.name(), party.role(), &record, Weight::Note)
        });
        findings.collect()
    }

    /// Returns the event of the end of the run.
    pub(super) fn end(&self, outcome: &Result<(), Error>, machines: &[Vm]) -> End {
        let refusal = match outcome {
            Err(Error::Guest(error)) => error.end.refusal(),
            _ => None,
        };
        let ledger = self.exchange.ledger();
        End {
            turns: self.turns,
            totals: Some(Totals {
                produced: ledger.produced(),
                consumed: ledger.consumed(),
                left: self.exchange.ring().pointers().count,
                audit: if refusal.is_some() || !self.exchange.audit() {
                    CheckResult::Failed
                } else {
                    CheckResult::Ok
                },
            }),
            rule: refusal.map(|refusal| refusal.violation.rule().into()),
            findings: self.findings(machines),
            exits: machines.iter().map(|m| (m.vm(), events::exits(m.stats()))).collect::<BTreeMap<_, _>>(),
        }
    }
}

/// The outcome of a turn: the mailbox that the VM left, and the number of its exits.
pub(super) struct TurnOutcome {
    claim: Mailbox,
    exits: u64,
}

/// Boots the guests that are not in the exchange yet.
///
/// # Errors
///
/// As [`boot`].
pub(super) fn boot_all(session: &Session<'_>, machines: &mut [Vm]) -> Result<(), Error> {
    let mut outside = machines.iter_mut().filter(|machine| machine.mailbox_size().is_none());
    outside.try_for_each(|machine| boot(session, machine))
}

/// Runs a guest until it has attached its mailbox, and checks the size of it.
///
/// # Errors
///
/// As [`TurnRunner::run_turns`].
pub fn boot(session: &Session<'_>, machine: &mut Vm) -> Result<(), Error> {
    match session.attach(machine)? {
        MAILBOX_SIZE => Ok(()),
        size => Err(session::refuse(machine, None, Refused::MailboxSize { size, expected: MAILBOX_SIZE })),
    }
}

/// Runs the guest's side of a turn: copies the ring into its mailbox, runs it, and copies the mailbox back.
pub(super) fn take_turn(
    session: &Session<'_>,
    machine: &mut Vm,
    turn: &OpenTurn,
    number: u64,
) -> Result<TurnOutcome, Error> {
    let mut claim = turn.mailbox();
    match session.turn(machine, number, claim.as_mut_bytes())? {
        TurnEnd { exits, left: false } => Ok(TurnOutcome { claim, exits }),
        TurnEnd { left: true, .. } => Err(session::refuse(machine, Some(number), Refused::LeftExchange)),
    }
}

/// Returns the number of the VM of a party.
fn vm_number(party: usize) -> u32 {
    u32::try_from(party).map_or(u32::MAX, |party| party + 1)
}
