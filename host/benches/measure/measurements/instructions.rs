//! The instructions of guests: the exchange once more, every instruction a step.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use guest_abi::{ring::Capacity, transition::Role};
use guestlab::{
    driver::{Driver, Order},
    kvm::{Exit, Vcpu, VcpuError},
    machine::Halt,
    output::Silence,
    prodcons::{Cast, Guests, Stage, boot},
    schedule::{Schedule, ScheduleSpec},
    session::Session,
    step::Stepper,
    watchdog::Registration,
};

use super::{Outcome, Values, as_f64, limits, system};

/// Counts from the guests' first turns on.
pub(super) fn count(guests: &Guests, capacity: u32, turns: u64, seed: u64) -> Outcome {
    let capacity = Capacity::new(capacity).ok_or("a capacity is 1 to 64")?;
    let system = system()?;
    let cast = Cast::open(&system, guests)?;
    let mut silence = Silence;
    let session = Session::start(&limits(), &mut silence)?;
    let mut machines = cast.start(&system, seed)?;
    machines.iter_mut().try_for_each(|machine| boot(&session, machine))?;

    let counts = [Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0))];
    let mut machines: Vec<_> = machines
        .into_iter()
        .zip(&counts)
        .map(|(machine, count)| machine.driven_by(|vcpu| Box::new(Counter::new(vcpu, Arc::clone(count)))))
        .collect();
    let mut stage = Stage::new(&cast, capacity);
    let mut turns_of = [0, 0];
    for vm in Schedule::new(&ScheduleSpec::Random, guests.vms(), Some(turns), seed)?.into_turns() {
        stage.turn(&session, &mut machines[vm], vm)?;
        turns_of[vm] += 1;
    }
    let ledger = stage.exchange().ledger();
    let items_of = [ledger.produced(), ledger.consumed()];
    let mut values = Values::new();
    for (vm, role) in [Role::Producer, Role::Consumer].into_iter().enumerate() {
        let count = as_f64(counts[vm].load(Ordering::Relaxed));
        values.insert(format!("{}_per_turn", role.name()), (count / as_f64(turns_of[vm])).into());
        values.insert(format!("{}_per_item", role.name()), (count / as_f64(items_of[vm])).into());
    }
    Ok(values)
}

/// Steps a guest and counts.
struct Counter {
    vcpu: Vcpu,
    stepper: Stepper,
    count: Arc<AtomicU64>,
}

impl Counter {
    fn new(vcpu: Vcpu, count: Arc<AtomicU64>) -> Self {
        Self { vcpu, stepper: Stepper::default(), count }
    }

    fn end(&mut self) -> Result<(), VcpuError> {
        if self.stepper.end(&mut self.vcpu)?.is_some() {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Driver for Counter {
    fn vcpu(&self) -> &Vcpu {
        &self.vcpu
    }

    fn vcpu_mut(&mut self) -> &mut Vcpu {
        &mut self.vcpu
    }

    fn alone(self: Box<Self>) -> Result<Vcpu, Box<dyn Driver>> {
        Err(self)
    }

    fn enter(&mut self, _: &Registration<'_>) -> Result<Order, VcpuError> {
        self.end()?;
        self.stepper.begin(&self.vcpu)?;
        Ok(Order::Run)
    }

    fn left(&mut self, exit: Exit) -> Exit {
        self.stepper.left(exit, &self.vcpu)
    }

    fn halted(&mut self, _: &Halt, _: &Registration<'_>) -> Result<Order, VcpuError> {
        self.end()?;
        Ok(Order::Run)
    }
}
