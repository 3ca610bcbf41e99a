//! The measurements themselves: the baseline in C makes the run that we make, and both sides print
//! numbers. Nothing here looks at times.

#[path = "../../benches/measure/measurements/mod.rs"]
mod measurements;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::common::{expect, has_kvm, image, text};
use guestlab::process::jail::Jail;
use measurements::{Values, measure};
use tempfile::TempDir;

/// The baseline, compiled into a folder that goes with this.
struct Baseline(TempDir);

impl Baseline {
    /// `None`, and a word about it, where there is no gcc, no KVM, or no source.
    fn compile() -> Option<Self> {
        if Command::new("gcc").arg("--version").output().is_err() || !sources().is_dir() {
            eprintln!("skipped: no gcc here, or not the baseline's source");
            return None;
        }
        if !has_kvm() {
            return None;
        }
        let baseline = Self(tempfile::tempdir().expect("a folder"));
        let sources =
            fs::read_dir(sources()).expect("the sources").map(|entry| entry.expect("an entry").path());
        let sources = sources.filter(|path| path.extension().is_some_and(|ending| ending == "c"));
        gcc(Command::new("gcc").args(["-O2", "-o"]).arg(baseline.path("baseline")).args(sources));
        for guest in ["producer", "consumer"] {
            for (flags, name) in
                [("-DPLAIN", "plain"), ("-DSAME_WORK", "same-work"), ("-DFROM_REAL_MODE", "same-boot")]
            {
                let source = sources_of_guests().join(guest).with_extension("c");
                let options = format!("@{}", sources_of_guests().join("flags").display());
                let image = baseline.path(&format!("{guest}.{name}"));
                gcc(Command::new("gcc").args([&options, flags, "-o"]).arg(image).arg(source));
            }
        }
        Some(baseline)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A measurement of the baseline's; guests are named as they were compiled.
    fn measure(&self, words: &[&str]) -> Values {
        let words = words.iter().map(|word| match self.path(word) {
            path if path.exists() => path,
            _ => PathBuf::from(word),
        });
        let output = Command::new(self.path("baseline")).args(words).output().expect("it starts");
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("an object")
    }
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/baseline")
}

fn sources_of_guests() -> PathBuf {
    sources().join("guests")
}

fn gcc(command: &mut Command) {
    let output = command.output().expect("gcc starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// The lines of turns.
fn turns(transcript: &str) -> Vec<&str> {
    transcript.lines().filter(|line| line.starts_with("turn ")).collect()
}

/// A measurement of ours.
fn ours(words: &[&str]) -> Values {
    let (producer, consumer) = (image("guest-producer"), image("guest-consumer"));
    let words: Vec<String> = words
        .iter()
        .map(|word| match *word {
            "producer" => producer.to_str().expect("text").into(),
            "consumer" => consumer.to_str().expect("text").into(),
            word => word.into(),
        })
        .collect();
    measure(&words, &Jail::Open).expect("it can be measured")
}

#[test]
fn the_baseline_makes_the_same_run_item_by_item_in_two_exits_a_turn() {
    let Some(baseline) = Baseline::compile() else { return };
    for (capacity, kind) in [("6", "plain"), ("64", "same-work"), ("1", "plain")] {
        let file = baseline.path("text");
        let (producer, consumer) = (format!("producer.{kind}"), format!("consumer.{kind}"));
        let theirs = baseline.measure(&[
            "prodcons",
            "protected",
            &producer,
            &consumer,
            capacity,
            "200",
            "7",
            file.to_str().expect("text"),
        ]);
        assert_eq!(theirs["exits_per_turn"], 2.0);
        let (out, _) = expect(&["run", "prodcons", "--capacity", capacity, "--turns=200", "--seed=7"], 0);
        assert!(out.ends_with("what came out is what went in, in order\n"), "{out}");
        let text = fs::read_to_string(file).expect("the text");
        assert_eq!(turns(&text), turns(&out), "capacity {capacity}");
        assert_eq!(turns(&text).len(), 200);
    }
}

#[test]
fn both_sides_count_instructions_and_the_same_twice() {
    let Some(baseline) = Baseline::compile() else { return };
    let words = |kind: &str| {
        let guest = |role: &str| if kind.is_empty() { role.into() } else { format!("{role}.{kind}") };
        let (producer, consumer) = (guest("producer"), guest("consumer"));
        ["instructions", "protected", &producer, &consumer, "6", "60", "7"].map(String::from)
    };
    let call = |words: [String; 7], count: &dyn Fn(&[&str]) -> Values| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (first, second) = (count(&words), count(&words));
        assert_eq!(first, second);
        first
    };
    let plain = call(words("plain"), &|words| baseline.measure(words));
    let same = call(words("same-work"), &|words| baseline.measure(words));
    let rust = call(words(""), &|words| ours(words));
    for key in ["producer_per_turn", "consumer_per_turn", "producer_per_item", "consumer_per_item"] {
        let value = |values: &Values| values[key].as_f64().expect("a number");
        assert!(value(&plain) < value(&same), "{key}: the account of items costs something");
        // Each does what it does in some dozens of instructions; a count of exits or of nothing is none.
        assert!((10.0..1000.0).contains(&value(&rust)), "{key}: {}", value(&rust));
    }
}

#[test]
fn every_measurement_comes_to_numbers_on_both_sides() {
    let Some(baseline) = Baseline::compile() else { return };
    for mode in ["protected", "long"] {
        assert_eq!(ours(&["exit", mode, "100"]).len(), 1);
        assert_eq!(baseline.measure(&["exit", mode, "100"]).len(), 1);
    }
    let (life, other) = (
        ours(&["life", "protected", "producer", "2"]),
        baseline.measure(&["life", "protected", "producer.plain", "2"]),
    );
    assert!(other.keys().all(|stage| life.contains_key(stage)), "{life:?} {other:?}");
    let booted = baseline.measure(&["life", "real", "producer.same-boot", "2"]);
    assert!(booted.keys().eq(other.keys()), "{booted:?}");
    let exchange = ours(&["prodcons", "protected", "producer", "consumer", "6", "200", "7"]);
    // One exit a turn, and one to attach each mailbox.
    assert_eq!(exchange["exits_per_turn"], 202.0 / 200.0);
    assert_eq!(ours(&["free", "producer", "consumer", "100"]).len(), 3);
    assert_eq!(ours(&["vms", "producer", "consumer", "4", "40"]).len(), 4);
    assert_eq!(ours(&["soft", "long", "1000", "10", "3"]).len(), 6);
}
