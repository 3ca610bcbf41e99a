//! Guestlab's build tool: `cargo xtask COMMAND`.
//!
//! It depends on no other member of the workspace. It runs cargo and the `guestlab` binary as processes, so that
//! guests, host and tool are each built with their own compiler and options.
//!
//! Layers, from the top: `commands`; `bench`, `docs`, `fuzz`, `grade`, `nested`, `scaffold`; `host`, `guests`; `toolchain`;
//! `workspace`, `cargo`, `debian`; `base`, `error`.

mod base;
mod bench;
mod cargo;
mod cli;
mod commands;
mod debian;
mod docs;
mod error;
mod fuzz;
mod grade;
mod guests;
mod host;
mod kit;
mod nested;
mod scaffold;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use base::output;
use clap::Parser;
use error::Status;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let status = match std::panic::catch_unwind(|| commands::dispatch(cli)) {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => {
            output::error(&error);
            error.status()
        }
        // The panic's own message is on stderr already.
        Err(_) => {
            output::note("this is a bug in xtask; please report it with the message above");
            Status::BUG
        }
    };
    ExitCode::from(status)
}
