//! `guestlab`: runs guests under KVM. `guestlab --help` says how.

use std::{path::Path, process::ExitCode};

use clap::Parser;
use guest_abi::mode::CpuMode;
use guestlab::{
    cli::{self, Cli, Command, ExploreArgs, Plan, ReplayArgs, RunArgs},
    doctor,
    error::{Error, Status},
    explain::Explain,
    explore, interrupt,
    kvm::System,
    output, prodcons,
    recording::Recorder,
    relay, replay, solo,
};

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let listening = interrupt::listen().map_err(|source| Error::Os { what: "listen for signals", source });
    let status = match listening.and_then(|()| obey(command)) {
        Ok(()) => Status::Success,
        Err(error) => {
            report(&error);
            if let Some(signal) = error.signal() {
                interrupt::die(signal);
            }
            error.status()
        }
    };
    ExitCode::from(status as u8)
}

fn obey(command: Command) -> Result<(), Error> {
    match command {
        Command::Run(args) if args.asks_for_needs() => needs(&args),
        Command::Run(args) => run(&args),
        Command::Explore(args) if args.asks_for_needs() => print_needs(args.needs()),
        Command::Explore(args) => explore(&args),
        Command::Replay(args) if args.needs => replay_needs(&args.file),
        Command::Replay(args) => replay(&args),
        Command::Doctor(args) => doctor::run(&args.kvm),
    }
}

fn run(args: &RunArgs) -> Result<(), Error> {
    let plan = args.plan()?;
    let system = System::open(&args.device().kvm, args.explain())?;
    let (form, quiet) = args.output();
    let mut sink = output::stdout(form, quiet);
    match &plan {
        Plan::Prodcons(plan) => match args.record() {
            None => prodcons::run(&system, plan, &mut *sink),
            Some(path) => {
                let cannot = |source| Error::Record { path: path.into(), source };
                let mut recorder = Recorder::create(path, plan, &mut *sink).map_err(cannot)?;
                prodcons::run(&system, plan, &mut recorder)
            }
        },
        Plan::Relay(plan) => relay::run(&system, plan, &mut *sink),
        Plan::Solo(plan) => solo::run(&system, plan, &mut *sink),
    }
}

fn explore(args: &ExploreArgs) -> Result<(), Error> {
    let system = System::open(&args.device().kvm, Explain::default())?;
    explore::run(&system, &args.plan())
}

fn replay(args: &ReplayArgs) -> Result<(), Error> {
    let system = System::open(&args.device.kvm, Explain::default())?;
    replay::run(&system, &args.file, args.timeout, cli::image_path)
}

fn replay_needs(file: &Path) -> Result<(), Error> {
    print_needs(replay::needs(file)?)
}

fn needs(args: &RunArgs) -> Result<(), Error> {
    print_needs(args.needs()?)
}

fn print_needs(needs: Vec<(String, CpuMode)>) -> Result<(), Error> {
    for (name, mode) in needs {
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
