//! The command line: what can be said, and what is to be done then.

mod choices;
pub mod compare;
mod explore;
mod guests;
mod jail;
mod limits;
pub mod report;
mod run;
pub mod terminal;
mod test;
pub mod values;
pub mod view;

use std::{env, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use guest_abi::mode::CpuMode;

pub use explore::ExploreArgs;
pub use jail::JailArgs;
pub use run::{Plan, RunArgs};
pub use test::TestArgs;
pub use view::ViewArgs;

use choices::VerdictForm;

use crate::{cli::values::parse_timeout, kvm::System};

/// The end of the short help, which leaves out the lesser options.
const SHORT_HELP: &str = "--help has all options, and the exit statuses.";

/// Guestlab runs bare-metal Rust guests in real virtual machines under Linux KVM.
#[derive(Debug, Parser)]
#[command(name = "guestlab", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an experiment or a guest.
    Run(Box<RunArgs>),
    /// Look for a schedule, a capacity and a seed at which a guest of the exchange fails.
    Explore(Box<ExploreArgs>),
    /// Run the tests that images hold, each in a VM of its own.
    Test(Box<TestArgs>),
    /// Run a recording again, in real VMs, and report the first difference.
    Replay(ReplayArgs),
    /// Compare two runs, recorded or printed as JSON lines: where they part, and how their figures differ.
    Compare(CompareArgs),
    /// Write a page about a run that is in a file; nothing is run again.
    Report(ReportArgs),
    /// Show a run in the terminal, forwards and backwards: a recording, or what `--format jsonl` wrote.
    View(ViewArgs),
    /// Say whether this machine can run guests and, if not, what to do.
    Doctor(DeviceArgs),
}

/// Where KVM is.
#[derive(Debug, Args)]
pub struct DeviceArgs {
    /// The KVM device.
    #[arg(long, hide_short_help = true, value_name = "PATH", default_value = System::DEVICE)]
    pub kvm: PathBuf,
}

/// Run a recording again.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// What `run prodcons --record FILE` wrote.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The time after which the replay ends with status 4.
    #[arg(long, value_name = "SECONDS", value_parser = parse_timeout, allow_negative_numbers = true, default_value = "60")]
    pub timeout: Duration,
    /// As for `run`.
    #[arg(long, hide = true)]
    pub needs: bool,
    /// How it is confined.
    #[command(flatten)]
    pub jail: JailArgs,
    /// Where KVM is.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Compare two runs.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// What `run --record FILE` or `run --format jsonl` wrote.
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

/// Write a page about a run that is in a file.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// What `run ... --record FILE` or `run ... --format jsonl` wrote.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The page: one HTML file that needs nothing else.
    #[arg(value_name = "OUT.html")]
    pub page: PathBuf,
    /// As for `run`.
    #[arg(long, hide = true)]
    pub needs: bool,
}

impl CompareArgs {
    /// What to compare.
    pub fn plan(&self) -> compare::Plan {
        compare::Plan { files: [self.one.clone(), self.other.clone()], form: self.format.into() }
    }
}

/// Where a guest's image is: in the images' folder.
pub fn image_path(name: &str, mode: CpuMode) -> PathBuf {
    images_folder().join(match mode {
        CpuMode::Protected => format!("{name}.elf"),
        mode => format!("{name}.{}.elf", mode.name()),
    })
}

/// The folder of images: the one that GUESTLAB_IMAGES names, or `guests` beside the folder of this
/// program, as cargo's target folder has it.
fn images_folder() -> PathBuf {
    let beside = || Some(env::current_exe().ok()?.parent()?.parent()?.join("guests"));
    env::var_os("GUESTLAB_IMAGES").map(PathBuf::from).or_else(beside).unwrap_or_default()
}

/// The folder of recordings that were not asked for by name: beside that of images.
fn recordings_folder() -> PathBuf {
    images_folder().with_file_name("recordings")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_short_help_is_short() {
        let run = Cli::command().find_subcommand("run").expect("a command").clone();
        let mut run = run.term_width(100);
        let (short, long) = (run.render_help().to_string(), run.render_long_help().to_string());
        assert!(short.lines().count() < 60 && long.lines().count() > 100, "{short}");
        assert!(short.contains("--seed <N>") && short.ends_with(&format!("{SHORT_HELP}\n")), "{short}");
        assert!(long.contains("--max-output") && long.contains("Exit status: "), "{long}");
    }
}
