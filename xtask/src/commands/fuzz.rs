//! `fuzz`: runs the fuzz targets one after the other, prints a line for each, and the command that repeats a failure.

use crate::base::output::{self, short};
use crate::error::{Error, Status};
use crate::fuzz::{Fuzzers, Outcome};
use crate::{cli::Fuzz, workspace::Workspace};

/// Builds and runs the targets; the status is 1 if one of them failed.
pub(crate) fn run(options: &Fuzz) -> Result<Status, Error> {
    let fuzzers = Fuzzers::find(&Workspace::load()?, &options.targets)?;
    fuzzers.build()?;
    let mut passed = true;
    for name in &fuzzers.names {
        if let Some(file) = &options.repeat {
            passed &= fuzzers.repeat(name, file)?;
            continue;
        }
        let outcome = fuzzers.run(name, options.seconds)?;
        print(name, &outcome);
        passed &= outcome.status.is_success();
        if options.keep && outcome.status.is_success() {
            fuzzers.keep(name)?;
        }
    }
    Ok(if passed { Status::SUCCESS } else { Status::FAILED_CHECK })
}

fn print(name: &str, outcome: &Outcome) {
    let Outcome { runs, rate, coverage, status, reproducer, log } = outcome;
    let verdict = if status.is_success() { "ok" } else { "FAIL" };
    output::line(format_args!(
        "{verdict:<5} {name:<12} {runs:>9} runs, {rate:>6} a second, {coverage:>5} edges"
    ));
    if status.is_success() {
        return;
    }
    match reproducer.as_deref().map(short) {
        Some(file) => {
            output::line(format_args!("      this repeats it: cargo xtask fuzz {name} --repeat {file}"))
        }
        None => output::line(format_args!("      it ended with status {status} and names no input")),
    }
    output::line(format_args!("      its whole output: {}", short(log)));
}
