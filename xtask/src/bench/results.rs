//! The results of measurements, to be printed, saved and compared.

use std::{fs, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::catalog::{Beside, Engine, Group, Item, Target};
use super::host_info::Machine;
use super::programs::Values;
use super::statistics::Summary;
use crate::{base::files, base::output::short, error::Error, workspace::Workspace};

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) rounds: usize,
    pub(crate) rows: Vec<Row>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Row {
    pub(crate) group: String,
    pub(crate) engine: Engine,
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) less_is_better: bool,
    pub(crate) ours: Summary,
    /// The name and the result of the other side.
    pub(crate) beside: Option<(String, Summary)>,
    /// Ours divided by the other, round by round.
    pub(crate) ratio: Option<Summary>,
    pub(crate) target: Option<Target>,
}

impl Row {
    /// Summarizes the rounds for one item.
    pub(crate) fn of(group: &Group, item: &Item, ours: &[Values], theirs: &[Values]) -> Result<Row, Error> {
        let missing = |key: &str| {
            Error::bug(format_args!("`{}` printed no numbers where `{key}` was expected", group.name))
        };
        let column = |rounds: &[Values], key: &str| -> Result<Vec<f64>, Error> {
            rounds.iter().map(|round| round.get(key).copied().ok_or_else(|| missing(key))).collect()
        };
        let own = column(ours, item.key)?;
        let other = match item.beside {
            Beside::Nothing => None,
            Beside::Baseline(name) => Some((name, column(theirs, item.key)?)),
            Beside::Own(name, key) => Some((name, column(ours, key)?)),
        };
        let pairs = other.iter().flat_map(|(_, other)| own.iter().zip(other));
        let ratio = Summary::of(pairs.map(|(own, other)| own / other));
        Ok(Row {
            group: group.name.into(),
            engine: group.engine,
            name: item.name.into(),
            unit: item.unit.into(),
            less_is_better: item.less_is_better,
            ours: Summary::of(own).ok_or_else(|| missing(item.key))?,
            beside: other.and_then(|(name, values)| Some((name.to_owned(), Summary::of(values)?))),
            ratio,
            target: item.target,
        })
    }

    /// Returns true if the target is met, and `None` without a target.
    pub(crate) fn is_met(&self) -> Option<bool> {
        let ratio = self.ratio.map(|ratio| ratio.median);
        Some(match self.target? {
            Target::RatioAtMost(most) => ratio? <= most,
            Target::RatioAtLeast(least) => ratio? >= least,
            Target::Below(limit) => self.ours.median < limit,
            Target::AtLeast(limit) => self.ours.median >= limit,
        })
    }
}

impl Results {
    pub(crate) fn load(workspace: &Workspace, name: &str) -> Result<Results, Error> {
        let path = path(workspace, name)?;
        let shown = short(&path);
        let text = fs::read(&path).map_err(|source| {
            Error::bad_input(format_args!(
                "there are no results {shown}: {source}\nmake them with `cargo xtask bench --save NAME`"
            ))
        })?;
        serde_json::from_slice(&text).map_err(|source| {
            Error::bad_input(format_args!("{shown} is not a file of results of this version: {source}"))
        })
    }

    pub(crate) fn save(&self, workspace: &Workspace, name: &str) -> Result<(), Error> {
        files::replace(&path(workspace, name)?, self.json()?.as_bytes())
    }

    pub(crate) fn json(&self) -> Result<String, Error> {
        serde_json::to_string_pretty(self)
            .map_err(|source| Error::bug(format_args!("the results cannot be written as JSON ({source})")))
    }
}

fn path(workspace: &Workspace, name: &str) -> Result<PathBuf, Error> {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
        return Err(Error::bad_input(format_args!(
            "`{name}` is not a name for results: it takes letters, digits, `-`, `_` and `.`, and no `.` at the front"
        )));
    }
    Ok(workspace.bench().join(format!("{name}.json")))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::catalog::Program;
    use super::*;

    /// A row of given rounds: ours, and the baseline's.
    pub(crate) fn row(ours: &[f64], theirs: &[f64], target: Option<Target>) -> Row {
        let item = Item {
            name: "thing",
            key: "thing_us",
            unit: "µs",
            less_is_better: true,
            beside: if theirs.is_empty() { Beside::Nothing } else { Beside::Baseline("C") },
            target,
        };
        let (program, words) = (Program::Measure, Vec::new());
        let (baseline, engine) = (None, Engine::Kvm);
        let group =
            Group { name: "group", engine, program, words, baseline, is_exact: false, rows: Vec::new() };
        let rounds = |values: &[f64]| -> Vec<Values> {
            values.iter().map(|value| Values::from([("thing_us".to_owned(), *value)])).collect()
        };
        Row::of(&group, &item, &rounds(ours), &rounds(theirs)).unwrap()
    }

    #[test]
    fn the_ratio_is_taken_round_by_round() {
        // A machine that gets slower by the round, and two sides that do not differ.
        let row = row(&[1.0, 2.0, 4.0], &[1.0, 2.0, 4.0], Some(Target::RatioAtMost(1.05)));
        assert_eq!(row.ratio, Some(Summary { low: 1.0, median: 1.0, high: 1.0 }));
        assert_eq!(row.is_met(), Some(true));
    }

    #[test]
    fn targets_are_met_or_missed() {
        let met = |ours: f64, theirs: &[f64], target| row(&[ours], theirs, target).is_met();
        assert_eq!(met(2.0, &[1.0], Some(Target::RatioAtMost(1.5))), Some(false));
        assert_eq!(met(2.0, &[1.0], Some(Target::RatioAtLeast(1.5))), Some(true));
        assert_eq!(met(2.0, &[], Some(Target::Below(3.0))), Some(true));
        assert_eq!(met(3.0, &[], Some(Target::Below(3.0))), Some(false));
        assert_eq!(met(3.0, &[], Some(Target::AtLeast(3.0))), Some(true));
        assert_eq!(met(2.9, &[], Some(Target::AtLeast(3.0))), Some(false));
        assert_eq!(met(3.0, &[], None), None);
    }

    #[test]
    fn results_survive_a_file() {
        let results = Results { machine: Machine::here(), rounds: 1, rows: vec![row(&[1.0], &[2.0], None)] };
        let read: Results = serde_json::from_str(&results.json().unwrap()).unwrap();
        assert_eq!(read.rows, results.rows);
    }
}
