//! What is measured: by which program, beside what, and what it should come to.

use serde::{Deserialize, Serialize};

/// The name of the group that measures builds, which is not in [`groups`].
pub(crate) const BUILDS: &str = "builds";

/// Things that one run of a program measures.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// The name, which the command line's filter looks at.
    pub(crate) name: &'static str,
    /// Our side.
    pub(crate) ours: Command,
    /// The baseline, where there is one.
    pub(crate) baseline: Option<Command>,
    /// Whether it comes to the same each time, so that one round is enough.
    pub(crate) is_exact: bool,
    /// The things.
    pub(crate) rows: Vec<Item>,
}

/// A program and what it is told. A word such as `@producer` stands for a file (see `Programs`).
#[derive(Clone, Debug)]
pub(crate) struct Command {
    /// The program.
    pub(crate) program: Program,
    /// Its arguments.
    pub(crate) words: Vec<&'static str>,
}

/// Programs that measure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Program {
    /// Ours: host/benches/measure.
    Measure,
    /// `guestlab` itself, where it says what is wanted.
    Guestlab,
    /// The C baseline, with guests as a student would write them.
    Plain,
    /// The C baseline, with guests that do all that ours do.
    SameWork,
}

/// One thing that is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    /// What it is.
    pub(crate) name: &'static str,
    /// The name that the programs give it.
    pub(crate) key: &'static str,
    /// The unit.
    pub(crate) unit: &'static str,
    /// Whether less is better.
    pub(crate) less_is_better: bool,
    /// What it is compared with.
    pub(crate) beside: Beside,
    /// What it should come to.
    pub(crate) target: Option<Target>,
}

/// What a thing is compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Beside {
    /// Nothing.
    Nothing,
    /// The same thing of the baseline's, by this name.
    Baseline(&'static str),
    /// Another thing of ours, by this name and its key.
    Own(&'static str, &'static str),
}

/// What a measurement should come to.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) enum Target {
    /// The ratio is no more than this.
    RatioAtMost(f64),
    /// The ratio is no less than this.
    RatioAtLeast(f64),
    /// The value is less than this.
    Below(f64),
}

/// The names of all groups.
pub(crate) fn names() -> Vec<&'static str> {
    groups().iter().map(|group| group.name).chain([BUILDS]).collect()
}

/// All groups but that of the builds, in the order in which they are measured.
pub(crate) fn groups() -> Vec<Group> {
    let exits = [("exit-protected", "protected"), ("exit-long", "long")];
    let turns = [
        ("turns-6-text", "6", true),
        ("turns-6", "6", false),
        ("turns-64-text", "64", true),
        ("turns-64", "64", false),
    ];
    let instructions = [
        ("instructions-6", "6", Program::SameWork),
        ("instructions-64", "64", Program::SameWork),
        ("instructions-6-plain", "6", Program::Plain),
        ("instructions-64-plain", "64", Program::Plain),
    ];
    let crowds = [("vms-2", "2"), ("vms-16", "16"), ("vms-64", "64"), ("vms-256", "256")];
    let mut groups: Vec<Group> = exits.map(|(name, mode)| exit(name, mode)).into();
    groups.extend(turns.map(|(name, capacity, has_text)| exchange(name, capacity, has_text)));
    groups
        .extend(instructions.map(|(name, capacity, baseline)| instruction_counts(name, capacity, baseline)));
    groups.push(life());
    groups.extend(crowds.map(|(name, vms)| crowd(name, vms)));
    groups.extend([free(), explorer()]);
    groups
}

/// A thing of which less is better.
fn cost(name: &'static str, key: &'static str, unit: &'static str, beside: Beside) -> Item {
    Item { name, key, unit, less_is_better: true, beside, target: None }
}

/// A thing of which more is better.
fn yield_of(name: &'static str, key: &'static str, unit: &'static str, beside: Beside) -> Item {
    Item { less_is_better: false, ..cost(name, key, unit, beside) }
}

impl Item {
    fn target(self, target: Target) -> Item {
        Item { target: Some(target), ..self }
    }
}

fn command(program: Program, words: &[&'static str]) -> Command {
    Command { program, words: words.to_vec() }
}

fn exit(name: &'static str, mode: &'static str) -> Group {
    let words = ["exit", mode, "50000"];
    let round_trip =
        cost("a port write, to the host and back", "exit_us", "µs", Beside::Baseline("bare loop"));
    Group {
        name,
        ours: command(Program::Measure, &words),
        baseline: Some(command(Program::Plain, &words)),
        is_exact: false,
        rows: vec![round_trip.target(Target::RatioAtMost(1.05))],
    }
}

fn exchange(name: &'static str, capacity: &'static str, has_text: bool) -> Group {
    let turns = if capacity == "64" { "1500" } else { "4000" };
    let mut words = vec!["prodcons", "protected", "@producer", "@consumer", capacity, turns, "7"];
    words.extend(has_text.then_some("@text"));
    let c = Beside::Baseline("C pair");
    let turns_per_second = yield_of("turns a second", "turns_per_second", "/s", c);
    let target = Target::RatioAtLeast(1.5);
    Group {
        name,
        ours: command(Program::Measure, &words),
        baseline: Some(command(Program::Plain, &words)),
        is_exact: false,
        rows: vec![
            if has_text { turns_per_second.target(target) } else { turns_per_second },
            yield_of("items a second", "items_per_second", "/s", c),
            cost("exits a turn", "exits_per_turn", "", c).target(Target::RatioAtMost(0.51)),
        ],
    }
}

fn instruction_counts(name: &'static str, capacity: &'static str, baseline: Program) -> Group {
    let words = ["instructions", "protected", "@producer", "@consumer", capacity, "1000", "7"];
    let beside = Beside::Baseline(if baseline == Program::Plain { "plain C" } else { "C, same work" });
    let row = |name, key| match baseline {
        Program::SameWork => cost(name, key, "", beside).target(Target::RatioAtMost(1.0)),
        _ => cost(name, key, "", beside),
    };
    Group {
        name,
        ours: command(Program::Measure, &words),
        baseline: Some(command(baseline, &words)),
        is_exact: true,
        rows: vec![
            row("a producer's turn", "producer_per_turn"),
            row("an item produced", "producer_per_item"),
            row("a consumer's turn", "consumer_per_turn"),
            row("an item consumed", "consumer_per_item"),
        ],
    }
}

fn life() -> Group {
    let words = ["life", "protected", "@producer", "20"];
    let c = Beside::Baseline("C");
    let stage = |name, key| cost(name, key, "µs", c);
    let new = Beside::Own("a new VM", "started_us");
    Group {
        name: "life",
        ours: command(Program::Measure, &words),
        baseline: Some(command(Program::Plain, &words)),
        is_exact: false,
        rows: vec![
            stage("create the VM", "create_vm_us"),
            stage("its memory", "memory_us"),
            stage("load the image", "load_us"),
            stage("its vCPU", "vcpu_us"),
            stage("up to the first exit from the guest's own code", "first_exit_us"),
            stage("all of that", "started_us").target(Target::RatioAtMost(1.1)),
            cost("reset", "reset_us", "µs", new).target(Target::RatioAtMost(0.1)),
            cost("reset, and up to the first exit again", "restarted_us", "µs", new),
            stage("drop", "drop_us"),
        ],
    }
}

fn crowd(name: &'static str, vms: &'static str) -> Group {
    let pair = Beside::Own("2 VMs", "pair_turns_per_second");
    Group {
        name,
        ours: command(Program::Measure, &["vms", "@producer", "@consumer", vms, "2000"]),
        baseline: None,
        is_exact: false,
        rows: vec![
            cost("from nothing until all have moved an item", "all_moved_ms", "ms", Beside::Nothing),
            cost("resident memory a VM, beside the guest's", "overhead_kib", "KiB", Beside::Nothing)
                .target(Target::Below(64.0)),
            yield_of("turns a second", "turns_per_second", "/s", pair).target(Target::RatioAtLeast(0.9)),
        ],
    }
}

fn free() -> Group {
    let alternate = Beside::Own("in turn", "alternate_turns_per_second");
    Group {
        name: "free",
        ours: command(Program::Measure, &["free", "@producer", "@consumer", "5000"]),
        baseline: None,
        is_exact: false,
        rows: vec![
            yield_of("turns a second, two VMs at once", "turns_per_second", "/s", alternate),
            yield_of("cores that they keep busy", "cores", "", Beside::Nothing),
        ],
    }
}

fn explorer() -> Group {
    let words = [
        "explore",
        "prodcons",
        "--depth=0",
        "--runs=300",
        "--quiet",
        "--format=jsonl",
        "--record",
        "@recording",
    ];
    Group {
        name: "explore",
        ours: command(Program::Guestlab, &words),
        baseline: None,
        is_exact: false,
        rows: vec![
            yield_of("runs a second", "runs_per_second", "/s", Beside::Nothing),
            cost("time outside of KVM_RUN", "outside_percent", "%", Beside::Nothing)
                .target(Target::Below(20.0)),
        ],
    }
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
                assert!(seen.insert((group.name, item.name)), "{} {}", group.name, item.name);
                assert!(!matches!(item.beside, Beside::Baseline(_)) || group.baseline.is_some());
                let needs_ratio =
                    matches!(item.target, Some(Target::RatioAtMost(_) | Target::RatioAtLeast(_)));
                assert!(!needs_ratio || !matches!(item.beside, Beside::Nothing), "{}", item.name);
            }
        }
    }
}
