//! Free running: every VM has a thread, and takes its next turn as soon as it can.
//!
//! At most one producer and one consumer hold the ring at the same time; their turns cannot conflict (see
//! [`Exchange::begin`]). The VMs of a side wait in a queue, so that none starves. A producer acquires the ring when
//! there is room, a consumer when there are items. One of the two is always possible, since a ring has room or
//! items. So the run cannot stall.
//!
//! Turns count in the order in which they are adopted. That order depends on the host's scheduler, so such a run
//! cannot be repeated.
//!
//! [`Exchange::begin`]: crate::runlog::ring_check::Exchange::begin

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use guest_abi::transition::Role;

use super::turns::{TurnOutcome, TurnRunner, boot, take_turn};
use crate::{
    lab::vm::Vm,
    lab::{error::Error, session::Session},
    runlog::ring_check::OpenTurn,
};

/// The end of a free run: the limit that is reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    /// The number of turns.
    pub(super) turns: Option<u64>,
    /// The number of consumed items. The turn that reaches it is the last.
    pub(super) items: Option<u64>,
}

/// Runs all machines at once until the limit is reached or one of them fails.
pub(super) fn run_parallel(
    runner: &mut TurnRunner,
    session: &Session<'_>,
    machines: &mut [Vm],
    limit: Limit,
) -> Result<(), Error> {
    let access = RingAccess {
        session,
        limit,
        condvars: machines.iter().map(|_| Condvar::new()).collect(),
        state: Mutex::new(State {
            runner,
            begun: 0,
            inside: 0,
            producers: Holder::default(),
            consumers: Holder::default(),
            failure: None,
        }),
    };
    std::thread::scope(|scope| {
        for (vm, machine) in machines.iter_mut().enumerate() {
            let name = format!("vm {}", machine.vm());
            let access = &access;
            let spawned = std::thread::Builder::new()
                .name(name)
                .spawn_scoped(scope, move || access.run_vm(vm, machine));
            if let Err(source) = spawned {
                access.fail(Error::Os { what: "start a VM's thread", source });
                break;
            }
        }
        if let Err(error) = access.enter() {
            access.fail(error);
        }
    });
    session.resume();
    let state = access.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    state.failure.map_or(Ok(()), Err)
}

/// The access to the ring, which the threads share.
struct RingAccess<'a, 'session> {
    session: &'a Session<'session>,
    limit: Limit,
    /// The condition variable of each VM.
    condvars: Vec<Condvar>,
    state: Mutex<State<'a>>,
}

struct State<'a> {
    runner: &'a mut TurnRunner,
    /// The number of turns that have begun.
    begun: u64,
    /// The number of threads in the jail: those of the VMs, and the one that waits for them.
    inside: usize,
    producers: Holder,
    consumers: Holder,
    /// The first failure. It ends the run.
    failure: Option<Error>,
}

/// The VM of one side that holds the ring, and those that wait for it.
#[derive(Default)]
struct Holder {
    /// True if a VM of this side holds the ring.
    is_held: bool,
    /// The VMs that wait, the next one at the front.
    queue: VecDeque<usize>,
}

impl<'a> RingAccess<'a, '_> {
    /// Runs a VM: boots it, and gives it turns until the run ends.
    fn run_vm(&self, vm: usize, machine: &mut Vm) {
        let _guard = PanicGuard(self);
        let entered = self.enter().map(|()| self.await_all(vm));
        if let Err(error) = entered.and_then(|()| boot(self.session, machine)) {
            return self.fail(error);
        }
        self.queue(vm);
        while let Some((turn, number)) = self.acquire(vm) {
            let outcome = take_turn(self.session, machine, &turn, number)
                .and_then(|taken| self.release(machine, turn, &taken));
            if let Err(error) = outcome {
                return self.fail(error);
            }
        }
    }

    /// Moves the calling thread into the jail.
    fn enter(&self) -> Result<(), Error> {
        self.session.confine()?;
        let mut state = self.lock();
        state.inside += 1;
        if self.are_all_inside(&state) {
            self.wake_all();
        }
        Ok(())
    }

    /// Waits until all threads are in the jail, because a running guest may be hostile to each of them.
    fn await_all(&self, vm: usize) {
        let mut state = self.lock();
        while !self.are_all_inside(&state) && state.failure.is_none() {
            state = self.condvars[vm].wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn are_all_inside(&self, state: &State<'_>) -> bool {
        state.inside > self.condvars.len()
    }

    /// Appends a VM to the queue of its side.
    fn queue(&self, vm: usize) {
        let mut state = self.lock();
        let role = state.role(vm);
        state.holder(role).queue.push_back(vm);
    }

    /// Waits until a VM of the queue holds the ring. Returns its turn, with the number that the turn will have if no
    /// other one ends earlier. Returns `None` if the run is over.
    fn acquire(&self, vm: usize) -> Option<(OpenTurn, u64)> {
        let mut state = self.lock();
        let role = state.role(vm);
        loop {
            if state.is_over(self.limit) {
                return None;
            }
            if state.may_acquire(role, vm) {
                break;
            }
            state = self.condvars[vm].wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let holder = state.holder(role);
        holder.queue.pop_front();
        holder.is_held = true;
        state.begun += 1;
        if state.is_over(self.limit) {
            self.wake_all();
        }
        Some((state.runner.begin(vm), state.runner.turns() + 1))
    }

    /// Ends a VM's turn: checks and adopts it, appends the VM to its queue, and wakes the VMs that can have a turn.
    fn release(&self, machine: &mut Vm, turn: OpenTurn, taken: &TurnOutcome) -> Result<(), Error> {
        let mut state = self.lock();
        if state.failure.is_some() {
            return Ok(());
        }
        let vm = turn.party();
        state.runner.settle(self.session, machine, turn, taken)?;
        let role = state.role(vm);
        state.holder(role).is_held = false;
        state.holder(role).queue.push_back(vm);
        if state.is_over(self.limit) {
            self.wake_all();
            return Ok(());
        }
        for role in [Role::Producer, Role::Consumer] {
            let first = state.holder(role).queue.front().copied();
            if let Some(vm) = first.filter(|&vm| state.may_acquire(role, vm)) {
                self.condvars[vm].notify_one();
            }
        }
        Ok(())
    }

    /// Ends the run with a failure, unless there was one before. A later failure may only be the stop that the first
    /// one caused.
    fn fail(&self, mut error: Error) {
        let mut state = self.lock();
        if state.failure.is_some() {
            return;
        }
        if let Error::Guest(guest) = &mut error {
            // Other turns may have been adopted since this one began.
            guest.at.turn = guest.at.turn.map(|_| state.runner.turns() + 1);
        }
        state.failure = Some(error);
        self.session.stop();
        self.wake_all();
    }

    fn wake_all(&self) {
        self.condvars.iter().for_each(Condvar::notify_one);
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        // A thread that panicked has ended the run (see `PanicGuard`).
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State<'_> {
    fn role(&self, vm: usize) -> Role {
        self.runner.exchange().parties()[vm].role()
    }

    fn holder(&mut self, role: Role) -> &mut Holder {
        match role {
            Role::Producer => &mut self.producers,
            Role::Consumer => &mut self.consumers,
        }
    }

    /// Returns true if this VM is the first in its queue, no other VM of its side holds the ring, and there is room or
    /// there are items.
    fn may_acquire(&mut self, role: Role, vm: usize) -> bool {
        let possible = role.possible(self.runner.exchange().ring().pointers());
        let holder = self.holder(role);
        possible > 0 && !holder.is_held && holder.queue.front() == Some(&vm)
    }

    /// Returns true if no more turns may begin.
    fn is_over(&self, limit: Limit) -> bool {
        let consumed = self.runner.exchange().ledger().consumed();
        self.failure.is_some()
            || limit.turns.is_some_and(|turns| self.begun >= turns)
            || limit.items.is_some_and(|items| consumed >= items)
    }
}

/// Ends the run if its thread panics, which is a bug of the host. The others must not wait for it.
struct PanicGuard<'a, 'b, 'c>(&'a RingAccess<'b, 'c>);

impl Drop for PanicGuard<'_, '_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(Error::Bug("a VM's thread panicked".into()));
        }
    }
}
