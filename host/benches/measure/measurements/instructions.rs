//! The instructions of guests: the exchange under `run prodcons --profile`, where each instruction is a step.

use std::io;

use guest_abi::{ring::Capacity, transition::Role};
use guestlab::{
    debug::trace,
    lab::{
        exchange::{self as experiment, ExchangeConfig, Guests},
        instrumentation::Instrumentation,
        schedule::ScheduleSpec,
    },
    process::jail::Jail,
    runlog::{
        event::{Event, Totals, VmProfile},
        sink::Sink,
    },
};

use super::{Outcome, Values, as_f64, exchange, platform};

/// Counts the instructions of the guests' turns.
pub(super) fn count(guests: Guests, capacity: u32, turns: u64, seed: u64) -> Outcome {
    let capacity = Capacity::new(capacity).ok_or("a capacity is 1 to 64")?;
    let config = exchange::config(guests, ScheduleSpec::Random, capacity, turns, seed);
    let config = ExchangeConfig {
        instrumentation: Instrumentation::Trace(trace::TraceConfig {
            shown: None,
            profile: true,
            last: 0,
            stacks: None,
        }),
        core: None,
        stats: false,
        ..config
    };
    let mut found = Found::default();
    experiment::run(platform()?, &Jail::Open, &config, &mut found)?;
    let totals = found.totals.ok_or("an exchange without totals")?;
    let mut values = Values::new();
    let roles = [(Role::Producer, totals.produced), (Role::Consumer, totals.consumed)];
    for ((role, items), profile) in roles.into_iter().zip(found.profiles) {
        let turns = profile.turns.ok_or("a guest without turns")?;
        let instructions = as_f64(turns.instructions);
        values.insert(format!("{}_per_turn", role.name()), (instructions / as_f64(turns.count)).into());
        values.insert(format!("{}_per_item", role.name()), (instructions / as_f64(items)).into());
    }
    Ok(values)
}

/// The counts in a run's events.
#[derive(Default)]
struct Found {
    totals: Option<Totals>,
    profiles: Vec<VmProfile>,
}

impl Sink for Found {
    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::End(end) => self.totals = end.totals,
            Event::Profile(profile) => self.profiles = profile.vms.clone(),
            _ => {}
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
