//! Combinations of options that `run` refuses.

use std::path::{Path, is_separator};

use super::args::RunArgs;
use crate::{
    cli::{choices::Format, values::is_guest_name},
    lab::error::Error,
    process::output_file::check_distinct,
    runlog::sink::Form,
    vmm::ImageFormat,
};

/// Checks that the options go together.
///
/// # Errors
///
/// They do not, or two of the files are one file.
pub(super) fn check(args: &RunArgs) -> Result<(), Error> {
    let broken = |rules: &[Rule]| {
        rules.iter().find(|(is_broken, _)| is_broken(args)).map(|(_, message)| (*message).to_owned())
    };
    let message = wrong_guest(args)
        .or_else(|| broken(RULES))
        .or_else(|| foreign_option(args))
        .or_else(|| broken(EXCHANGE_RULES));
    match message {
        Some(message) => Err(Error::Usage(message)),
        None => Ok(check_distinct(args.inputs(), args.outputs())?),
    }
}

/// Returns a message if nothing is named to run, or if the name cannot be a guest's.
fn wrong_guest(args: &RunArgs) -> Option<String> {
    match args.guest() {
        None if args.image.is_none() && args.experiment.is_none() && args.from.is_none() => Some(
            "name what to run: `prodcons`, a guest, --image FILE, or --experiment FILE (--help lists the options)"
                .into(),
        ),
        Some(name) if !is_guest_name(name) => {
            Some(format!("{name:?} is not a guest's name; {}", instead_of(name)))
        }
        _ => None,
    }
}

/// Returns a message if an option of the exchange is given for another run.
fn foreign_option(args: &RunArgs) -> Option<String> {
    let is_experiment = args.experiment.is_some();
    let is_scheduling = |option: &str| matches!(option, "schedule" | "turns");
    let mut given = args.exchange.given().into_iter();
    let resumes = |option: &str| args.from.is_some() && matches!(option, "turns" | "save-at");
    let is_allowed =
        |option: &str| args.is_exchange() || is_experiment && is_scheduling(option) || resumes(option);
    let option = given.find(|option| !is_allowed(option))?;
    if args.from.is_some() {
        return Some(format!("--{option} is fixed by the snapshot of --from"));
    }
    let takers = match is_scheduling(&option) {
        true => "`run prodcons` and `run --experiment`",
        false => "`run prodcons`",
    };
    Some(format!("--{option} is an option of {takers} only"))
}

/// A rule: a test that is true for options that break it, and the message about it.
type Rule = (fn(&RunArgs) -> bool, &'static str);

/// The rules for every run.
const RULES: &[Rule] = &[
    (
        |args| args.image.is_none() && args.last_format(Format::Elf, Format::Flat).is_some(),
        "--format elf and --format flat go with --image FILE",
    ),
    (
        |args| args.image.is_none() && args.pc,
        "--pc goes with --image FILE: it is for images that are not built with guest-rt",
    ),
    (|args| args.image.is_none() && args.entry.is_some(), "--entry goes with --image FILE"),
    (
        |args| args.load.is_some() && args.request().format != Some(ImageFormat::Flat),
        "--load goes with --format flat: an ELF file has its own load addresses",
    ),
    (
        |args| args.tui && args.output().0 == Form::JsonLines,
        "--tui and --format jsonl both need the terminal; --record FILE records a run with a view",
    ),
    (
        |args| args.from.is_some() && (args.seed.is_some() || args.memory.is_some() || args.mode.is_some()),
        "--seed, --memory and --mode are fixed by the snapshot of --from",
    ),
    (
        |args| args.from.is_some() && (args.tui || args.report.is_some()),
        "--tui and --report show a run from its beginning, and --from goes on in the middle of one",
    ),
    (
        |args| args.check_determinism && args.is_free(),
        "--check-determinism needs turns in an order, and --schedule free has none; choose another schedule",
    ),
    (
        |args| args.exchange.save_at.is_some() && args.is_free(),
        "--save-at saves between two turns, but with --schedule free VMs run in parallel; choose another schedule",
    ),
    (|args| !args.is_single() && args.dump_regs, "--dump-regs is for a guest that runs alone"),
    (
        |args| !args.is_single() && !args.arguments.is_empty(),
        "arguments after -- are for a guest that runs alone; an experiment's file has those of its guests",
    ),
];

/// The rules for an exchange.
const EXCHANGE_RULES: &[Rule] = &[
    (
        |args| args.gdb.is_some() && args.is_free(),
        "--gdb debugs VMs that take turns, but with --schedule free they run in parallel; choose another schedule",
    ),
    (
        |args| args.exchange.items.is_some() && !args.is_free(),
        "--items goes with --schedule free; --turns ends the others",
    ),
    (
        |args| args.exchange.items.is_some() && args.exchange.guests.move_nothing(),
        "--items is never reached if nothing is produced or consumed",
    ),
    (
        |args| args.exchange.record.is_some() && args.is_free(),
        "--record is for runs that can be repeated; a run with --schedule free cannot",
    ),
];

/// Returns advice for a name that is not a guest's: perhaps a file that another command runs, or a guest's source.
pub(super) fn instead_of(name: &str) -> String {
    let path = Path::new(name);
    let stem = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| is_guest_name(stem));
    let end = path.extension().and_then(|end| end.to_str());
    match (end, stem) {
        (Some("toml"), _) => format!("an experiment's file is run with --experiment {name}"),
        (Some("jsonl"), _) => format!("a recording is run again by `cargo xtask replay {name}`"),
        (Some("rs"), Some(stem)) if stem != "main" => format!("a guest is run by its name: {stem}"),
        _ if path.is_file() => format!("an image in a file is run with --image {name}"),
        (_, Some(stem)) if path.is_dir() || !name.contains(is_separator) => {
            let missing = if path.exists() { "it is a folder" } else { "there is no such file" };
            format!("{missing}; a guest is run by its name: {stem}")
        }
        _ => "there is no such file; `cargo xtask build-guests` lists the guests".into(),
    }
}
