//! The exchange, as `run prodcons` runs it.

use std::{error::Error, fs::File, io, path::Path, time::Instant};

use guest_abi::{layout::DEFAULT_MEMORY, ring::Capacity};
use guestlab::{
    lab::{
        exchange::{self as experiment, ExchangeConfig, Guests, source::Source},
        schedule::ScheduleSpec,
    },
    output,
    process::jail::Jail,
    runlog::{
        event::{End, Event},
        ring_check::Orders,
        sink::{Form, Silence, Sink},
    },
    vmm::HvaPolicy,
};

use super::{Outcome, as_f64, clock::cpu_time, limits, platform, rate, values};

/// An exchange with this many producers and as many consumers.
pub(super) fn guests(producer: &str, consumer: &str, of_each: usize) -> Guests {
    Guests {
        producer: Source::file(Path::new(producer)),
        consumer: Source::file(Path::new(consumer)),
        producers: of_each,
        consumers: of_each,
        orders: Orders::RANDOM,
        mode: None,
        memory: DEFAULT_MEMORY,
        secrets: HvaPolicy::DenySilently,
    }
}

/// An exchange without a debugger or a tracer.
pub(super) fn config(
    guests: Guests,
    schedule: ScheduleSpec,
    capacity: Capacity,
    turns: u64,
    seed: u64,
) -> ExchangeConfig {
    ExchangeConfig::plain(guests, (schedule, Some(turns)), capacity, seed, limits())
}

/// Measures a random schedule, with the text to a file if there is one: turns and items per second, from the opening of
/// the images to the last byte of the text, and exits per turn.
pub(super) fn measure(
    guests: Guests,
    capacity: u32,
    turns: u64,
    seed: u64,
    text: Option<&str>,
    jail: &Jail,
) -> Outcome {
    let capacity = Capacity::new(capacity).ok_or("a capacity is 1 to 64")?;
    let config = config(guests, ScheduleSpec::Random, capacity, turns, seed);
    let began = cpu_time();
    let inner = match text {
        Some(path) => output::file(File::create(path)?, Form::Text, false),
        None => Box::new(Silence),
    };
    let Totals { items, exits } = run(&config, jail, inner)?;
    let spent = cpu_time() - began;
    Ok(values([
        ("turns_per_second", rate(turns, spent)),
        ("items_per_second", rate(items, spent)),
        ("exits_per_turn", as_f64(exits) / as_f64(turns)),
    ]))
}

/// Measures each VM on a thread of its own, against the same VMs one after another: turns per second of both, and the number
/// of cores that the threads kept busy.
pub(super) fn measure_free(guests: Guests, turns: u64) -> Outcome {
    let along = |schedule| config(guests.clone(), schedule, Capacity::DEFAULT, turns, 1);
    let began = Instant::now();
    run(&along(ScheduleSpec::Alternate), &Jail::Open, Box::new(Silence))?;
    let alternate = began.elapsed();
    let (began, cpu) = (Instant::now(), cpu_time());
    run(&along(ScheduleSpec::Free), &Jail::Open, Box::new(Silence))?;
    let (free, cpu) = (began.elapsed(), cpu_time() - cpu);
    Ok(values([
        ("alternate_turns_per_second", rate(turns, alternate)),
        ("turns_per_second", rate(turns, free)),
        ("cores", cpu.as_secs_f64() / free.as_secs_f64()),
    ]))
}

fn run(config: &ExchangeConfig, jail: &Jail, inner: Box<dyn Sink>) -> Result<Totals, Box<dyn Error>> {
    let mut sink = Totaling { inner, totals: Totals::default() };
    experiment::run(platform()?, jail, config, &mut sink)?;
    Ok(sink.totals)
}

/// The result of a run.
#[derive(Clone, Copy, Default)]
struct Totals {
    /// The items that were produced, and those that were consumed.
    items: u64,
    exits: u64,
}

/// A sink that keeps the figures of the run's end.
struct Totaling {
    inner: Box<dyn Sink>,
    totals: Totals,
}

impl Sink for Totaling {
    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        if let Event::End(end) = event {
            let End { totals, exits, .. } = &**end;
            let items = totals.map_or(0, |totals| totals.produced + totals.consumed);
            self.totals =
                Totals { items, exits: exits.values().filter_map(|exits| exits.get("total")).sum() };
        }
        self.inner.event(event)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
