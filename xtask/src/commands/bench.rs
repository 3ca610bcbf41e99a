//! `bench`: what everything costs, beside the C baseline.

use crate::bench;
use crate::cli::Bench;
use crate::error::{Error, Status};
use crate::workspace::Workspace;

/// Measures what was asked for.
pub(crate) fn run(wish: &Bench) -> Result<Status, Error> {
    bench::run(&Workspace::load()?, wish)?;
    Ok(Status::SUCCESS)
}
