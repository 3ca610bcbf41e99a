//! The configuration of an exchange.

use std::{path::PathBuf, sync::Arc};

use guest_abi::{mailbox::Quota, mode::CpuMode, ring::Capacity};

use crate::{
    lab::exchange::source::Source,
    lab::{
        instrumentation::Instrumentation,
        limits::Limits,
        schedule::ScheduleSpec,
        snapshot::{SaveAt, Snapshot},
    },
    process::output_file::Named,
    runlog::{header::Options, ring_check::Orders},
    vmm::HvaPolicy,
};

/// The name of the default producer.
pub const PRODUCER: &str = "guest-producer";

/// The name of the default consumer.
pub const CONSUMER: &str = "guest-consumer";

/// The guests of an exchange.
#[derive(Clone, Debug)]
pub struct Guests {
    /// The producers' image.
    pub producer: Source,
    /// The consumers' image.
    pub consumer: Source,
    /// The number of producers. They are the first VMs.
    pub producers: usize,
    /// The number of consumers. They are the VMs after the producers.
    pub consumers: usize,
    /// The number of items that each moves in a turn.
    pub orders: Orders,
    /// The mode that all images must have, if it matters.
    pub mode: Option<CpuMode>,
    /// Each guest's memory in bytes.
    pub memory: u32,
    /// The policy for the hypercall that returns host virtual addresses.
    pub secrets: HvaPolicy,
}

impl Guests {
    /// Returns the files of the images.
    pub fn images(&self) -> Vec<Named> {
        let image = |side: &str, source: &Source| Named::new(format!("the {side}'s image"), &source.path);
        vec![image("producer", &self.producer), image("consumer", &self.consumer)]
    }

    /// Returns the number of VMs.
    pub fn vms(&self) -> usize {
        self.producers + self.consumers
    }
}

/// The configuration of an exchange.
#[derive(Clone, Debug)]
pub struct ExchangeConfig {
    /// The guests.
    pub guests: Guests,
    /// The order of turns.
    pub schedule: ScheduleSpec,
    /// The number of turns, if it was given.
    pub turns: Option<u64>,
    /// The number of consumed items after which a free run ends, if it was given.
    pub items: Option<u64>,
    /// The ring's capacity.
    pub capacity: Capacity,
    /// The seed of all chance.
    pub seed: u64,
    /// The limits of the run.
    pub limits: Limits,
    /// True if the run ends with statistics.
    pub stats: bool,
    /// The debugger or tracer of the VMs.
    pub instrumentation: Instrumentation,
    /// The file for the core of a guest that fails.
    pub core: Option<PathBuf>,
    /// The snapshot that the run goes on from, if it does not begin with the guests' start.
    pub from: Option<Arc<Snapshot>>,
    /// The order to save a snapshot.
    pub save: Option<SaveAt>,
    /// True if a second run is compared with the first, turn by turn.
    pub checks_determinism: bool,
}

impl ExchangeConfig {
    /// Returns the configuration of a run without output of its own, that no one watches.
    pub fn plain(
        guests: Guests,
        (schedule, turns): (ScheduleSpec, Option<u64>),
        capacity: Capacity,
        seed: u64,
        limits: Limits,
    ) -> Self {
        Self {
            guests,
            schedule,
            turns,
            items: None,
            capacity,
            seed,
            limits,
            stats: false,
            instrumentation: Instrumentation::None,
            core: None,
            from: None,
            save: None,
            checks_determinism: false,
        }
    }

    /// Returns the options of the run that its `run` event does not have.
    pub fn options(&self) -> Options {
        let Self { guests, limits, .. } = self;
        let items = |quota| match quota {
            Quota::Random => None,
            Quota::Items(items) => Some(items),
        };
        Options {
            producer: guests.producer.written(),
            consumer: guests.consumer.written(),
            producers: guests.producers,
            consumers: guests.consumers,
            produce: items(guests.orders.produce),
            consume: items(guests.orders.consume),
            mode: guests.mode.map(|mode| mode.name().to_owned()),
            memory: guests.memory,
            max_exits: limits.max_exits,
        }
    }
}
