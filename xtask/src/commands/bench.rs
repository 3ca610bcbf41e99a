//! `bench`: the measurements.

use crate::bench;
use crate::cli::Bench;
use crate::error::{Error, Status};
use crate::workspace::Workspace;

/// Runs the measurements.
pub(crate) fn run(options: &Bench) -> Result<Status, Error> {
    bench::run(&Workspace::load()?, options)?;
    Ok(Status::SUCCESS)
}
