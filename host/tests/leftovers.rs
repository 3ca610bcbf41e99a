//! Runs leave nothing behind in their process. This file has one test, because other tests would change its counts.

mod common;

use std::{fs, path::PathBuf, thread, time::Duration};

use clap::Parser;
use common::{can_run_guests, image, pingpong};
use guestlab::{
    cli::{Cli, Command, RunConfig, report, status},
    engines,
    lab::{
        error::Error, exchange, explore, pipeline, recorder::Recorder, replay, run_files::open_recording,
        single,
    },
    process::jail::Jail,
    runlog::sink::Silence,
};

/// The resources of a process: threads, open files, and temporary files.
fn possessions(temporary: &str) -> (usize, usize, usize) {
    let count = |folder: &str| fs::read_dir(folder).expect("a folder").count();
    (count("/proc/self/task"), count("/proc/self/fd"), count(temporary))
}

/// Runs a command line through the library.
fn run_command(args: &[&str]) -> Result<(), Error> {
    let words = ["guestlab"].iter().chain(args);
    match Cli::try_parse_from(words).expect("valid usage").command {
        Command::Run(args) => {
            let system = engines::open(common::choice(), &args.engine().kvm, false, None)?;
            match (args.config()?, args.record()) {
                (RunConfig::Exchange(config), Some(path)) => {
                    let mut silence = Silence;
                    let mut recorder = Recorder::new(path, &config, &mut silence);
                    let outcome = exchange::run(system, &Jail::Open, &config, &mut recorder);
                    recorder.conclude(outcome)
                }
                (RunConfig::Exchange(config), None) => {
                    exchange::run(system, &Jail::Open, &config, &mut Silence)
                }
                (RunConfig::Pipeline(config), _) => pipeline::run(system, &Jail::Open, &config, &mut Silence),
                (RunConfig::Single(config), _) => single::run(system, &Jail::Open, &config, &mut Silence),
            }
        }
        Command::Explore(args) => {
            let system = engines::open(common::choice(), &args.engine().kvm, false, None)?;
            explore::run(&system, &Jail::Open, &args.config())
        }
        Command::Replay(args) => {
            let system = engines::open(common::choice(), &args.engine.kvm, false, None)?;
            let recording = open_recording(&args.file)?;
            replay::run(system, &Jail::Open, &args.file, recording, args.timeout, |_, _| PathBuf::new())
        }
        Command::Report(args) => report::of_file(&args.file, &args.page),
        Command::View(_)
        | Command::Grade(_)
        | Command::Test(_)
        | Command::Compare(_)
        | Command::Doctor(_) => {
            unreachable!("they are not among them")
        }
    }
}

#[test]
fn runs_leave_no_thread_no_file_and_no_temporary_file() {
    if !can_run_guests() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let text = |path: PathBuf| path.to_str().expect("a path of text").to_owned();
    let path = |name: &str| text(folder.path().join(name));
    let temporary = path("temporary");
    fs::create_dir(&temporary).expect("a folder");
    // SAFETY: no other thread of this process looks at its environment: it has one test.
    unsafe { std::env::set_var("TMPDIR", &temporary) };
    let guest = |name: &str| text(image(name));
    let [producer, consumer, hello] = ["guest-producer", "guest-consumer", "hello"].map(guest);
    let [hangs, spins, panics, overfills] = ["hangs", "spins", "panics", "overfills"].map(guest);
    let toml = fs::read_to_string(pingpong()).expect("an experiment");
    let toml = toml.replace("guest = \"pingpong\"", &format!("image = {:?}", guest("pingpong")));
    fs::write(path("pingpong.toml"), toml).expect("written");
    let (relay, recording, page) = (path("pingpong.toml"), path("run.jsonl"), path("page.html"));

    let exchange = ["run", "prodcons", "--producer", &producer, "--consumer"];
    let free = ["--schedule", "free", "--producers", "4", "--timeout", "0.3"];
    let explore = ["explore", "prodcons", "--quiet", "--depth", "2", "--capacity", "1-3", "--runs", "20"];
    let explore = [&explore[..], &["--format", "jsonl", "--timeout", "0.3", "--record", &recording]].concat();
    let runs: [(&[&[&str]], u8); 18] = [
        (&[&exchange, &[&consumer, "--record", &recording]], 0),
        (&[&["replay", &recording]], 0),
        (&[&["report", &recording, &page]], 0),
        (&[&exchange, &[&panics]], 1),
        (&[&exchange, &[&overfills]], 3),
        (&[&exchange, &[&spins, "--timeout", "0.1"]], 4),
        (&[&exchange, &[&hangs, "--turn-timeout", "0.1"]], 4),
        (&[&exchange, &[&consumer, "--max-exits", "3"]], 4),
        (&[&exchange, &[&consumer], &free], 0),
        (&[&exchange, &[&panics], &free], 1),
        (&[&exchange, &[&hangs], &free], 4),
        (&[&["run", "--image", &hello]], 0),
        (&[&["run", "--image", &spins, "--timeout", "0.1"]], 4),
        (&[&["run", "--image", &panics]], 1),
        (&[&["run", "--experiment", &relay]], 0),
        (&[&["run", "--experiment", &relay, "--max-exits", "3"]], 4),
        (&[&explore, &["--producer", &producer, "--consumer", &consumer]], 0),
        (&[&explore, &["--producer", &overfills, "--consumer", &consumer]], 3),
    ];
    let mut before = None;
    for round in 0..4 {
        for (args, status) in runs {
            let args = args.concat();
            let outcome = run_command(&args);
            assert_eq!(
                outcome.map_or_else(|error| status::of_error(&error) as u8, |()| 0),
                status,
                "{args:?}"
            );
            // The first run of all has what a process makes once.
            let before = *before.get_or_insert_with(|| possessions(&temporary));
            // A thread that was joined is still listed for a moment.
            for _ in 0..1000 {
                if possessions(&temporary) != before {
                    thread::sleep(Duration::from_millis(5));
                }
            }
            assert_eq!(possessions(&temporary), before, "round {round}, {args:?}");
        }
    }
}
