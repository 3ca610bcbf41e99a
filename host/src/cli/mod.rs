//! The command line: commands and their options.

mod choices;
mod common;
pub mod compare;
mod coverage;
mod explore;
mod flame;
mod grade;
mod guests;
mod jail;
mod later_files;
mod limits;
pub mod report;
mod run;
pub mod status;
pub mod terminal;
mod test;
pub mod values;
pub mod view;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

pub use common::{EngineArgs, image_path};
pub use explore::ExploreArgs;
pub use grade::GradeArgs;
pub use jail::JailArgs;
pub use run::{RunArgs, RunConfig};
pub use test::TestArgs;
pub use view::ViewArgs;

use choices::VerdictForm;
use values::parse_timeout;

/// Guestlab runs bare-metal guests in virtual machines: on KVM, or on its own interpreter.
#[derive(Debug, Parser)]
#[command(name = "guestlab", version, max_term_width = 100)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an experiment or a guest.
    Run(Box<RunArgs>),
    /// Search for a schedule, a capacity and a seed at which a guest of the exchange fails.
    Explore(Box<ExploreArgs>),
    /// Grade a class: search each submission for failures, and write a table, JSON lines and a page.
    Grade(Box<GradeArgs>),
    /// Run the tests in images, each in its own VM.
    Test(Box<TestArgs>),
    /// Run a recording again in VMs, and report the first difference.
    Replay(ReplayArgs),
    /// Compare two runs (recordings or JSON lines): the first difference and the statistics.
    Compare(CompareArgs),
    /// Write a page about a run in a file, without running it again.
    Report(ReportArgs),
    /// Show a run in the terminal, forwards and backwards: a recording or the output of `--format jsonl`.
    View(ViewArgs),
    /// Check whether this machine can run guests, and suggest what to do if not.
    Doctor(EngineArgs),
}

/// Run a recording again.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  cargo xtask run prodcons --record run.jsonl
  cargo xtask replay run.jsonl")]
pub struct ReplayArgs {
    /// A file from `run prodcons --record FILE`.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The deadline of the replay; after it the status is 4.
    #[arg(long, value_name = "SECONDS", value_parser = parse_timeout, allow_negative_numbers = true, default_value = "60")]
    pub timeout: Duration,
    /// As for `run`.
    #[arg(long, hide = true)]
    pub needs: bool,
    /// The options of the jail.
    #[command(flatten)]
    pub jail: JailArgs,
    /// The options for the engine.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Compare two runs.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  cargo xtask run prodcons --seed 3 --record right.jsonl
  cargo xtask run prodcons --seed 3 --consumer never-wraps --record wrong.jsonl
  cargo xtask compare right.jsonl wrong.jsonl")]
pub struct CompareArgs {
    /// A file from `run --record FILE`, or the output of `run --format jsonl`.
    #[arg(value_name = "A")]
    one: PathBuf,
    /// Another such file.
    #[arg(value_name = "B")]
    other: PathBuf,
    /// The form of the output.
    #[arg(long, value_name = "FORM", default_value = "text")]
    format: VerdictForm,
    /// As for `run`: a comparison needs no images.
    #[arg(long, hide = true)]
    pub needs: bool,
}

/// Write a page about a run in a file.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  cargo xtask run prodcons --record run.jsonl
  cargo xtask report run.jsonl page.html")]
pub struct ReportArgs {
    /// A file from `run ... --record FILE`, or the output of `run ... --format jsonl`.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The page: one HTML file that needs no other files.
    #[arg(value_name = "OUT.html")]
    pub page: PathBuf,
    /// As for `run`.
    #[arg(long, hide = true)]
    pub needs: bool,
}

impl CompareArgs {
    /// Returns the configuration of the comparison.
    pub fn config(&self) -> compare::Plan {
        compare::Plan { files: [self.one.clone(), self.other.clone()], form: self.format.into() }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{common::SHORT_HELP, *};

    #[test]
    fn the_short_help_is_short() {
        for (name, most) in [("run", 52), ("explore", 42)] {
            let command = Cli::command().find_subcommand(name).expect("a command").clone();
            let mut command = command.term_width(100);
            let (short, long) = (command.render_help().to_string(), command.render_long_help().to_string());
            assert!(short.lines().count() <= most && long.lines().count() > 70, "{short}");
            // Each option has one line.
            let options = short.lines().filter(|line| line.starts_with("      --"));
            let indented = short.lines().filter(|line| line.starts_with("           "));
            assert!(options.count() > 15 && indented.count() == 0, "{short}");
            assert!(short.contains("--seed <N>") && short.ends_with(&format!("{SHORT_HELP}\n")), "{short}");
            assert!(long.contains("--memory") && long.contains("Exit status: "), "{long}");
        }
    }

    /// The commands in the help of a command.
    fn examples(command: &clap::Command) -> Vec<String> {
        let help = command.clone().render_help().to_string();
        let lines = help.lines().filter_map(|line| line.strip_prefix("  cargo xtask "));
        // What is behind two spaces says what the command does.
        lines.map(|line| line.split("  ").next().unwrap_or(line).to_owned()).collect()
    }

    #[test]
    fn examples_are_commands() {
        for name in ["run", "explore", "grade", "test", "replay", "compare", "report", "view"] {
            let examples = examples(Cli::command().find_subcommand(name).expect("a command"));
            assert!(!examples.is_empty(), "{name} has no example");
            for example in examples.iter().filter(|example| !example.starts_with("test --guests")) {
                let words = ["guestlab"].into_iter().chain(example.split(' '));
                Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{example}: {error}"));
            }
        }
    }
}
