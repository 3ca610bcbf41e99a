//! `guestlab`: runs guests under KVM. `guestlab --help` says how.

use std::process::ExitCode;

use clap::Parser;
use guestlab::{
    cli::{Cli, Command, Plan, RunArgs},
    doctor,
    error::{Error, Status},
    kvm::System,
    output, prodcons, solo,
};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(args) if args.asks_for_needs() => needs(&args),
        Command::Run(args) => run(&args),
        Command::Doctor(args) => doctor::run(&args.kvm),
    };
    let status = match outcome {
        Ok(()) => Status::Success,
        Err(error) => {
            report(&error);
            error.status()
        }
    };
    ExitCode::from(status as u8)
}

fn run(args: &RunArgs) -> Result<(), Error> {
    let plan = args.plan()?;
    let system = System::open(&args.device().kvm, args.explain())?;
    let (form, quiet) = args.output();
    let mut sink = output::stdout(form, quiet);
    match &plan {
        Plan::Prodcons(plan) => prodcons::run(&system, plan, &mut *sink),
        Plan::Solo(plan) => solo::run(&system, plan, &mut *sink),
    }
}

fn needs(args: &RunArgs) -> Result<(), Error> {
    for (name, mode) in args.needs()? {
        output::line(&format!("{name} {}", mode.name()))?;
    }
    Ok(())
}

/// Says what went wrong. A reader of the output that has gone is nothing to speak of.
fn report(error: &Error) {
    if !error.is_closed_output() {
        output::complain_styled(&format!("{}: {error}", output::label("guestlab")));
    }
}
