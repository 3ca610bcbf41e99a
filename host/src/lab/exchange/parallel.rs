//! Free running: every VM on a thread of its own, each taking its next turn as soon as it can.
//!
//! The ring has two seats, one for a producer and one for a consumer: as many guests can have the
//! ring at once without one's turn undoing another's (see [`Exchange::begin`]). VMs queue for their
//! side's seat, first come, first served, so that none starves. A producer sits down when there is
//! room and a consumer when there are items; until then it sleeps. One of the two seats can always
//! be taken, since a ring has room or items: so the run cannot stall.
//!
//! The order of turns is that in which they are adopted, which depends on the host's scheduler: such
//! a run cannot be repeated.
//!
//! [`Exchange::begin`]: crate::runlog::ring_check::Exchange::begin

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use guest_abi::transition::Role;

use super::turns::{Stage, Taken, boot, take_turn};
use crate::{
    lab::{error::Error, session::Session},
    runlog::ring_check::OpenTurn,
    vmm::machine::Machine,
};

/// When a free run ends: with whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    /// After this many turns.
    pub(super) turns: Option<u64>,
    /// With the turn in which the number of items consumed comes to this.
    pub(super) items: Option<u64>,
}

/// Runs all machines at once until the limit is reached or one of them fails.
pub(super) fn play(
    stage: &mut Stage,
    session: &Session<'_>,
    machines: &mut [Machine],
    limit: Limit,
) -> Result<(), Error> {
    let hall = Hall {
        session,
        limit,
        bells: machines.iter().map(|_| Condvar::new()).collect(),
        state: Mutex::new(State {
            stage,
            begun: 0,
            inside: 0,
            producers: Seat::default(),
            consumers: Seat::default(),
            failure: None,
        }),
    };
    std::thread::scope(|scope| {
        for (vm, machine) in machines.iter_mut().enumerate() {
            let name = format!("vm {}", machine.vm());
            let hall = &hall;
            let spawned =
                std::thread::Builder::new().name(name).spawn_scoped(scope, move || hall.live(vm, machine));
            if let Err(source) = spawned {
                hall.fail(Error::Os { what: "start a VM's thread", source });
                break;
            }
        }
        if let Err(error) = hall.enter() {
            hall.fail(error);
        }
    });
    session.resume();
    let state = hall.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    state.failure.map_or(Ok(()), Err)
}

/// What the threads share.
struct Hall<'a, 'session> {
    session: &'a Session<'session>,
    limit: Limit,
    /// One for each VM: what it sleeps on.
    bells: Vec<Condvar>,
    state: Mutex<State<'a>>,
}

struct State<'a> {
    stage: &'a mut Stage,
    /// The number of turns that have begun.
    begun: u64,
    /// The number of threads that are in the jail: all VMs', and the one that waits for them.
    inside: usize,
    producers: Seat,
    consumers: Seat,
    /// The first failure, which ends the run.
    failure: Option<Error>,
}

/// One side's place at the ring.
#[derive(Default)]
struct Seat {
    taken: bool,
    /// The VMs that wait for it, the first in front.
    queue: VecDeque<usize>,
}

impl<'a> Hall<'a, '_> {
    /// A VM's life: it boots, and has turns until the run ends.
    fn live(&self, vm: usize, machine: &mut Machine) {
        let _guard = PanicGuard(self);
        let entered = self.enter().map(|()| self.await_all(vm));
        if let Err(error) = entered.and_then(|()| boot(self.session, machine)) {
            return self.fail(error);
        }
        self.queue(vm);
        while let Some((turn, number)) = self.sit_down(vm) {
            let outcome = take_turn(self.session, machine, &turn, number)
                .and_then(|taken| self.get_up(machine, turn, &taken));
            if let Err(error) = outcome {
                return self.fail(error);
            }
        }
    }

    /// Puts the calling thread into the jail.
    fn enter(&self) -> Result<(), Error> {
        self.session.confine()?;
        let mut state = self.lock();
        state.inside += 1;
        if self.are_all_inside(&state) {
            self.ring_all();
        }
        Ok(())
    }

    /// Waits until all threads are in the jail: a guest that runs may be hostile to each of them.
    fn await_all(&self, vm: usize) {
        let mut state = self.lock();
        while !self.are_all_inside(&state) && state.failure.is_none() {
            state = self.bells[vm].wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn are_all_inside(&self, state: &State<'_>) -> bool {
        state.inside > self.bells.len()
    }

    /// Has a VM wait for its side's seat.
    fn queue(&self, vm: usize) {
        let mut state = self.lock();
        let role = state.role(vm);
        state.seat(role).queue.push_back(vm);
    }

    /// Waits for the turn of a VM that has queued; `None` if there is none. With it comes the number that it will
    /// have if no other turn is over before it.
    fn sit_down(&self, vm: usize) -> Option<(OpenTurn, u64)> {
        let mut state = self.lock();
        let role = state.role(vm);
        loop {
            if state.is_over(self.limit) {
                return None;
            }
            if state.may_sit_down(role, vm) {
                break;
            }
            state = self.bells[vm].wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let seat = state.seat(role);
        seat.queue.pop_front();
        seat.taken = true;
        state.begun += 1;
        if state.is_over(self.limit) {
            self.ring_all();
        }
        Some((state.stage.begin(vm), state.stage.turns() + 1))
    }

    /// Ends a VM's turn: it is checked and adopted, the VM queues again, and whoever can sit down now is
    /// woken.
    fn get_up(&self, machine: &Machine, turn: OpenTurn, taken: &Taken) -> Result<(), Error> {
        let mut state = self.lock();
        if state.failure.is_some() {
            return Ok(());
        }
        let vm = turn.party();
        state.stage.settle(self.session, machine, turn, taken)?;
        let role = state.role(vm);
        state.seat(role).taken = false;
        state.seat(role).queue.push_back(vm);
        if state.is_over(self.limit) {
            self.ring_all();
            return Ok(());
        }
        for role in [Role::Producer, Role::Consumer] {
            let first = state.seat(role).queue.front().copied();
            if let Some(vm) = first.filter(|&vm| state.may_sit_down(role, vm)) {
                self.bells[vm].notify_one();
            }
        }
        Ok(())
    }

    /// Ends the run with a failure, unless another was first: then this one may be nothing but the
    /// stop that the first one brought.
    fn fail(&self, mut error: Error) {
        let mut state = self.lock();
        if state.failure.is_some() {
            return;
        }
        if let Error::Guest(guest) = &mut error {
            // Turns may have been adopted since this one began.
            guest.at.turn = guest.at.turn.map(|_| state.stage.turns() + 1);
        }
        state.failure = Some(error);
        self.session.stop();
        self.ring_all();
    }

    fn ring_all(&self) {
        self.bells.iter().for_each(Condvar::notify_one);
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        // A thread that panicked has ended the run (see `PanicGuard`).
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State<'_> {
    fn role(&self, vm: usize) -> Role {
        self.stage.exchange().parties()[vm].role()
    }

    fn seat(&mut self, role: Role) -> &mut Seat {
        match role {
            Role::Producer => &mut self.producers,
            Role::Consumer => &mut self.consumers,
        }
    }

    /// Whether it is this VM's time: it is the first in its queue, the seat is free, and there is
    /// something to do.
    fn may_sit_down(&mut self, role: Role, vm: usize) -> bool {
        let possible = role.possible(self.stage.exchange().ring().pointers());
        let seat = self.seat(role);
        possible > 0 && !seat.taken && seat.queue.front() == Some(&vm)
    }

    /// Whether no turn is to begin any more.
    fn is_over(&self, limit: Limit) -> bool {
        let consumed = self.stage.exchange().ledger().consumed();
        self.failure.is_some()
            || limit.turns.is_some_and(|turns| self.begun >= turns)
            || limit.items.is_some_and(|items| consumed >= items)
    }
}

/// Ends the run when its thread panics, which is a bug of ours: the others must not wait for it.
struct PanicGuard<'a, 'b, 'c>(&'a Hall<'b, 'c>);

impl Drop for PanicGuard<'_, '_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(Error::Bug("a VM's thread panicked".into()));
        }
    }
}
