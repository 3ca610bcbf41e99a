//! `explore`: searches for a failure of a guest.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf, is_separator},
    time::Duration,
};

use clap::Args;
use guest_abi::{layout::DEFAULT_MEMORY, mailbox::Quota, mode::CpuMode, ring::MAX_CAPACITY};

use crate::{
    cli::{
        choices::{Mode, VerdictForm},
        common::{EngineArgs, SHORT_HELP, image_path, recordings_folder},
        coverage::CoverageArgs,
        guests::GuestsArgs,
        jail::JailArgs,
        values::{is_guest_name, parse_memory, parse_seconds, parse_timeout},
    },
    engines::Choice,
    lab::exchange::source::Source,
    lab::{
        error::Error,
        exchange::Guests,
        explore::{Capacities, ExploreConfig},
        interrupts::InterruptsConfig,
        limits::Limits,
    },
    process::jail::Jail,
    runlog::{sink::Form, verdict::Shard},
    vmm::HvaPolicy,
};

/// Search for a schedule, a capacity and a seed at which a guest of the exchange fails.
///
/// The search tries every schedule of up to --depth turns at every capacity, and then random ones. With --items it visits
/// every state instead. A side that may move any number of items also gets fixed quotas. A failure is shrunk to the shortest schedule that still fails, shown as
/// a `run` command, and recorded. If a guest never fails, but always moves the same number of items or makes the same
/// item, that is a finding.
#[derive(Debug, Args)]
#[command(after_long_help = format!("{EXAMPLES}\n\n{EXIT_STATUSES}"), after_help = format!("{EXAMPLES}\n\n{SHORT_HELP}"))]
pub struct ExploreArgs {
    /// `prodcons`, or with --interrupts a guest or an image.
    #[arg(value_name = "EXPERIMENT|GUEST")]
    experiment: String,
    /// Let the timer's interrupt come at each place of a guest.
    ///
    /// All places are tried where it can come, then pairs of them.
    /// At a place the guest stands still until its timer is due, as on a host that is busy. The first place at which it
    /// fails is shown with the `run` command that repeats it. An image of tests has each of them explored. The interpreter
    /// runs the guest, because only it counts instructions.
    #[arg(long, conflicts_with_all = ["depth", "capacity", "items", "shard", "merge", "record", "format", "produce", "consume", "producers", "consumers", "producer", "consumer", "coverage"])]
    interrupts: bool,
    /// The length up to which all schedules are tried [default: 6].
    ///
    /// With more than two VMs the default is less.
    #[arg(long, value_name = "TURNS", value_parser = clap::value_parser!(u32).range(0..=32), allow_negative_numbers = true)]
    depth: Option<u32>,
    /// The time for random schedules [default: 20, unless --runs is given].
    ///
    /// With --items it is the time for states, without a default.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, allow_negative_numbers = true)]
    time: Option<Duration>,
    /// The number of random schedules.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    runs: Option<u64>,
    /// The ring's capacity in items, or a range of capacities.
    #[arg(long, value_name = "N|N-N", value_parser = parse_capacities, allow_negative_numbers = true, default_value = "1-64")]
    capacity: Capacities,
    /// Visit all states of exchanges of so many consumed items.
    ///
    /// Each state is visited once, whatever schedule leads to it. So the verdict holds for schedules of any length. It
    /// needs --produce and --consume, because guests that choose have no end of states.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true, conflicts_with_all = ["depth", "runs"])]
    items: Option<u64>,
    /// Make part K of N of the search.
    ///
    /// Each part can be made on another machine. Keep the verdict of each (--format jsonl), and give all to --merge.
    #[arg(long, hide_short_help = true, value_name = "K/N", value_parser = parse_shard)]
    shard: Option<Shard>,
    /// Make one verdict of those of all parts, and search nothing.
    #[arg(long, hide_short_help = true, value_name = "FILE", num_args = 1.., conflicts_with_all = ["shard", "items", "depth", "runs", "time", "record", "coverage"])]
    merge: Vec<PathBuf>,
    /// The seed of all random numbers.
    ///
    /// The same seed gives the same search.
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "1")]
    seed: u64,
    /// The guests' CPU mode.
    #[arg(long, value_name = "MODE")]
    mode: Option<Mode>,
    /// Each guest's memory, in bytes or with K, M, G.
    #[arg(long, hide_short_help = true, value_name = "SIZE", value_parser = parse_memory, allow_negative_numbers = true, default_value = "2M")]
    memory: u32,
    /// The deadline of one run.
    #[arg(long, value_name = "SECONDS", value_parser = parse_timeout, allow_negative_numbers = true, default_value = "2")]
    timeout: Duration,
    /// The file for the recording of a failure [default: in target/recordings].
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    #[command(flatten)]
    coverage: CoverageArgs,
    /// The form of the verdict.
    #[arg(long, value_name = "FORM", default_value = "text")]
    format: VerdictForm,
    /// Show no progress.
    #[arg(long)]
    quiet: bool,
    /// As for `run`.
    #[arg(long, hide = true)]
    needs: bool,
    #[command(flatten)]
    jail: JailArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    guests: GuestsArgs,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask explore prodcons --consumer never-wraps            a wrong guest
  cargo xtask explore prodcons --producer mine --time 60         your own guest, for a minute
  cargo xtask explore prodcons --consumer mine --consume 1       one that takes an item a turn
  cargo xtask explore prodcons --produce 2 --consume 1 --items 9   every state there is
  cargo xtask explore prodcons --runs 1000 --format jsonl        the verdict as JSON, for graders
  cargo xtask explore mine --interrupts                          interrupts at each place";

const EXIT_STATUSES: &str = "\
Exit status: 0 no guest failed; 1, 3 or 4 that of the `run` command that shows the failure; 3 also for \
a finding; 2 bad usage or bad input; 5 this machine cannot run it; 70 a bug of guestlab's.";

/// The default time for random schedules.
const DEFAULT_TIME: Duration = Duration::from_secs(20);

/// The largest number of short schedules with the default depth.
const DEFAULT_SCHEDULES: usize = 64;

/// Returns the largest depth with no more schedules than that: 6 with two VMs, 1 with more than 8.
fn default_depth(vms: usize) -> u32 {
    (1..).take_while(|&depth| vms.saturating_pow(depth) <= DEFAULT_SCHEDULES).last().unwrap_or(1)
}

/// Parses a part of a search such as `2/4`.
fn parse_shard(text: &str) -> Result<Shard, String> {
    let numbers =
        text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
    match numbers {
        Some((number @ 1.., of)) if number <= of => Ok(Shard { number, of }),
        Some((number, of)) if of > 0 => {
            Err(format!("there are {of} parts, from 1/{of} to {of}/{of}, and no {number}"))
        }
        _ => Err("a part is written as 2/4: the second of four".into()),
    }
}

/// Returns the file name of a recording, from the names of its guests.
fn recording_name(guests: &Guests) -> String {
    let name = |source: &Source| source.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    format!("explore-{}-{}.jsonl", name(&guests.producer), name(&guests.consumer))
}

/// The experiment that can be explored.
const PRODCONS: &str = "prodcons";

fn check_experiment(name: &str) -> Result<(), String> {
    match name {
        PRODCONS => Ok(()),
        _ if is_recording(name) => {
            Err(format!("explore takes `prodcons`; a recording is run again by `cargo xtask replay {name}`"))
        }
        _ => Err(format!(
            "explore takes `prodcons`; name the guest with `explore prodcons --producer {name}` or `--consumer {name}`; a guest that runs alone is explored with --interrupts"
        )),
    }
}

fn check_alone(name: &str) -> Result<(), String> {
    match name {
        PRODCONS => {
            Err("--interrupts is for a guest that runs alone, and its name stands in place of `prodcons`"
                .into())
        }
        _ if name.contains(is_separator) || is_guest_name(name) => Ok(()),
        _ => Err(format!(
            "{name:?} is not a guest's name; an image in a file is written with a /, as in ./guest.elf"
        )),
    }
}

fn is_recording(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|end| end == "jsonl")
}

impl ExploreArgs {
    /// Returns true if only the list of needed images is requested.
    pub fn asks_for_needs(&self) -> bool {
        self.needs
    }

    /// Returns the options for the engine.
    pub fn engine(&self) -> &EngineArgs {
        &self.engine
    }

    /// Checks the experiment, and its engine.
    ///
    /// # Errors
    ///
    /// It is none, or the engine cannot explore it.
    pub fn check(&self) -> Result<(), Error> {
        let checked =
            if self.interrupts { check_alone(&self.experiment) } else { check_experiment(&self.experiment) };
        checked.map_err(Error::Usage)?;
        match self.interrupts && self.engine.engine == Choice::Kvm {
            true => Err(Error::Usage(
                "--interrupts counts instructions, which KVM cannot; the interpreter can: --engine soft"
                    .into(),
            )),
            false => Ok(()),
        }
    }

    /// Returns the configuration of a search among interrupts, if it is one.
    pub fn interrupts(&self) -> Option<InterruptsConfig> {
        let mode = self.mode.map(CpuMode::from);
        let own = |name: &str| image_path(name, mode.unwrap_or(CpuMode::Protected));
        self.interrupts.then(|| InterruptsConfig {
            source: match self.experiment.contains(is_separator) {
                true => Source::file(Path::new(&self.experiment)),
                false => Source::guest(&self.experiment, own(&self.experiment)),
            },
            mode,
            memory: self.memory,
            seed: self.seed,
            limits: Limits::deadline(self.timeout),
            time: self.time.unwrap_or(DEFAULT_TIME),
            pairs: self.runs,
        })
    }

    /// Returns the option for coverage.
    pub fn coverage(&self) -> &CoverageArgs {
        &self.coverage
    }

    /// Returns the files of verdicts to merge, and the form of the result, if it is not a search.
    pub fn merges(&self) -> Option<(&[PathBuf], Form)> {
        (!self.merge.is_empty()).then(|| (&self.merge[..], self.format.into()))
    }

    /// Returns the jail of the search.
    pub fn jail(&self) -> Jail {
        self.jail.jail()
    }

    /// Returns the names and modes of the images that the search takes from the folder of images.
    pub fn needs(&self) -> Vec<(String, CpuMode)> {
        if self.merges().is_some() {
            return Vec::new();
        }
        let mode = self.mode.map_or(CpuMode::Protected, CpuMode::from);
        if self.interrupts {
            let name = Some(self.experiment.clone()).filter(|name| is_guest_name(name));
            return name.into_iter().map(|name| (name, mode)).collect();
        }
        self.guests.needs(mode).into_iter().map(|name| (name, mode)).collect()
    }

    /// Returns the configuration of the search.
    pub fn config(&self) -> ExploreConfig {
        let mode = self.mode.map(CpuMode::from);
        let guests = self.guests.guests(mode, self.memory, HvaPolicy::DenySilently, Quota::Random);
        ExploreConfig {
            depth: self.depth.unwrap_or_else(|| default_depth(guests.vms())),
            recording: self
                .record
                .clone()
                .unwrap_or_else(|| recordings_folder().join(recording_name(&guests))),
            renames_recording: self.record.is_none(),
            guests,
            seed: self.seed,
            limits: Limits::deadline(self.timeout),
            time: self.time.or((self.runs.is_none() && self.items.is_none()).then_some(DEFAULT_TIME)),
            runs: self.runs,
            items: self.items,
            shard: self.shard,
            capacities: self.capacity,
            options: self.options(),
            form: self.format.into(),
            quiet: self.quiet,
        }
    }

    /// Returns the options of `run` for the same guests. The quotas are not among them, since each trial has its own.
    fn options(&self) -> Vec<String> {
        let mode = self.mode.map(|mode| CpuMode::from(mode).name().to_owned());
        let memory = (self.memory != DEFAULT_MEMORY).then(|| self.memory.to_string());
        let own = [("--mode", mode), ("--memory", memory)];
        let own = own.into_iter().filter_map(|(option, value)| Some([option.to_owned(), value?])).flatten();
        self.guests.who().into_iter().chain(own).collect()
    }
}

/// Parses capacities such as `6` or `1-64`.
pub(super) fn parse_capacities(text: &str) -> Result<Capacities, String> {
    let (smallest, largest) = text.split_once('-').unwrap_or((text, text));
    let range = smallest.parse().ok().zip(largest.parse().ok());
    range
        .and_then(|(smallest, largest): (u32, u32)| Capacities::new(&RangeInclusive::new(smallest, largest)))
        .ok_or_else(|| {
            format!(
                "a capacity is 1 to {MAX_CAPACITY} items, as in 6; a range is written as in 1-{MAX_CAPACITY}"
            )
        })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::{
        cli::{Cli, Command},
        runlog::ring_check::Orders,
    };

    fn parse(args: &[&str]) -> Result<ExploreArgs, clap::Error> {
        let args = ["guestlab", "explore", "prodcons"].iter().chain(args);
        Cli::try_parse_from(args).map(|cli| match cli.command {
            Command::Explore(args) => *args,
            _ => unreachable!("it is `explore`"),
        })
    }

    fn parsed(args: &[&str]) -> ExploreConfig {
        parse(args).expect("valid usage").config()
    }

    #[test]
    fn a_search_at_random_ends_by_time_or_by_number() {
        let ends = |args: &[&str]| (parsed(args).time, parsed(args).runs);
        assert_eq!(ends(&[]), (Some(DEFAULT_TIME), None));
        assert_eq!(ends(&["--runs", "5"]), (None, Some(5)));
        assert_eq!(ends(&["--runs", "5", "--time", "0"]), (Some(Duration::ZERO), Some(5)));
    }

    #[test]
    fn many_vms_have_short_schedules() {
        let depth = |producers: &str| parsed(&["--producers", producers]).depth;
        assert_eq!(["1", "2", "3", "7", "8", "16"].map(depth), [6, 3, 3, 2, 1, 1]);
        assert_eq!(parsed(&["--depth", "9"]).depth, 9);
    }

    #[test]
    fn capacities_are_one_or_some() {
        assert_eq!(parsed(&["--capacity", "6"]).capacities.items(), (6, 6));
        assert_eq!(parsed(&[]).capacities.items(), (1, 64));
        for capacities in ["0", "0-3", "1-65", "7-6", "-", "1-", "x", "-1"] {
            assert!(parse(&["--capacity", capacities]).is_err(), "{capacities}");
        }
    }

    #[test]
    fn the_guests_options_are_handed_on_as_they_were_given() {
        let config = parsed(&["--consumer", "a b.elf", "--produce", "2", "--mode", "long"]);
        assert_eq!(config.options, ["--consumer", "a b.elf", "--mode", "long"]);
        assert_eq!(config.guests.orders, Orders { produce: Quota::Items(2), consume: Quota::Random });
        assert!(parsed(&[]).options.is_empty());
    }

    #[test]
    fn a_part_is_one_of_its_number() {
        let part = |text| parse(&["--shard", text]).map(|args| args.config().shard);
        assert_eq!(part("2/4").ok().flatten(), Some(Shard { number: 2, of: 4 }));
        for text in ["3/2", "0/2", "1/0", "1", "/", "a/b", "-1/2", "1/2/3", "99999999999999999999/1"] {
            assert!(part(text).is_err(), "{text}");
        }
        let error = parse(&["--shard", "3/2"]).expect_err("there are two").to_string();
        assert!(error.contains("there are 2 parts, from 1/2 to 2/2, and no 3"), "{error}");
    }

    #[test]
    fn bad_values_are_refused() {
        for (option, value) in
            [("--depth", "33"), ("--depth", "-1"), ("--time", "-1"), ("--time", "nan"), ("--runs", "x")]
        {
            assert!(parse(&[option, value]).is_err(), "{option} {value}");
        }
    }
}
