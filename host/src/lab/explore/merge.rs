//! The verdicts of the parts of a search, made into one.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::verdict::{cost_text, rate, searched_text};
use crate::{
    lab::error::Error,
    output,
    process::files,
    runlog::{
        conduct::Weight,
        event::{Finding, Guest},
        json,
        sink::Form,
        text::escape_line,
        verdict::{Shard, States, Verdict},
    },
};

/// The most bytes of a verdict: one line with a bounded report.
const MAX_SIZE: u64 = 16 << 20;

/// Reads the verdicts of all parts of one search, each a file of `explore --shard K/N --format jsonl`, and prints the
/// verdict of the whole.
///
/// # Errors
///
/// [`Error::Found`] or [`Error::Findings`] as the whole search; [`Error::Usage`] for a file that is not such a verdict, and
/// for parts that do not make one search.
pub fn merge(paths: &[PathBuf], form: Form) -> Result<(), Error> {
    let parts = paths.iter().map(|path| Ok((read(path)?, path))).collect::<Result<Vec<_>, Error>>()?;
    let mut whole: Option<(Verdict, &PathBuf)> = None;
    let mut shards = BTreeMap::new();
    for ((verdict, shard), path) in parts {
        if let Some(other) = shards.insert(shard.number, path) {
            return Err(bad(path, &format!("it has the same part as {}: {}", other.display(), shard.number)));
        }
        whole = Some(match whole {
            None => (verdict, path),
            Some((whole, first)) => match difference(&whole, &verdict) {
                None => (add(whole, verdict), first),
                Some(what) => {
                    return Err(bad(
                        path,
                        &format!("it is of another search than {}: {what}", first.display()),
                    ));
                }
            },
        });
    }
    let Some((mut whole, first)) = whole else {
        return Err(Error::Usage("--merge takes the verdicts of all parts".into()));
    };
    let of = whole.shard.take().map_or(0, |shard| shard.of);
    if let Some(missing) = (1..=of).find(|number| !shards.contains_key(number)) {
        return Err(bad(first, &format!("it is a part of {of}, and part {missing} is missing")));
    }
    judge(&mut whole);
    match form {
        Form::Text => output::line(text(&whole).trim_end())?,
        Form::JsonLines => output::line(&json::text(&whole))?,
    }
    match whole.failure {
        Some(failure) => Err(Error::Found(Box::new(failure.crash))),
        None if whole.findings.is_empty() => Ok(()),
        None => Err(Error::Findings(whole.findings)),
    }
}

fn bad(path: &Path, problem: &str) -> Error {
    Error::Usage(format!("cannot merge {}: {problem}", path.display()))
}

fn read(path: &Path) -> Result<(Verdict, Shard), Error> {
    let bytes = files::read(path, MAX_SIZE).map_err(|error| bad(path, &error.to_string()))?;
    let verdict: Verdict = serde_json::from_slice(&bytes).map_err(|error| {
        bad(path, &format!("not a verdict of `explore --shard K/N --format jsonl` ({error})"))
    })?;
    match verdict.shard {
        _ if verdict.event != "verdict" => Err(bad(path, "not a verdict of `explore`")),
        Some(shard @ Shard { number: 1.., of }) if shard.number <= of => Ok((verdict, shard)),
        Some(_) => Err(bad(path, "its part has a number that cannot be")),
        None => Err(bad(path, "it is the verdict of a whole search, not of a part (--shard K/N)")),
    }
}

/// Returns the first thing in which two verdicts are not of one search.
fn difference(one: &Verdict, other: &Verdict) -> Option<&'static str> {
    let guests = |verdict: &Verdict| -> Vec<(u32, String)> {
        verdict.guests.iter().map(|Guest { vm, sha256, .. }| (*vm, sha256.clone())).collect()
    };
    let items = |verdict: &Verdict| verdict.states.as_ref().map(|states| states.items);
    let of = |verdict: &Verdict| verdict.shard.map(|shard| shard.of);
    let differs = [
        ("the guest ABI", one.abi != other.abi),
        ("the experiment", one.experiment != other.experiment),
        ("the guests", guests(one) != guests(other)),
        ("the seed", one.seed != other.seed),
        ("--depth", one.depth != other.depth),
        ("the capacities", one.capacities != other.capacities),
        ("--produce or --consume", one.orders != other.orders),
        ("--items", items(one) != items(other)),
        ("the number of parts", of(one) != of(other)),
    ];
    differs.into_iter().find(|(_, differs)| *differs).map(|(what, _)| what)
}

/// Returns the verdict of two parts of one search. The habits of guests are not judged yet.
fn add(mut one: Verdict, other: Verdict) -> Verdict {
    if one.engine != other.engine {
        one.engine = format!("{}, {}", one.engine, other.engine);
    }
    let (searched, more) = (&mut one.searched, other.searched);
    for (count, more) in [
        (&mut searched.short, more.short),
        (&mut searched.ordered, more.ordered),
        (&mut searched.random, more.random),
        (&mut one.runs, other.runs),
        (&mut one.turns, other.turns),
    ] {
        *count = count.saturating_add(more);
    }
    if let (Some(States { reached, .. }), Some(more)) = (&mut one.states, &other.states) {
        reached.add(&more.reached);
    }
    for (vm, items) in other.moved {
        let moved = one.moved.entry(vm).or_default();
        *moved = moved.saturating_add(items);
    }
    for (vm, record) in other.records {
        one.records.entry(vm).or_default().merge(&record);
    }
    // The parts can have run at once, so that a sum of these would say nothing but the cost.
    one.seconds += other.seconds;
    one.threads = one.threads.max(other.threads);
    one.guest_seconds += other.guest_seconds;
    one.failure = one.failure.or(other.failure);
    one
}

/// Fills in what follows from the sums.
fn judge(whole: &mut Verdict) {
    whole.runs_per_second = rate(whole.runs, whole.seconds);
    whole.findings.clear();
    if whole.failure.is_none() {
        for Guest { vm, name, role, .. } in &whole.guests {
            if let (Some(role), Some(record)) = (role, whole.records.get(vm)) {
                whole.findings.extend(Finding::all(*vm, name, *role, record, Weight::Failure));
            }
        }
    }
    whole.verdict = match (&whole.failure, &whole.findings[..]) {
        (Some(_), _) => "failed",
        (None, []) => "ok",
        (None, _) => "finding",
    }
    .into();
}

fn text(whole: &Verdict) -> String {
    let found = whole.failure.as_ref().map(|failure| {
        let recording = failure.recording.as_ref().map(|path| format!("recording: {}\n", escape_line(path)));
        format!(
            "found: schedule {}\nthis repeats it:\n  {}\n{}",
            escape_line(&failure.trial.schedule),
            escape_line(&failure.command),
            recording.unwrap_or_default()
        )
    });
    found.unwrap_or_else(|| searched_text(whole)) + &cost_text(whole)
}
