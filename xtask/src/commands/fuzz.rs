//! `fuzz`: every fuzz target for a while, one after the other; a line each, and how to repeat what was found.

use crate::base::output::{self, short};
use crate::cli::Fuzz;
use crate::error::{Error, Status};
use crate::fuzz::{Fuzzers, Outcome};
use crate::workspace::Workspace;

/// Builds and runs the targets; the status is 1 if one of them found something.
pub(crate) fn run(wish: &Fuzz) -> Result<Status, Error> {
    let workspace = Workspace::load()?;
    let fuzzers = Fuzzers::find(&workspace, &wish.targets)?;
    fuzzers.build()?;
    let mut well = true;
    for name in fuzzers.names() {
        match &wish.repeat {
            Some(file) => well &= fuzzers.repeat(name, file)?,
            None => {
                let outcome = fuzzers.run(name, wish.seconds)?;
                print(name, &outcome);
                well &= outcome.status.is_success();
                if wish.keep && outcome.status.is_success() {
                    fuzzers.keep(name)?;
                }
            }
        }
    }
    Ok(if well { Status::SUCCESS } else { Status::FAILED_CHECK })
}

fn print(name: &str, outcome: &Outcome) {
    let Outcome { runs, rate, coverage, status, reproducer, log } = outcome;
    let verdict = if status.is_success() { "ok" } else { "FAIL" };
    output::line(format_args!(
        "{verdict:<5} {name:<12} {runs:>9} runs, {rate:>6} a second, {coverage:>5} edges"
    ));
    match reproducer.as_deref().map(short) {
        _ if status.is_success() => {}
        Some(file) => {
            output::line(format_args!("      this repeats it: cargo xtask fuzz {name} --repeat {file}"));
        }
        None => output::line(format_args!("      it ended with status {status} and names no input")),
    }
    if !status.is_success() {
        output::line(format_args!("      all that it said: {}", short(log)));
    }
}
