//! Guestlab's build tool: `cargo xtask COMMAND`.
//!
//! It depends on no other member of the workspace. Cargo and the `guestlab` binary are driven as
//! processes, so that guests, host and tool can each be built with what suits them.

mod base;
mod bench;
mod cargo;
mod cli;
mod commands;
mod debian;
mod docs;
mod error;
mod fuzz;
mod guests;
mod host;
mod hush;
mod nested;
mod scaffold;
mod toolchain;
mod workspace;

use std::any::Any;
use std::process::ExitCode;

use clap::Parser;

use base::output;
use error::{Error, Status};

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let outcome = std::panic::catch_unwind(|| commands::dispatch(cli));
    ExitCode::from(conclude(outcome))
}

/// Prints what is still to be said of an outcome, and returns the status of the process.
fn conclude(outcome: Result<Result<Status, Error>, Box<dyn Any + Send>>) -> Status {
    match outcome {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => {
            output::error(&error);
            error.status()
        }
        // The panic's own message has been printed by then.
        Err(_) => {
            output::note("this is a bug in xtask; please report it with the message above");
            Status::BUG
        }
    }
}
