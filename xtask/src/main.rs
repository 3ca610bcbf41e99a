//! Guestlab's build tool: `cargo xtask COMMAND`.
//!
//! It depends on no other member of the workspace. Cargo and the `guestlab` binary are driven as
//! processes, so that guests, host and tool can each be built with what suits them.

mod bench;
mod cache;
mod cargo;
mod cli;
mod commands;
mod debian;
mod docs;
mod environment;
mod error;
mod fuzz;
mod guests;
mod host;
mod hush;
mod nested;
mod output;
mod process;
mod scaffold;
mod status;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let outcome = std::panic::catch_unwind(|| commands::dispatch(cli));
    status::conclude(outcome)
}
