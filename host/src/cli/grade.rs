//! `grade`: judges a list of submissions.

use std::{num::NonZeroUsize, path::PathBuf, thread, time::Duration};

use clap::Args;
use guest_abi::mode::CpuMode;

use crate::{
    cli::{
        choices::{Mode, VerdictForm},
        common::{EngineArgs, SHORT_HELP, image_path},
        explore::parse_capacities,
        values::{parse_seconds, parse_timeout},
    },
    lab::{exchange, grade::GradeConfig},
};

/// Grade a class: search each submission for failures, and write a table, JSON lines and a page.
///
/// The list has a line of JSON for each submission: its `name`, its `role` (producer or consumer), and the path of its
/// `image` from the list's folder. A submission without an image has a `problem` instead. Each one is searched as by
/// `explore`, together with Guestlab's own guest of the other side. `cargo xtask grade DIR` makes the list of a folder.
#[derive(Debug, Args)]
#[command(after_long_help = format!("{EXAMPLES}\n\n{EXIT_STATUSES}"), after_help = format!("{EXAMPLES}\n\n{SHORT_HELP}"))]
pub struct GradeArgs {
    /// The list of submissions.
    #[arg(value_name = "LIST.jsonl")]
    list: PathBuf,
    /// The folder for the grades: index.html, grades.jsonl, and the recordings.
    #[arg(long, value_name = "FOLDER", default_value = "grades")]
    out: PathBuf,
    /// The number of random schedules for each submission.
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "2000")]
    runs: u64,
    /// The length up to which all schedules are tried.
    #[arg(long, value_name = "TURNS", value_parser = clap::value_parser!(u32).range(0..=32), allow_negative_numbers = true, default_value = "6")]
    depth: u32,
    /// The ring's capacity in items, or a range of capacities.
    #[arg(long, value_name = "N|N-N", value_parser = parsed_capacities, allow_negative_numbers = true, default_value = "1-64")]
    capacity: String,
    /// The seed of all random numbers.
    ///
    /// The same seed gives the same search, so that all submissions have the same chance.
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "1")]
    seed: u64,
    /// The guests' CPU mode [default: that of each image].
    #[arg(long, value_name = "MODE")]
    mode: Option<Mode>,
    /// The deadline of one run.
    #[arg(long, value_name = "SECONDS", value_parser = parse_timeout, allow_negative_numbers = true, default_value = "2")]
    timeout: Duration,
    /// The time that the search of one submission may take.
    ///
    /// A submission whose search takes longer is undecided.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, allow_negative_numbers = true, default_value = "300")]
    limit: Duration,
    /// The number of searches at the same time [default: one for each CPU].
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// The form of the output: a table, or the rows as JSON lines.
    #[arg(long, value_name = "FORM", default_value = "text")]
    format: VerdictForm,
    /// Show no progress.
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    engine: EngineArgs,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask grade submissions                        a folder: images, packages in Rust, folders with C files
  cargo xtask grade submissions --runs 20000           search longer
  cargo xtask grade submissions --format jsonl         the rows as JSON lines";

const EXIT_STATUSES: &str = "\
Exit status: 0 all submissions were judged, whatever their grades; 2 bad usage or bad input; \
5 this machine cannot run guests; 70 a bug of guestlab's, which left some rows undecided.";

/// Checks a range of capacities, which `explore` parses again.
fn parsed_capacities(text: &str) -> Result<String, String> {
    parse_capacities(text).map(|_| text.to_owned())
}

impl GradeArgs {
    /// Returns the options for the engine.
    pub fn engine(&self) -> &EngineArgs {
        &self.engine
    }

    /// Returns the configuration.
    pub fn config(&self) -> GradeConfig {
        let cpus = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        GradeConfig {
            list: self.list.clone(),
            out: self.out.clone(),
            own: self.own(),
            search: self.search(),
            limit: self.limit,
            jobs: self.jobs.map_or_else(cpus, NonZeroUsize::get),
            form: self.format.into(),
            quiet: self.quiet,
        }
    }

    /// Returns the images of Guestlab's own guests.
    fn own(&self) -> [PathBuf; 2] {
        let mode = self.mode.map_or(CpuMode::Protected, CpuMode::from);
        [exchange::PRODUCER, exchange::CONSUMER].map(|name| image_path(name, mode))
    }

    /// Returns the options of `explore`.
    fn search(&self) -> Vec<String> {
        let mode = self.mode.map(|mode| CpuMode::from(mode).name().to_owned());
        let options = [
            ("--runs", Some(self.runs.to_string())),
            ("--depth", Some(self.depth.to_string())),
            ("--capacity", Some(self.capacity.clone())),
            ("--seed", Some(self.seed.to_string())),
            ("--timeout", Some(self.timeout.as_secs_f64().to_string())),
            ("--mode", mode),
        ];
        let given = options
            .into_iter()
            .chain(self.engine.given())
            .filter_map(|(option, value)| Some([option.to_owned(), value?]));
        given.flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::{Cli, Command};

    fn search(line: &str) -> Vec<String> {
        match Cli::try_parse_from(line.split(' ')).expect("valid usage").command {
            Command::Grade(args) => args.config().search,
            _ => unreachable!("it is `grade`"),
        }
    }

    #[test]
    fn the_options_of_each_search_are_those_of_explore() {
        let search = search("guestlab grade list.jsonl --runs 7 --mode long --capacity 2-3 --timeout 0.5");
        let words = ["guestlab", "explore", "prodcons"].map(String::from).into_iter().chain(search.clone());
        assert!(Cli::try_parse_from(words).is_ok(), "{search:?}");
        let expected = "--runs 7 --depth 6 --capacity 2-3 --seed 1 --timeout 0.5 --mode long";
        assert_eq!(search.join(" "), expected);
    }
}
