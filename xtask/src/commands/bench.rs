//! `bench`: the measurements.

use crate::error::{Error, Status};
use crate::{bench, cli::Bench, workspace::Workspace};

pub(crate) fn run(options: &Bench) -> Result<Status, Error> {
    bench::run(&Workspace::load()?, options)?;
    Ok(Status::SUCCESS)
}
