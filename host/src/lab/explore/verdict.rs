//! The verdict of the explorer, as text or as one JSON object.

use std::{path::Path, time::Duration};

use guest_abi::{mailbox::Quota, transition::Role};

use super::{
    config::ExploreConfig,
    outcome::{Failure, Moved},
    pool::Account,
    shrink::Shrunk,
    trial::Trial,
};
use crate::runlog::json;
use crate::{
    lab::{error::Error, events::crash_event, exchange::Vms, guest_end::GuestEnd},
    output,
    runlog::{
        command_line::CommandLine,
        event::Guest,
        sink::Form,
        text::escape_line,
        verdict::{self, Reached, Searched, Shard, States, Verdict},
    },
};

/// Prints what will be searched, as text only. In JSON the verdict has it.
pub(super) fn report_search(config: &ExploreConfig, vms: &Vms, runs: u64, ordered: u64) -> Result<(), Error> {
    if config.form == Form::JsonLines || config.quiet {
        return Ok(());
    }
    let (smallest, largest) = config.capacities.items();
    let capacities = match smallest == largest {
        true => format!("capacity {smallest}"),
        false => format!("capacities {smallest} to {largest}"),
    };
    let ordered = match ordered {
        0 => String::new(),
        runs => format!(", the same with fixed numbers of items ({runs} runs)"),
    };
    let work = match config.items {
        Some(items) => format!("all states of exchanges of {items} items"),
        None => format!(
            "every schedule of up to {} turns ({runs} runs){ordered}, then {}",
            config.depth,
            random_part(config)
        ),
    };
    let shard = config.shard.map_or(String::new(), |Shard { number, of }| format!("; part {number} of {of}"));
    output::line(&format!(
        "explore prodcons: {capacities}, {work}; seed {}{shard} (guest ABI {})",
        config.seed,
        guest_abi::VERSION
    ))?;
    for Guest { vm, name, role, sha256 } in vms.guests() {
        let role = role.map_or("", guest_abi::transition::Role::name);
        output::line(&format!(
            "  VM {vm}  {}, {role}, sha256 {}",
            escape_line(&name),
            &sha256[..16.min(sha256.len())]
        ))?;
    }
    Ok(())
}

fn random_part(config: &ExploreConfig) -> String {
    let runs = config.runs.map(|runs| format!("{runs} random ones"));
    let time = config.time.map(|time| format!("random ones for {} s", time.as_secs_f64()));
    [runs, time].into_iter().flatten().collect::<Vec<_>>().join(", or ")
}

/// The result of a search.
pub(super) struct Outcome<'a> {
    pub(super) config: &'a ExploreConfig,
    pub(super) vms: &'a Vms,
    pub(super) searched: Searched,
    pub(super) account: &'a Account,
    /// The number of threads that made the search.
    pub(super) threads: u64,
    /// The time that the search took.
    pub(super) time: Duration,
    pub(super) moved: Moved,
    pub(super) found: Option<&'a Failure>,
}

impl Outcome<'_> {
    /// Writes the verdict to standard output.
    pub(super) fn print(&self) -> Result<(), Error> {
        match self.config.form {
            Form::Text => output::line(self.text().trim_end()),
            Form::JsonLines => output::line(&json::text(&self.json())),
        }
    }

    /// Returns the text, with a last line such as `10240 runs with 51200 turns in 9.8 s: 1045 runs a second`.
    fn text(&self) -> String {
        let text = match self.found {
            None => searched_text(&self.json()),
            Some(found) => self.found_text(found),
        };
        text + &cost_text(&self.json())
    }

    fn found_text(&self, found: &Failure) -> String {
        let Failure { first, after, shrunk, gave_up, in_runs, repeats, recorded, .. } = found;
        let first = format!("found in run {after}: {}\n", shown(first));
        if !repeats {
            return first + "the same run succeeds when it is repeated, so it cannot be shrunk\n";
        }
        let shortest = match (gave_up, shrunk.shortest) {
            (true, _) => "there was no time to try everything",
            (false, true) => "no shorter schedule fails with this capacity and seed",
            (false, false) => "no turn can be left out",
        };
        let recording = escape_line(&shown_path(&self.config.recording));
        let recording = if *recorded { recording } else { format!("{recording} could not be written") };
        format!(
            "{first}shrunk in {in_runs} more: {}; {shortest}\nthis repeats it:\n  {}\nrecording: {recording}\n",
            shown(&shrunk.trial),
            escape_line(&self.command(found)),
        )
    }

    /// Returns the command that shows a failure.
    fn command(&self, Failure { shrunk: Shrunk { trial, .. }, error, .. }: &Failure) -> String {
        let exchange = self.config.exchange(trial);
        let timeout = || exchange.limits.timeout.as_secs_f64();
        CommandLine::run(["prodcons".to_owned()])
            .words(&self.config.options)
            .maybe("--produce", fixed(trial.orders.produce))
            .maybe("--consume", fixed(trial.orders.consume))
            .option("--capacity", trial.capacity.items())
            .option("--seed", trial.seed)
            .option("--schedule", &exchange.schedule)
            .maybe("--turns", exchange.turns)
            .maybe("--timeout", matches!(error.end, GuestEnd::Deadline(_)).then(timeout))
            .to_string()
    }

    fn json(&self) -> Verdict {
        let (smallest, largest) = self.config.capacities.items();
        let Account { cost, reached, records } = self.account;
        Verdict {
            event: "verdict".into(),
            experiment: "prodcons".into(),
            verdict: match (self.found, &self.moved.findings[..]) {
                (Some(_), _) => "failed".into(),
                (None, []) => "ok".into(),
                (None, _) => "finding".into(),
            },
            abi: guest_abi::VERSION.to_string(),
            seed: self.config.seed,
            depth: self.config.depth,
            capacities: [smallest, largest],
            engine: self.vms.engine().into(),
            guests: self.vms.guests(),
            orders: [Role::Producer, Role::Consumer].map(|role| fixed(self.config.guests.orders.of(role))),
            shard: self.config.shard,
            searched: self.searched,
            states: self.config.items.map(|items| States { items, reached: reached.clone() }),
            runs: cost.runs,
            turns: cost.turns,
            moved: self.moved.items.clone(),
            records: (1..).zip(records.iter().cloned()).collect(),
            findings: if self.found.is_some() { Vec::new() } else { self.moved.findings.clone() },
            seconds: self.time.as_secs_f64(),
            threads: self.threads,
            guest_seconds: cost.guest.as_secs_f64(),
            runs_per_second: rate(cost.runs, self.time.as_secs_f64()),
            failure: self.found.map(|found| verdict::Failure {
                trial: trial_of(&found.shrunk.trial),
                shortest: found.shrunk.shortest,
                first: trial_of(&found.first),
                found_in_run: found.after,
                repeatable: found.repeats,
                crash: crash_event(&found.error),
                command: self.command(found),
                recording: found.recorded.then(|| self.config.recording.display().to_string()),
            }),
        }
    }
}

/// Returns the number of runs a second.
pub(super) fn rate(runs: u64, seconds: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "it is a rate for people")]
    let runs = runs as f64;
    runs / seconds.max(f64::MIN_POSITIVE)
}

/// Returns the text of a search without a failure. Findings follow as the error.
pub(super) fn searched_text(verdict: &Verdict) -> String {
    let outcome = match verdict.findings.is_empty() {
        true => "no failure",
        false => "no failure, but a finding",
    };
    if let Some(States { items, reached: Reached { states, stopped } }) = &verdict.states {
        let what = format!("exchanges of {items} items, seed {}", verdict.seed);
        return match stopped {
            None => format!(
                "{outcome}: all reachable states ({states}) hold, for schedules of any length ({what})\n"
            ),
            Some(reason) => format!(
                "{outcome}: {states} states hold, and there may be others ({what}): {}\n",
                escape_line(reason)
            ),
        };
    }
    let Searched { short, ordered, random, .. } = verdict.searched;
    let ordered = match ordered {
        0 => String::new(),
        runs => format!("{runs} of them with fixed numbers of items, "),
    };
    format!(
        "{outcome}: {short} runs of every short schedule at every capacity, {ordered}{random} of random schedules\n"
    )
}

/// Returns the text of the work, with a last line such as `10240 runs with 51200 turns in 9.8 s: 1045 runs a second`.
pub(super) fn cost_text(verdict: &Verdict) -> String {
    let moved = verdict.moved.iter().map(|(vm, items)| {
        let s = if *items == 1 { "" } else { "s" };
        format!("VM {vm} {items} item{s}")
    });
    let moved = moved.collect::<Vec<_>>().join(", ");
    let Verdict { runs, turns, seconds, runs_per_second, .. } = verdict;
    let work = match &verdict.states {
        Some(_) => format!("{turns} turns in {seconds:.1} s: {:.0} turns a second", rate(*turns, *seconds)),
        None => {
            format!("{runs} runs with {turns} turns in {seconds:.1} s: {runs_per_second:.0} runs a second")
        }
    };
    format!("moved in all: {moved}\n{work}\n")
}

/// Returns the number of items of a fixed quota.
fn fixed(quota: Quota) -> Option<u32> {
    match quota {
        Quota::Random => None,
        Quota::Items(items) => Some(items),
    }
}

/// Returns a trial as it is in JSON.
fn trial_of(trial: &Trial) -> verdict::Trial {
    verdict::Trial {
        capacity: trial.capacity.items(),
        seed: trial.seed,
        produce: fixed(trial.orders.produce),
        consume: fixed(trial.orders.consume),
        schedule: trial.schedule(),
    }
}

/// Returns a path relative to the current folder, if it is in it.
fn shown_path(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let short = here.and_then(|here| path.strip_prefix(here).ok());
    short.unwrap_or(path).display().to_string()
}

/// Returns text such as `capacity 6, seed 12, schedule 1121`.
fn shown(trial: &Trial) -> String {
    let schedule = match trial.turns.is_empty() {
        true => "before the first turn".into(),
        false => format!("schedule {}", trial.schedule()),
    };
    let order = |verb: &str, quota| match quota {
        Quota::Random => String::new(),
        Quota::Items(items) => format!("{verb} {items}, "),
    };
    let (produce, consume) = (order("produce", trial.orders.produce), order("consume", trial.orders.consume));
    format!("capacity {}, seed {}, {produce}{consume}{schedule}", trial.capacity.items(), trial.seed)
}
