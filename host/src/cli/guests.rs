//! The options of `run` and `explore` for the guests of an exchange.

use std::path::{Path, PathBuf};

use clap::Args;
use guest_abi::{mailbox::Quota, mode::CpuMode};

use crate::{
    cli::{
        common::image_path,
        values::{is_guest_name, parse_quota},
    },
    lab::exchange,
    lab::exchange::source::Source,
    runlog::ring_check::Orders,
    vmm::HvaPolicy,
};

/// The guests of an exchange, and their quotas.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of prodcons")]
pub(super) struct GuestsArgs {
    /// The items that a producer adds in a turn [default: random].
    ///
    /// A number of items is an order: the producer must add as many, or fill the ring.
    #[arg(long, value_name = "random|N", value_parser = parse_quota, allow_negative_numbers = true)]
    produce: Option<Quota>,
    /// The items that a consumer takes in a turn [default: random].
    ///
    /// A number of items is an order: the consumer must take as many, or empty the ring.
    #[arg(long, value_name = "random|N", value_parser = parse_quota, allow_negative_numbers = true)]
    consume: Option<Quota>,
    /// The number of producers, 1 to 16.
    ///
    /// They are the first VMs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16), allow_negative_numbers = true)]
    producers: Option<u8>,
    /// The number of consumers, 1 to 16.
    ///
    /// They are the VMs after the producers.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16), allow_negative_numbers = true)]
    consumers: Option<u8>,
    /// The producer's image or name [default: guest-producer].
    #[arg(long, value_name = "IMAGE|GUEST")]
    producer: Option<PathBuf>,
    /// The consumer's image or name [default: guest-consumer].
    #[arg(long, value_name = "IMAGE|GUEST")]
    consumer: Option<PathBuf>,
}

impl GuestsArgs {
    fn producer(&self, mode: CpuMode) -> Source {
        source(self.producer.as_deref(), exchange::PRODUCER, mode)
    }

    fn consumer(&self, mode: CpuMode) -> Source {
        source(self.consumer.as_deref(), exchange::CONSUMER, mode)
    }

    /// Returns the names of the guests whose images are in the folder of images.
    pub(super) fn needs(&self, mode: CpuMode) -> Vec<String> {
        [self.producer(mode), self.consumer(mode)].into_iter().filter_map(|source| source.guest).collect()
    }

    /// Returns the guests, in this mode if there is one. Sides without an option for their quota get `quota`.
    pub(super) fn guests(
        &self,
        mode: Option<CpuMode>,
        memory: u32,
        secrets: HvaPolicy,
        quota: Quota,
    ) -> exchange::Guests {
        let image_mode = mode.unwrap_or(CpuMode::Protected);
        exchange::Guests {
            producer: self.producer(image_mode),
            consumer: self.consumer(image_mode),
            producers: self.producers.unwrap_or(1).into(),
            consumers: self.consumers.unwrap_or(1).into(),
            orders: Orders { produce: self.produce.unwrap_or(quota), consume: self.consume.unwrap_or(quota) },
            mode,
            memory,
            secrets,
        }
    }

    /// Returns the number of VMs.
    pub(super) fn vms(&self) -> usize {
        usize::from(self.producers.unwrap_or(1)) + usize::from(self.consumers.unwrap_or(1))
    }

    /// Returns true if the quota of one side is 0.
    pub(super) fn move_nothing(&self) -> bool {
        [self.produce, self.consume].contains(&Some(Quota::Items(0)))
    }

    /// Returns the names of the given options.
    pub(super) fn given(&self) -> impl Iterator<Item = String> {
        self.options().into_iter().filter_map(|word| word.strip_prefix("--").map(str::to_owned))
    }

    /// Returns the given options with their values.
    fn options(&self) -> Vec<String> {
        let quota = |quota: Quota| match quota {
            Quota::Random => "random".into(),
            Quota::Items(items) => items.to_string(),
        };
        let items = [("--produce", self.produce.map(quota)), ("--consume", self.consume.map(quota))];
        self.who().into_iter().chain(words(items)).collect()
    }

    /// Returns those of them that choose the guests.
    pub(super) fn who(&self) -> Vec<String> {
        let Self { produce: _, consume: _, producers, consumers, producer, consumer } = self;
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        let options = [
            ("--producer", producer.as_ref().map(path)),
            ("--consumer", consumer.as_ref().map(path)),
            ("--producers", producers.map(|number| number.to_string())),
            ("--consumers", consumers.map(|number| number.to_string())),
        ];
        words(options).collect()
    }
}

/// Returns the words of the options that have a value.
fn words<const N: usize>(options: [(&str, Option<String>); N]) -> impl Iterator<Item = String> {
    let given = options.into_iter().filter_map(|(option, value)| Some([option.to_owned(), value?]));
    given.flatten()
}

/// Returns the image that an option names: a guest's, or a file if there is one or the text cannot be a guest's name.
fn source(given: Option<&Path>, default: &str, mode: CpuMode) -> Source {
    let guest = |name: &str| Source::guest(name, image_path(name, mode));
    match given {
        None => guest(default),
        Some(path) => match path.to_str().filter(|name| is_guest_name(name) && !path.is_file()) {
            Some(name) => guest(name),
            None => Source::file(path),
        },
    }
}
