//! `guestlab`: runs guests under KVM. `guestlab --help` says how.

use std::{panic, path::Path, process::ExitCode};

use clap::Parser;
use guest_abi::mode::CpuMode;
use guestlab::{
    cli::{self, Cli, Command, ExploreArgs, Plan, ReplayArgs, RunArgs, TestArgs},
    compare, doctor,
    error::{Error, Status},
    explain::Explain,
    explore, interrupt,
    jail::{self, Jail},
    kvm::System,
    output::{self, Sink},
    prodcons,
    recording::Recorder,
    relay, replay, solo, suite,
    timeline::Teller,
};

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let outcome = panic::catch_unwind(|| obey(command))
        .unwrap_or_else(|_| Err(Error::Bug("it panicked, with the message above".into())));
    let status = match outcome {
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
    jail::shed_set_user_id()
        .map_err(|source| Error::Os { what: "give up the rights of another user", source })?;
    match command {
        Command::Run(args) if args.asks_for_needs() => needs(&args),
        Command::Run(args) => run(&args),
        Command::Explore(args) if args.asks_for_needs() => print_needs(args.needs()),
        Command::Explore(args) => explore(&args),
        Command::Test(args) => test(&args),
        Command::Replay(args) if args.needs => replay_needs(&args.file),
        Command::Replay(args) => replay(&args),
        Command::Compare(args) if args.needs => Ok(()),
        Command::Compare(args) => compare::run(&args.plan()),
        Command::Doctor(args) => doctor::run(&args.kvm),
    }
}

/// Has signals end what runs, and the jail ready.
fn prepare(jail: Jail) -> Result<Jail, Error> {
    let failed = |source| Error::Os { what: "listen for signals", source };
    jail.prepare().and_then(|()| interrupt::listen(&jail)).map_err(failed)?;
    Ok(jail)
}

fn run(args: &RunArgs) -> Result<(), Error> {
    let jail = prepare(args.jail())?;
    let plan = args.plan()?;
    let timeline = args.timeline()?;
    let system = System::open(&args.device().kvm, args.explain())?.with_timeline(&timeline);
    let (form, quiet) = args.output();
    let mut sink = output::stdout(form, quiet);
    let outcome = perform(system, &jail, &plan, args.record(), &mut Teller::new(&timeline, &mut *sink));
    timeline.conclude(outcome)
}

fn perform(
    system: System,
    jail: &Jail,
    plan: &Plan,
    record: Option<&Path>,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    match plan {
        Plan::Prodcons(plan) => match record {
            None => prodcons::run(system, jail, plan, sink),
            Some(path) => {
                let mut recorder = Recorder::new(path, plan, sink);
                let outcome = prodcons::run(system, jail, plan, &mut recorder);
                recorder.conclude(outcome)
            }
        },
        Plan::Relay(plan) => relay::run(system, jail, plan, sink),
        Plan::Solo(plan) => solo::run(system, jail, plan, sink),
    }
}

fn explore(args: &ExploreArgs) -> Result<(), Error> {
    let jail = prepare(args.jail())?;
    let system = System::open(&args.device().kvm, Explain::default())?;
    explore::run(&system, &jail, &args.plan())
}

fn test(args: &TestArgs) -> Result<(), Error> {
    let plan = args.plan();
    if args.list() {
        return suite::list(&plan);
    }
    let jail = prepare(args.jail())?;
    let system = System::open(&args.device().kvm, Explain::default())?;
    suite::run(&system, &jail, &plan)
}

fn replay(args: &ReplayArgs) -> Result<(), Error> {
    let jail = prepare(args.jail.jail())?;
    let system = System::open(&args.device.kvm, Explain::default())?;
    replay::run(system, &jail, &args.file, args.timeout, cli::image_path)
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

/// Says what went wrong, in which nothing of a guest's or of a file's can drive the terminal. A reader
/// of the output that has gone is nothing to speak of.
fn report(error: &Error) {
    if !error.is_closed_output() {
        let text = error.to_string();
        let text = match error.has_lines() {
            true => output::visible(&text).to_string(),
            false => output::visible(&text).to_string().replace('\n', "\\n"),
        };
        output::complain_styled(&format!("{}: {text}", output::label("guestlab")));
    }
}
