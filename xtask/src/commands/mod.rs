//! The commands, one a file.

mod bench;
mod build_guests;
mod ci;
mod docs;
mod doctor;
mod first_run;
mod fuzz;
mod grade;
mod kit;
mod new;
mod passthrough;
mod picture;
mod test;

use crate::cli::{Cli, Command};
use crate::error::{Error, Status};

pub(crate) fn dispatch(cli: Cli) -> Result<Status, Error> {
    let pass = |command: &str, arguments: &[_]| passthrough::run(command, arguments, cli.verbose);
    match cli.command {
        Command::New(options) => new::run(&options),
        Command::Kit(options) => kit::run(&options, cli.verbose),
        Command::BuildGuests(options) => build_guests::run(&options),
        Command::Run(own) => pass("run", &own.arguments),
        Command::Replay(own) => pass("replay", &own.arguments),
        Command::Report(own) => pass("report", &own.arguments),
        Command::View(own) => pass("view", &own.arguments),
        Command::Explore(own) => pass("explore", &own.arguments),
        Command::Grade(options) => grade::run(&options, cli.verbose),
        Command::Compare(own) => pass("compare", &own.arguments),
        Command::Test(options) => test::run(&options, cli.verbose),
        Command::Bench(options) => bench::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Ci { filter } => ci::run(filter.as_deref()),
        Command::Docs => docs::run(),
        Command::Picture => picture::run(),
        Command::Doctor => doctor::run(),
    }
}
