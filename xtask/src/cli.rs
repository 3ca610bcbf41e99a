//! The command line, as clap reads it. What each command does is in the file of its name.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::guests::Mode;
use crate::scaffold::Template;

/// Builds Guestlab's guests, runs its experiments and checks everything.
///
/// Exit status: 0 success; 1 a check of `ci` failed; 2 bad usage, or something that does not
/// compile; 5 this machine lacks what is needed (`doctor` says what); 70 a bug of this tool.
/// Whatever `guestlab` or the tests exit with is passed on; 128+N says that signal N ended them.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub(crate) struct Cli {
    /// Say which toolchain builds the guests even where it is no news.
    #[arg(short, long)]
    pub(crate) verbose: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands, one a file of `commands/`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a guest of your own: a folder here that builds and runs at once.
    New(New),

    /// Build all guests, or the named ones, and print each image's path, mode and size.
    BuildGuests(BuildGuests),

    /// Run an experiment or a guest in a virtual machine; builds whatever that needs first.
    ///
    /// Everything after `run` goes to `guestlab run` as it is: `cargo xtask run --help` shows
    /// that command's own help, and then what is xtask's.
    #[command(disable_help_flag = true)]
    Run(Handed),

    /// Look for a schedule, a capacity and a seed at which a guest of the exchange fails.
    ///
    /// Everything after `explore` goes to `guestlab explore` as it is, but for the options that are xtask's, as
    /// for `run`.
    #[command(disable_help_flag = true)]
    Explore(Handed),

    /// Run a recording of `run prodcons --record FILE` again, and report the first difference.
    ///
    /// Everything after `replay` goes to `guestlab replay` as it is.
    #[command(disable_help_flag = true)]
    Replay(Handed),

    /// Compare two runs, recorded or printed as JSON lines: where they part, and how their figures differ.
    ///
    /// Everything after `compare` goes to `guestlab compare` as it is.
    #[command(disable_help_flag = true)]
    Compare(Handed),

    /// Write a page about a run that is in a file, of `--record FILE` or `--format jsonl`: `report FILE OUT.html`.
    ///
    /// Everything after `report` goes to `guestlab report` as it is.
    #[command(disable_help_flag = true)]
    Report(Handed),

    /// Show a run in the terminal, forwards and backwards: a recording, or what `--format jsonl` wrote.
    ///
    /// Everything after `view` goes to `guestlab view` as it is.
    #[command(disable_help_flag = true)]
    View(Handed),

    /// Build the guests and run every test, the host's and those inside guests; `--guests` runs these only,
    /// and `--nested` all that boot guests on emulated hardware KVM.
    Test(Test),

    /// Measure what everything costs, beside a hypervisor in plain C (needs gcc).
    Bench(Bench),

    /// Fuzz all that reads what others wrote (images, recordings, hypercalls, ...), or the named targets of it.
    ///
    /// Needs a C++ compiler. What is found new stays below `target`; the exit status is 1 where a target
    /// failed, with the command that repeats it.
    Fuzz(Fuzz),

    /// Check format, lints (host and guests), documentation and tests; list all failures together.
    Ci,

    /// Typeset the analysis (PDF and HTML) and make the reference, below `target`.
    Docs,

    /// Draw the pictures that README and the guide show, below `docs`: a run as printed, in the terminal, and
    /// as a page; and two runs, compared.
    Picture,

    /// Say whether this machine can build and run guests, and what to do where it cannot.
    Doctor,
}

/// What to make.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// The guest's name: lower case letters, digits, `-` and `_`.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// What it does at first.
    #[arg(long, value_enum, default_value_t = Template::Hello)]
    pub(crate) template: Template,
}

/// Which guests to build, and for which CPU mode.
#[derive(Debug, Args)]
pub(crate) struct BuildGuests {
    /// Guests by name: a guest crate, or an example of guest-rt. All of them without a name.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,

    /// The guests that come with Guestlab, whatever a user has made: for its tests.
    #[arg(long, hide = true, conflicts_with_all = ["names", "manifest_path"])]
    pub(crate) shipped: bool,

    /// The CPU mode that the guests' Rust code is compiled for.
    #[arg(long, value_enum, default_value_t = Mode::Protected)]
    pub(crate) mode: Mode,

    /// Build guests from elsewhere: packages in the workspace of this Cargo.toml that depend on guest-rt.
    /// Their images go to its target folder, as `guests/NAME.elf`.
    #[arg(long, value_name = "PATH")]
    pub(crate) manifest_path: Option<PathBuf>,

    /// Do not optimize the guests' own code, so that gdb has every variable and every function of it.
    #[arg(long)]
    pub(crate) unoptimized: bool,
}

/// Which tests to run, and where.
#[derive(Debug, Default, Args)]
pub(crate) struct Test {
    /// Run the host's tests in a small Linux in an emulated PC, whose KVM behaves as on AMD's
    /// hardware, whatever this machine has; must come first.
    ///
    /// What that needs and is not here (QEMU, a kernel, a busybox) is fetched from Debian's archive
    /// into the user's cache; nothing on the system changes. Documentation tests and those of
    /// other packages are not run there.
    #[arg(long)]
    pub(crate) nested: bool,

    /// Run only the tests that run inside guests, each in a VM of its own, in every CPU mode that this
    /// machine can do; must come first.
    #[arg(long, conflicts_with = "nested")]
    pub(crate) guests: bool,

    /// With `--guests`: only in this mode.
    #[arg(long, value_enum, requires = "guests")]
    pub(crate) mode: Option<Mode>,

    /// Handed on to `cargo test` as it is; with `--guests` to `guestlab test`, whose help lists its options
    /// and takes words for parts of tests' names; with `--nested`, to each of the test programs, which
    /// take it for names of tests.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub(crate) arguments: Vec<OsString>,
}

/// What to measure, and what to do with it.
#[derive(Debug, Default, Args)]
pub(crate) struct Bench {
    /// Measure only what has this in its name, such as `exit`, `turns`, `instructions`, `life`, `vms`,
    /// `free`, `explore` or `builds`.
    #[arg(value_name = "FILTER")]
    pub(crate) filter: Option<String>,

    /// Take fewer rounds, and do not build from nothing.
    #[arg(long)]
    pub(crate) quick: bool,

    /// The form of what is printed.
    #[arg(long, value_enum, default_value_t = BenchFormat::Text)]
    pub(crate) format: BenchFormat,

    /// Keep the results under this name, in target/bench.
    #[arg(long, value_name = "NAME")]
    pub(crate) save: Option<String>,

    /// Say what has changed since the results of this name.
    #[arg(long, value_name = "NAME")]
    pub(crate) against: Option<String>,
}

/// The form in which results are printed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum BenchFormat {
    /// A table.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// The table of docs/performance.md.
    Markdown,
}

/// What to fuzz, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// Targets by name: those of `host/fuzz/fuzz_targets`. All of them without a name.
    #[arg(value_name = "TARGET")]
    pub(crate) targets: Vec<String>,

    /// How long each of the targets runs.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: u32,

    /// Take what is found new into the corpus under version control, which stays small.
    #[arg(long)]
    pub(crate) keep: bool,

    /// Run the target on this input only.
    #[arg(long, value_name = "FILE", requires = "targets", conflicts_with_all = ["seconds", "keep"])]
    pub(crate) repeat: Option<std::path::PathBuf>,
}

/// Arguments that are another program's to understand.
#[derive(Debug, Args)]
pub(crate) struct Handed {
    /// Handed on unmodified.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub(crate) arguments: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(line: &str) -> Test {
        match Cli::try_parse_from(format!("xtask test {line}").split_whitespace()).unwrap().command {
            Command::Test(test) => test,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn what_follows_test_is_handed_on() {
        for line in ["", "name", "--release name", "-p xtask name -- --nocapture", "name --nested"] {
            let test = test(line);
            assert!(!test.nested, "{line}");
            assert_eq!(test.arguments, line.split_whitespace().collect::<Vec<_>>(), "{line}");
        }
    }

    #[test]
    fn guests_comes_first_and_its_mode_second() {
        let test = test("--guests --mode long heap --exact");
        assert!(test.guests && test.mode == Some(Mode::Long));
        assert_eq!(test.arguments, ["heap", "--exact"]);
    }

    #[test]
    fn nested_comes_first() {
        let test = test("--nested one two --ignored");
        assert!(test.nested);
        assert_eq!(test.arguments, ["one", "two", "--ignored"]);
    }
}
