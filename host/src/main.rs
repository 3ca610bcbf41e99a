//! `guestlab`: runs guests on KVM or on an interpreter. `guestlab --help` says how.

use std::{env, panic, path::Path, process::ExitCode, sync::Mutex};

use clap::Parser;
use guest_abi::mode::CpuMode;
use guestlab::{
    cli::{
        self, Cli, Command, EngineArgs, ExploreArgs, GradeArgs, ReplayArgs, RunArgs, RunConfig, TestArgs,
        ViewArgs, compare,
        report::{self, Report},
        status, terminal, view,
    },
    debug::{
        coverage::Selection,
        timeline::{Timeline, TraceSink},
    },
    doctor,
    engines::{self, Choice},
    lab::{
        error::{Error, Status},
        exchange, explore, grade, guest_tests, interrupts, open, pipeline,
        recorder::Recorder,
        replay,
        run_files::open_recording,
        single,
        vm::Platform,
    },
    output,
    process::{
        jail::{self, Jail},
        output_file::Named,
        signals,
    },
    runlog::{
        command_line::CommandLine,
        live::RunLogSink,
        run_log::RunLog,
        sink::Sink,
        text::{escape_control, escape_line},
    },
};

fn main() -> ExitCode {
    jail::share_one_arena();
    jail::note_inherited_files();
    let command = parse_command_line().command;
    let outcome = panic::catch_unwind(|| run_command(command))
        .unwrap_or_else(|_| Err(Error::Bug("it panicked, with the message above".into())));
    let status = match outcome {
        Ok(()) => Status::Success,
        Err(error) => {
            report_error(&error);
            if let Error::Interrupted { signal, .. } = error {
                signals::die(signal);
            }
            status::of_error(&error)
        }
    };
    ExitCode::from(status as u8)
}

/// Parses the command line. A message about it shows control characters of the words as escapes.
fn parse_command_line() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        let words = env::args_os().map(|word| escape_line(&word.to_string_lossy()));
        Cli::try_parse_from(words).err().unwrap_or(error).exit()
    })
}

fn run_command(command: Command) -> Result<(), Error> {
    jail::shed_set_user_id()
        .map_err(|source| Error::Os { what: "give up the rights of another user", source })?;
    signals::survive_full_files();
    match command {
        Command::Run(args) if args.asks_for_needs() => needs(&args),
        Command::Run(args) => run(&args),
        Command::Explore(args) if args.asks_for_needs() => {
            args.check().and_then(|()| print_needs(args.needs()))
        }
        Command::Explore(args) => explore(&args),
        Command::Grade(args) => grade(&args),
        Command::Test(args) => test(&args),
        Command::Replay(args) if args.needs => replay_needs(&args.file),
        Command::Replay(args) => replay(&args),
        Command::Compare(args) if args.needs => Ok(()),
        Command::Compare(args) => compare::run(&args.config()),
        Command::Report(args) if args.needs => Ok(()),
        Command::Report(args) => report::of_file(&args.file, &args.page),
        Command::View(args) if args.asks_for_needs() => Ok(()),
        Command::View(args) => show(&args),
        Command::Doctor(args) => doctor::run(args.engine, &args.kvm),
    }
}

/// Prepares signals and the jail.
fn prepare(jail: Jail) -> Result<Jail, Error> {
    let failed = |source| Error::Os { what: "listen for signals", source };
    jail.prepare(output::warn_lines).and_then(|()| signals::listen(&jail)).map_err(failed)?;
    Ok(jail)
}

/// Opens the engine that the options choose.
fn engine(args: &EngineArgs, explains: bool, timeline: Option<&Timeline>) -> Result<Platform, Error> {
    engines::open(args.engine, &args.kvm, explains, timeline)
}

fn run(args: &RunArgs) -> Result<(), Error> {
    // The lists of system calls do not have those of a view, which draws and reads keys.
    let jail = prepare(if args.has_view() { Jail::Rights } else { args.jail() })?;
    let config = args.config()?;
    let timeline = args.timeline();
    let coverage = args.coverage().begin(Selection::Guests, Vec::new(), Vec::new())?;
    let flame = args.flame().begin()?;
    let platform = engine(&args.coverage().engine(&args.engine())?, args.explain(), timeline.as_ref())?;
    let platform = coverage.counted(platform.with_times(config.has_stats()));
    let (form, quiet) = args.output();
    let run_into = |sink: &mut dyn Sink| {
        let Some(timeline) = &timeline else { return run_with_report(platform, &jail, &config, args, sink) };
        let outcome = run_with_report(platform, &jail, &config, args, &mut TraceSink::new(timeline, sink));
        output::both(outcome, timeline.end().map_err(Error::from))
    };
    let outcome = match args.has_view() {
        true => terminal::live(run_into),
        false => run_into(&mut *output::stdout(form, quiet)),
    };
    let outcome = flame.conclude(outcome, config.instrumentation().stacks());
    coverage.conclude(outcome, !quiet)
}

/// Runs a configuration, and writes the page about the run if there is an option for it.
fn run_with_report(
    platform: Platform,
    jail: &Jail,
    config: &RunConfig,
    args: &RunArgs,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let Some(path) = args.report() else { return run_config(platform, jail, config, args.record(), sink) };
    let log = Mutex::new(beginning(config));
    let sink = RunLogSink::new(&log, sink).keeping_stats(!args.stats());
    let mut report = Report::new(path, &log, sink);
    let outcome = run_config(platform, jail, config, args.record(), &mut report);
    report.conclude(outcome)
}

/// Runs a configuration.
fn run_config(
    platform: Platform,
    jail: &Jail,
    config: &RunConfig,
    record: Option<&Path>,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    match config {
        RunConfig::Exchange(config) => match record {
            None => exchange::run(platform, jail, config, sink),
            Some(path) => {
                let mut recorder = Recorder::new(path, config, sink);
                let outcome = exchange::run(platform, jail, config, &mut recorder);
                recorder.conclude(outcome)
            }
        },
        RunConfig::Pipeline(config) => pipeline::run(platform, jail, config, sink),
        RunConfig::Single(config) => single::run(platform, jail, config, sink),
    }
}

/// Returns a log that begins with the command that repeats the run, which no event has.
fn beginning(config: &RunConfig) -> RunLog {
    let seed = match config {
        RunConfig::Exchange(config) => return RunLog::recorded(config.options()),
        RunConfig::Pipeline(config) => config.seed,
        RunConfig::Single(config) => config.seed,
    };
    // The words after the name of the program and `run`.
    let given = env::args_os().skip(2).map(|word| word.to_string_lossy().into_owned());
    RunLog::repeated_by(&CommandLine::again(given, seed))
}

/// Shows a run. A signal ends the view in good order, though it runs no guest.
fn show(args: &ViewArgs) -> Result<(), Error> {
    prepare(Jail::Open)?;
    view::open(&args.config())
}

fn explore(args: &ExploreArgs) -> Result<(), Error> {
    args.check()?;
    if let Some((files, form)) = args.merges() {
        return explore::merge(files, form);
    }
    // Each thread of the search has a watchdog beside it.
    jail::share_arenas(2 * explore::threads() + 3);
    let jail = prepare(args.jail())?;
    if let Some(config) = args.interrupts() {
        return interrupts::run(&engine(&args.engine().or_interpreter(), false, None)?, &jail, &config);
    }
    let config = args.config();
    let recording = vec![Named::new("--record", &config.recording)];
    let coverage = args.coverage().begin(Selection::Guests, config.guests.images(), recording)?;
    // Its verdict has the time that guests took.
    let platform =
        engine(&args.coverage().engine(&args.engine().or_interpreter())?, false, None)?.with_times(true);
    let outcome = explore::run(&coverage.counted(platform), &jail, &config);
    coverage.conclude(outcome, !config.quiet)
}

/// Grades a class. A machine that cannot run guests is found before the first submission.
fn grade(args: &GradeArgs) -> Result<(), Error> {
    engine(args.engine(), false, None)?;
    grade::run(&args.config())
}

fn test(args: &TestArgs) -> Result<(), Error> {
    let config = args.config()?;
    if args.list() {
        return guest_tests::list(&config);
    }
    let jail = prepare(args.jail())?;
    let images = config.images.iter().map(|image| Named::new("--image", image)).collect();
    let coverage = args.coverage().begin(Selection::Tested, images, Vec::new())?;
    let platform = engine(&args.coverage().engine(args.engine())?, false, None)?;
    let outcome = guest_tests::run(&coverage.counted(platform), &jail, &config);
    coverage.conclude(outcome, true)
}

fn replay(args: &ReplayArgs) -> Result<(), Error> {
    let jail = prepare(args.jail.jail())?;
    let recording = open_recording(&args.file)?;
    let platform = engine(&args.engine.of_recording(&recording.run.engine), false, None)?;
    replay::run(platform, &jail, &args.file, recording, args.timeout, cli::image_path)
}

fn replay_needs(file: &Path) -> Result<(), Error> {
    print_needs(replay::needs(file)?)
}

/// Prints the images that a run needs, if this machine can run them. Otherwise the user would wait for a useless
/// build.
fn needs(args: &RunArgs) -> Result<(), Error> {
    let needs = args.needs()?;
    if args.engine().engine == Choice::Kvm && needs.iter().any(|(_, mode)| *mode == CpuMode::Paged) {
        let platform = engine(&args.engine(), false, None)?;
        open::check_mode(&platform, CpuMode::Paged)?;
    }
    print_needs(needs)
}

fn print_needs(needs: Vec<(String, CpuMode)>) -> Result<(), Error> {
    for (name, mode) in needs {
        output::line(&format!("{name} {}", mode.name()))?;
    }
    Ok(())
}

/// Reports an error, with control characters as escapes. Reports nothing if the reader of the output has closed it.
fn report_error(error: &Error) {
    if !error.is_closed_output() {
        let text = error.to_string();
        let text = match error.has_lines() {
            true => escape_control(&text).to_string(),
            false => escape_line(&text),
        };
        output::warn_styled(&format!("{}: {text}", output::label("guestlab")));
    }
}
