//! The measurements, one in each file. They use the library as the commands do.

mod clock;
mod crowd;
mod exchange;
mod exit;
mod instructions;
mod life;
mod soft;

use std::{error::Error, path::Path, time::Duration};

use clap::ValueEnum;
use guestlab::{
    engines::{self, Choice},
    kvm::Kvm,
    lab::{error, limits::Limits, vm::Platform},
    process::jail::Jail,
};
use serde_json::{Map, Value};

/// The result of a measurement: names and numbers.
pub(crate) type Values = Map<String, Value>;

/// Any error of a measurement.
pub(crate) type Outcome = Result<Values, Box<dyn Error>>;

/// The measurements.
const USAGE: &str = "what is to be measured? (`cargo xtask bench` says it)
  exit MODE EXITS
  life MODE IMAGE VMS
  prodcons MODE PRODUCER CONSUMER CAPACITY TURNS SEED [FILE]
  instructions MODE PRODUCER CONSUMER CAPACITY TURNS SEED
  free PRODUCER CONSUMER TURNS
  vms PRODUCER CONSUMER VMS TURNS
  soft MODE INSTRUCTIONS EXITS CPUS";

/// Makes the measurement that the arguments name. The baseline takes the same arguments, and only it needs the one for the
/// mode of an image. A measurement of one run uses this jail, which the calling thread cannot leave.
pub(crate) fn measure(words: &[String], jail: &Jail) -> Outcome {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["exit", mode, exits] => exit::measure(mode, exits.parse()?, jail),
        ["life", _, image, vms] => life::measure(Path::new(image), vms.parse()?),
        ["prodcons", _, producer, consumer, capacity, turns, seed, ref text @ ..] if text.len() < 2 => {
            let guests = exchange::guests(producer, consumer, 1);
            let (capacity, turns, seed) = (capacity.parse()?, turns.parse()?, seed.parse()?);
            exchange::measure(guests, capacity, turns, seed, text.first().copied(), jail)
        }
        ["instructions", _, producer, consumer, capacity, turns, seed] => {
            let guests = exchange::guests(producer, consumer, 1);
            instructions::count(guests, capacity.parse()?, turns.parse()?, seed.parse()?)
        }
        ["free", producer, consumer, turns] => {
            exchange::measure_free(exchange::guests(producer, consumer, 1), turns.parse()?)
        }
        ["vms", producer, consumer, vms, turns] => {
            crowd::measure(producer, consumer, vms.parse()?, turns.parse()?)
        }
        ["soft", mode, instructions, exits, cpus] => {
            soft::measure(mode, instructions.parse()?, exits.parse()?, cpus.parse()?)
        }
        _ => Err(USAGE.into()),
    }
}

/// Opens KVM, or the engine that the environment names.
fn platform() -> Result<Platform, error::Error> {
    let named = std::env::var("GUESTLAB_ENGINE").ok();
    let choice = named.and_then(|name| Choice::from_str(&name, false).ok()).unwrap_or(Choice::Kvm);
    engines::open(choice, Path::new(Kvm::DEVICE), false, None)
}

/// The most time of a measurement.
fn limits() -> Limits {
    Limits::deadline(Duration::from_secs(300))
}

/// Returns the mean time of one of several things, in microseconds.
fn mean_us(spent: Duration, count: u64) -> f64 {
    spent.as_secs_f64() * 1e6 / as_f64(count)
}

/// Returns a number per second.
fn rate(count: u64, spent: Duration) -> f64 {
    as_f64(count) / spent.as_secs_f64()
}

/// Converts a number that is far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "measurements count to some millions")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

fn values<const N: usize>(values: [(&str, f64); N]) -> Values {
    values.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}
