//! The commands, one a file.

mod bench;
mod build_guests;
mod ci;
mod docs;
mod doctor;
mod elsewhere;
mod fuzz;
mod new;
mod passthrough;
mod picture;
mod test;

use crate::cli::{Cli, Command};
use crate::error::{Error, Status};

/// Runs the command that was asked for.
pub(crate) fn dispatch(cli: Cli) -> Result<Status, Error> {
    match cli.command {
        Command::New(wish) => new::run(&wish),
        Command::BuildGuests(wish) => build_guests::run(&wish),
        Command::Run(handed) => passthrough::run("run", &handed.arguments, cli.verbose),
        Command::Replay(handed) => passthrough::run("replay", &handed.arguments, cli.verbose),
        Command::Report(handed) => passthrough::run("report", &handed.arguments, cli.verbose),
        Command::View(handed) => passthrough::run("view", &handed.arguments, cli.verbose),
        Command::Explore(handed) => passthrough::run("explore", &handed.arguments, cli.verbose),
        Command::Compare(handed) => passthrough::run("compare", &handed.arguments, cli.verbose),
        Command::Test(wish) => test::run(&wish, cli.verbose),
        Command::Bench(wish) => bench::run(&wish),
        Command::Fuzz(wish) => fuzz::run(&wish),
        Command::Ci => ci::run(),
        Command::Docs => docs::run(),
        Command::Picture => picture::run(),
        Command::Doctor => doctor::run(),
    }
}
