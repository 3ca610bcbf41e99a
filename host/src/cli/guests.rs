//! The guests of an exchange, as `run` and `explore` name them.

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

/// Who takes part in an exchange, and how much each moves.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of prodcons")]
pub(super) struct GuestsArgs {
    /// The items that the producer adds in a turn: random, or exactly this number as far as there is room
    /// [default: random].
    #[arg(long, value_name = "random|N", value_parser = parse_quota, allow_negative_numbers = true)]
    produce: Option<Quota>,
    /// The items that the consumer takes in a turn: random, or exactly this number as far as there are so many
    /// [default: random].
    #[arg(long, value_name = "random|N", value_parser = parse_quota, allow_negative_numbers = true)]
    consume: Option<Quota>,
    /// The number of producers, 1 to 16: the first VMs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16), allow_negative_numbers = true)]
    producers: Option<u8>,
    /// The number of consumers, 1 to 16: the VMs after the producers.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16), allow_negative_numbers = true)]
    consumers: Option<u8>,
    /// Another producer: an image, or the name of a guest [default: guest-producer].
    #[arg(long, value_name = "IMAGE|GUEST")]
    producer: Option<PathBuf>,
    /// Another consumer: an image, or the name of a guest [default: guest-consumer].
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

    /// The guests whose images are taken from the images' folder.
    pub(super) fn needs(&self, mode: CpuMode) -> Vec<String> {
        [self.producer(mode), self.consumer(mode)].into_iter().filter_map(|source| source.guest).collect()
    }

    /// The guests, in this mode where one was asked for; those without a number of items of their own
    /// move `quota`.
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

    /// The number of VMs.
    pub(super) fn vms(&self) -> usize {
        usize::from(self.producers.unwrap_or(1)) + usize::from(self.consumers.unwrap_or(1))
    }

    /// Whether one side is told to move nothing.
    pub(super) fn move_nothing(&self) -> bool {
        [self.produce, self.consume].contains(&Some(Quota::Items(0)))
    }

    /// Which of these options were given.
    pub(super) fn given(&self) -> impl Iterator<Item = String> {
        self.options().into_iter().filter_map(|word| word.strip_prefix("--").map(str::to_owned))
    }

    /// The options that were given, as they would be given again.
    fn options(&self) -> Vec<String> {
        let quota = |quota: Quota| match quota {
            Quota::Random => "random".into(),
            Quota::Items(items) => items.to_string(),
        };
        let items = [("--produce", self.produce.map(quota)), ("--consume", self.consume.map(quota))];
        self.who().into_iter().chain(words(items)).collect()
    }

    /// Those of them that say which guests take part.
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

/// The words of those options that have a value.
fn words<const N: usize>(options: [(&str, Option<String>); N]) -> impl Iterator<Item = String> {
    let given = options.into_iter().filter_map(|(option, value)| Some([option.to_owned(), value?]));
    given.flatten()
}

/// What an option names: a guest, unless there is such a file or it can be no guest's name.
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
