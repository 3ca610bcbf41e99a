//! The catalog of measurements.

use serde::{Deserialize, Serialize};

/// The name of the group that measures builds, which is not in [`groups`].
pub(crate) const BUILDS: &str = "builds";

/// Things that one run of a program measures.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    /// The engine of our side.
    pub(crate) engine: Engine,
    pub(crate) program: Program,
    /// The arguments of the program and of the baseline. A word such as `@producer` stands for a file (see `Programs`).
    pub(crate) words: Vec<&'static str>,
    pub(crate) baseline: Option<Program>,
    /// True for exact results, which need one round.
    pub(crate) is_exact: bool,
    pub(crate) rows: Vec<Item>,
}

/// What runs the guests of our side. The baseline in C always uses KVM.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Engine {
    Kvm,
    Soft,
    /// Nothing runs a guest.
    None,
}

impl Engine {
    /// Returns the name, as `--engine` takes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Soft => "soft",
            Self::None => "",
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Program {
    /// Ours: host/benches/measure.
    Measure,
    Guestlab,
    /// The C baseline, with guests as a student writes them.
    Plain,
    /// The C baseline, with guests that do the same work as ours.
    SameWork,
    /// As `SameWork`, and the guests begin in real mode and switch themselves.
    SameBoot,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) name: &'static str,
    /// Its name in the programs' output.
    pub(crate) key: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) less_is_better: bool,
    pub(crate) beside: Beside,
    pub(crate) target: Option<Target>,
}

/// The other side of a comparison, with its name for people.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Beside {
    Nothing,
    /// The same thing, measured by the baseline.
    Baseline(&'static str),
    /// Another thing of ours, by its key.
    Own(&'static str, &'static str),
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) enum Target {
    RatioAtMost(f64),
    RatioAtLeast(f64),
    Below(f64),
    AtLeast(f64),
}

pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = groups().iter().map(|group| group.name).chain([BUILDS]).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// All groups but that of the builds, in the order of measuring.
pub(crate) fn groups() -> Vec<Group> {
    on_kvm().into_iter().chain(on_the_interpreter()).collect()
}

/// The groups of the interpreter. C is measured in the same run, under KVM.
fn on_the_interpreter() -> Vec<Group> {
    let turns = |least| ("turns_per_second", Target::RatioAtLeast(least));
    let exits = ("exits_per_turn", Target::RatioAtMost(0.51));
    let memory = ("overhead_kib", Target::Below(64.0));
    let groups = vec![
        long_exchange("turns-6-text-plain", "6", true).with_targets(&[turns(10.0), exits]),
        long_exchange("turns-6-plain", "6", false).with_targets(&[turns(25.0), exits]),
        long_exchange("turns-64-text-plain", "64", true).with_targets(&[turns(10.0), exits]),
        long_exchange("turns-64-plain", "64", false).with_targets(&[turns(25.0), exits]),
        life("life-plain", "protected", Program::Plain, "plain C", 1.25)
            .with_targets(&[("started_us", Target::RatioAtMost(0.1))]),
        vms("vms-2", "2").with_targets(&[memory]),
        vms("vms-256", "256").with_targets(&[memory, turns(0.95)]),
        free(),
        explore("explore prodcons --depth=0 --runs=200000 --quiet --format=jsonl --record @recording")
            .with_targets(&[("runs_per_second", Target::AtLeast(50_000.0))]),
        soft("soft-protected", "protected"),
        soft("soft-long", "long"),
    ];
    groups.into_iter().map(|group| Group { engine: Engine::Soft, ..group }).collect()
}

fn on_kvm() -> Vec<Group> {
    vec![
        exit("exit-protected", "protected"),
        exit("exit-long", "long"),
        exchange("turns-6-text", "6", true, Program::SameWork),
        exchange("turns-6-text-plain", "6", true, Program::Plain),
        exchange("turns-6-plain", "6", false, Program::Plain),
        exchange("turns-64-text", "64", true, Program::SameWork),
        exchange("turns-64-text-plain", "64", true, Program::Plain),
        exchange("turns-64-plain", "64", false, Program::Plain),
        instructions("instructions-6", "6", Program::SameWork),
        instructions("instructions-64", "64", Program::SameWork),
        instructions("instructions-6-plain", "6", Program::Plain),
        instructions("instructions-64-plain", "64", Program::Plain),
        life("life", "real", Program::SameBoot, "C, same work", 1.1),
        life("life-plain", "protected", Program::Plain, "plain C", 1.25),
        vms("vms-2", "2"),
        vms("vms-16", "16"),
        vms("vms-64", "64"),
        vms("vms-256", "256"),
        free(),
        explore("explore prodcons --depth=0 --runs=300 --quiet --format=jsonl --record @recording"),
    ]
}

fn cost(name: &'static str, key: &'static str, unit: &'static str, beside: Beside) -> Item {
    Item { name, key, unit, less_is_better: true, beside, target: None }
}

fn output_of(name: &'static str, key: &'static str, unit: &'static str, beside: Beside) -> Item {
    Item { less_is_better: false, ..cost(name, key, unit, beside) }
}

impl Item {
    fn target(self, target: Target) -> Item {
        Item { target: Some(target), ..self }
    }
}

fn group(name: &'static str, words: &[&'static str], baseline: Option<Program>, rows: Vec<Item>) -> Group {
    let (engine, program) = (Engine::Kvm, Program::Measure);
    Group { name, engine, program, words: words.to_vec(), baseline, is_exact: false, rows }
}

impl Group {
    /// The same measurement with these targets and no others, each by its key.
    fn with_targets(mut self, targets: &[(&str, Target)]) -> Group {
        for row in &mut self.rows {
            row.target = targets.iter().find(|(key, _)| *key == row.key).map(|&(_, target)| target);
        }
        self
    }
}

fn exit(name: &'static str, mode: &'static str) -> Group {
    let round_trip =
        cost("a port write, to the host and back", "exit_us", "µs", Beside::Baseline("bare loop"));
    let rows = vec![round_trip.target(Target::RatioAtMost(1.04))];
    group(name, &["exit", mode, "50000"], Some(Program::Plain), rows)
}

fn exchange(name: &'static str, capacity: &'static str, has_text: bool, baseline: Program) -> Group {
    let turns = if capacity == "64" { "1500" } else { "4000" };
    let words = ["prodcons", "protected", "@producer", "@consumer", capacity, turns, "7", "@text"];
    let words = if has_text { &words[..] } else { &words[..7] };
    let (c, target) = match baseline {
        Program::SameWork => (Beside::Baseline("C, same work"), Some(Target::RatioAtLeast(1.15))),
        _ => (Beside::Baseline("plain C"), None),
    };
    let turns_per_second = output_of("turns a second", "turns_per_second", "/s", c);
    let rows = vec![
        Item { target, ..turns_per_second },
        output_of("items a second", "items_per_second", "/s", c),
        cost("exits a turn", "exits_per_turn", "", c).target(Target::RatioAtMost(0.51)),
    ];
    group(name, words, Some(baseline), rows)
}

/// Enough turns that the start of the process and of the guests does not count.
fn long_exchange(name: &'static str, capacity: &'static str, has_text: bool) -> Group {
    let mut group = exchange(name, capacity, has_text, Program::Plain);
    group.words[5] = if capacity == "64" { "20000" } else { "60000" };
    group
}

fn instructions(name: &'static str, capacity: &'static str, baseline: Program) -> Group {
    let words = ["instructions", "protected", "@producer", "@consumer", capacity, "1000", "7"];
    let (beside, target) = match baseline {
        Program::SameWork => ("C, same work", Some(Target::RatioAtMost(1.0))),
        _ => ("plain C", None),
    };
    let rows = [
        ("a producer's turn", "producer_per_turn"),
        ("an item produced", "producer_per_item"),
        ("a consumer's turn", "consumer_per_turn"),
        ("an item consumed", "consumer_per_item"),
    ];
    let rows = rows.map(|(name, key)| Item { target, ..cost(name, key, "", Beside::Baseline(beside)) });
    Group { is_exact: true, ..group(name, &words, Some(baseline), rows.into()) }
}

fn life(name: &'static str, mode: &'static str, baseline: Program, beside: &'static str, most: f64) -> Group {
    let stage = |name, key| cost(name, key, "µs", Beside::Baseline(beside));
    let new = Beside::Own("a new VM", "started_us");
    let rows = vec![
        stage("create the VM, its memory and its vCPU", "create_us"),
        stage("load the image", "load_us"),
        stage("up to the first exit from the guest's own code", "first_exit_us"),
        stage("all of that", "started_us").target(Target::RatioAtMost(most)),
        cost("reset", "reset_us", "µs", new).target(Target::RatioAtMost(0.1)),
        cost("reset, and up to the first exit again", "restarted_us", "µs", new),
        stage("drop", "drop_us"),
    ];
    group(name, &["life", mode, "@producer", "20"], Some(baseline), rows)
}

fn vms(name: &'static str, vms: &'static str) -> Group {
    let pair = Beside::Own("2 VMs", "pair_turns_per_second");
    let rows = vec![
        cost("from nothing until all have moved an item", "all_moved_ms", "ms", Beside::Nothing),
        cost("resident memory a VM, beside the guest's", "overhead_kib", "KiB", Beside::Nothing)
            .target(Target::Below(64.0)),
        output_of("turns a second", "turns_per_second", "/s", pair).target(Target::RatioAtLeast(0.9)),
    ];
    group(name, &["vms", "@producer", "@consumer", vms, "20000"], None, rows)
}

fn free() -> Group {
    let alternate = Beside::Own("in turn", "alternate_turns_per_second");
    let rows = vec![
        output_of("turns a second, two VMs at once", "turns_per_second", "/s", alternate),
        output_of("cores that they keep busy", "cores", "", Beside::Nothing),
    ];
    group("free", &["free", "@producer", "@consumer", "5000"], None, rows)
}

/// A search at random. `words` has the number of its runs.
fn explore(words: &'static str) -> Group {
    let rows = vec![
        output_of("runs a second", "runs_per_second", "/s", Beside::Nothing),
        cost("time outside of guests", "outside_percent", "%", Beside::Nothing).target(Target::Below(20.0)),
    ];
    let words: Vec<_> = words.split(' ').collect();
    Group { program: Program::Guestlab, ..group("explore", &words, None, rows) }
}

/// The interpreter alone.
fn soft(name: &'static str, mode: &'static str) -> Group {
    let rows = vec![
        output_of("million instructions a second", "mips", "", Beside::Nothing)
            .target(Target::AtLeast(150.0)),
        cost("a port write, to the caller and back", "exit_ns", "ns", Beside::Nothing)
            .target(Target::Below(60.0)),
        cost("a new CPU with 2 MiB", "create_us", "µs", Beside::Nothing).target(Target::Below(20.0)),
        cost("save a state with 64 pages, and return to it", "moment_us", "µs", Beside::Nothing)
            .target(Target::Below(10.0)),
        cost("the same, and 32 pages written between", "moment_32_us", "µs", Beside::Nothing)
            .target(Target::Below(42.0)),
        cost("10,000 idle CPUs", "idle_mib", "MiB", Beside::Nothing).target(Target::Below(1024.0)),
    ];
    group(name, &["soft", mode, "50000000", "1000000", "10000"], None, rows)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own_and_a_baseline_where_it_needs_one() {
        let mut seen = BTreeSet::new();
        for group in groups() {
            for item in &group.rows {
                let name = (group.engine.name(), group.name, item.name);
                assert!(seen.insert(name), "{name:?}");
                assert!(!matches!(item.beside, Beside::Baseline(_)) || group.baseline.is_some());
                let needs_ratio =
                    matches!(item.target, Some(Target::RatioAtMost(_) | Target::RatioAtLeast(_)));
                assert!(!needs_ratio || !matches!(item.beside, Beside::Nothing), "{}", item.name);
            }
        }
    }
}
