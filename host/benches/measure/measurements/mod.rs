//! The measurements, one a file. They call the library's own paths, as the commands do.

mod clock;
mod crowd;
mod exchange;
mod exit;
mod instructions;
mod life;

use std::{error::Error, path::Path, time::Duration};

use guestlab::{
    engines,
    kvm::Kvm,
    lab::{error, limits::Limits, vm::Platform},
    process::jail::Jail,
};
use serde_json::{Map, Value};

/// The results of a measurement: names and numbers.
pub(crate) type Values = Map<String, Value>;

/// The error of a measurement.
pub(crate) type Outcome = Result<Values, Box<dyn Error>>;

/// The measurements.
const USAGE: &str = "what is to be measured? (`cargo xtask bench` says it)
  exit MODE EXITS
  life MODE IMAGE VMS
  prodcons MODE PRODUCER CONSUMER CAPACITY TURNS SEED [FILE]
  instructions MODE PRODUCER CONSUMER CAPACITY TURNS SEED
  free PRODUCER CONSUMER TURNS
  vms PRODUCER CONSUMER VMS TURNS";

/// Makes the measurement that the words name. The baseline takes the same; that of our images' modes is
/// for its sake, since ours say what they are. What is one run is made in this jail, which the calling thread
/// does not leave again; the others are several.
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
        _ => Err(USAGE.into()),
    }
}

fn platform() -> Result<Platform, error::Error> {
    engines::kvm(Path::new(Kvm::DEVICE), false, None)
}

/// No measurement takes longer.
fn limits() -> Limits {
    Limits::deadline(Duration::from_secs(300))
}

/// A number of things, each of which took as long as this in the mean, in microseconds.
fn mean_us(spent: Duration, count: u64) -> f64 {
    spent.as_secs_f64() * 1e6 / as_f64(count)
}

/// So many things a second.
fn rate(count: u64, spent: Duration) -> f64 {
    as_f64(count) / spent.as_secs_f64()
}

/// A number that is far from 2^53.
#[expect(clippy::cast_precision_loss, reason = "measurements count to some millions")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

fn values<const N: usize>(values: [(&str, f64); N]) -> Values {
    values.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}
