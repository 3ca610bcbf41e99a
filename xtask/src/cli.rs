//! The command line.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{grade::Role, guests::Mode, scaffold::Template};

/// Builds Guestlab's guests, runs its experiments and checks everything.
///
/// Exit status: 0 success; 1 a check of `ci` failed; 2 bad usage, or code that does not compile; 5 this machine lacks
/// something (`doctor` says what); 70 a bug of this tool. The status of `guestlab` or of the tests is passed on.
/// 128+N means that signal N ended them.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub(crate) struct Cli {
    /// Always print which toolchain builds the guests.
    #[arg(short, long)]
    pub(crate) verbose: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands, one a file of `commands/`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a guest of your own, in Rust or C, or a hypervisor: a folder that builds and runs at once.
    New(New),

    /// Make a folder with all that guests in C need, for people without Rust: header, boot library, linker script,
    /// Makefile, and this hypervisor.
    Kit(Kit),

    /// Build all guests, or the named ones, and print each image's path, mode and size.
    BuildGuests(BuildGuests),

    /// Run an experiment or a guest in a virtual machine; build whatever that needs first.
    ///
    /// `guestlab run` gets all arguments. `cargo xtask run --help` shows its help, and the options of xtask.
    #[command(disable_help_flag = true)]
    Run(Passed),

    /// Search for a schedule, a capacity and a seed at which a guest of the exchange fails.
    ///
    /// `guestlab explore` gets all arguments but the options of xtask, which are those of `run`.
    #[command(disable_help_flag = true)]
    Explore(Passed),

    /// Grade a class: a folder with a submission for each student, an image or a folder of sources.
    ///
    /// Sources are built in a sandbox without a network (bubblewrap). Each guest is searched for failures together with
    /// Guestlab's own guest of the other side. The result is a table, JSON lines, a page, and a recording of each failure.
    /// Exit status: 0 all submissions were judged, whatever their grades; 2 bad usage or bad input; 5 this machine cannot
    /// run guests; 70 a bug, which left some rows undecided.
    Grade(Grade),

    /// Run a recording of `run prodcons --record FILE` again, and report the first difference.
    #[command(disable_help_flag = true)]
    Replay(Passed),

    /// Compare two runs, recorded or printed as JSON lines: the first difference, and the figures.
    #[command(disable_help_flag = true)]
    Compare(Passed),

    /// Write a page about a run in a file, from `--record FILE` or `--format jsonl`: `report FILE OUT.html`.
    #[command(disable_help_flag = true)]
    Report(Passed),

    /// Show a run in the terminal, forwards and backwards: a recording, or a file of `--format jsonl`.
    #[command(disable_help_flag = true)]
    View(Passed),

    /// Build the guests and run every test, the host's and those inside guests. `--quick` runs those that take seconds,
    /// `--guests` only those inside guests; `--nested` runs all tests that boot guests on emulated hardware KVM.
    Test(Test),

    /// Measure the cost of everything, beside a hypervisor in plain C (needs gcc).
    Bench(Bench),

    /// Fuzz all code that reads input from others (images, recordings, hypercalls, ...), or the named targets.
    ///
    /// Needs a C++ compiler. New inputs stay below `target`. If a target fails, the exit status is 1, and the
    /// command that repeats the failure is printed.
    Fuzz(Fuzz),

    /// Check format, lints (host and guests), other systems, documentation and tests; list all failures together.
    Ci {
        /// Make only the checks with this in their name.
        #[arg(value_name = "FILTER")]
        filter: Option<String>,
    },

    /// Typeset the analysis (PDF and HTML) and make the reference, below `target`.
    Docs,

    /// Draw the pictures of README and the guide, below `docs`: a run as printed, in the terminal, and as a page; and
    /// two runs, compared.
    Picture,

    /// Check that this machine can build and run guests, and say what to do if not.
    Doctor,
}

/// Options of `new`.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// The name, which is a folder here, or the path of a folder outside of Guestlab's, such as `../demo`. A name has
    /// lower case letters, digits, `-` and `_`.
    #[arg(value_name = "NAME|PATH")]
    pub(crate) place: String,

    /// The first program.
    #[arg(long, value_enum, default_value_t = Template::Hello)]
    pub(crate) template: Template,
}

/// Options of `kit`.
#[derive(Debug, Args)]
pub(crate) struct Kit {
    /// The new folder.
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
}

/// Options of `build-guests`.
#[derive(Debug, Args)]
pub(crate) struct BuildGuests {
    /// Guests by name: a guest crate, or an example of guest-rt. All of them without a name.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,

    /// Guestlab's own guests only, for its tests.
    #[arg(long, hide = true, conflicts_with_all = ["names", "manifest_path"])]
    pub(crate) shipped: bool,

    /// The CPU mode of the guests' Rust code.
    #[arg(long, value_enum, default_value_t = Mode::Protected)]
    pub(crate) mode: Mode,

    /// Build the guests of another workspace: packages in the workspace of this Cargo.toml that depend on guest-rt.
    /// Their images go to its target folder, as `guests/NAME.elf`.
    #[arg(long, value_name = "PATH")]
    pub(crate) manifest_path: Option<PathBuf>,

    /// Do not optimize the guests' own code, so that gdb has every variable and every function of it.
    #[arg(long)]
    pub(crate) unoptimized: bool,
}

/// Options of `grade`.
#[derive(Debug, Args)]
pub(crate) struct Grade {
    /// The folder of the submissions: each entry is an image, or a folder with images, packages in Rust, or C files.
    ///
    /// A name with `producer` or `consumer` in it tells a guest's side.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,

    /// The folder for the grades [default: target/grades/DIR].
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,

    /// The side of guests whose names do not tell it.
    #[arg(long, value_enum, value_name = "SIDE")]
    pub(crate) role: Option<Role>,

    /// The CPU mode in which guests are built, and which images must have [default: protected, and any].
    #[arg(long, value_enum)]
    pub(crate) mode: Option<Mode>,

    /// The time that the build of one guest may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) build_limit: u32,

    /// Options of `guestlab grade`, behind those above: --runs N, --depth N, --capacity N-N, --seed N, --timeout SECONDS,
    /// --limit SECONDS, --jobs N, --format jsonl, --quiet.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    pub(crate) arguments: Vec<OsString>,
}

/// Options of `test`.
#[derive(Debug, Default, Args)]
pub(crate) struct Test {
    /// Run the host's tests in a small Linux in an emulated PC, whose KVM behaves as on AMD's hardware; must come
    /// first.
    ///
    /// Missing parts (QEMU, a kernel, a busybox) are downloaded from Debian's archive into the user's cache; nothing on
    /// the system changes. Documentation tests and tests of other packages are not run there.
    #[arg(long)]
    pub(crate) nested: bool,

    /// Run only what takes seconds, for each save of a file: unit tests, the tests of the source's structure, and the
    /// tests inside guests.
    #[arg(long, conflicts_with_all = ["nested", "guests", "arguments"])]
    pub(crate) quick: bool,

    /// Run only the tests inside guests, each in a VM of its own, in every CPU mode that this machine supports; must
    /// come first.
    #[arg(long, conflicts_with = "nested")]
    pub(crate) guests: bool,

    /// With `--guests`: only in this mode.
    #[arg(long, value_enum, requires = "guests")]
    pub(crate) mode: Option<Mode>,

    /// Arguments of `cargo test`. With `--guests` they go to `guestlab test`: options of its help, and parts of tests'
    /// names. With `--nested` they go to each test program: names of tests.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub(crate) arguments: Vec<OsString>,
}

/// Options of `bench`.
#[derive(Debug, Default, Args)]
pub(crate) struct Bench {
    /// Measure only things with this in their name or engine: `exit`, `turns`, `instructions`, `life`, `vms`, `free`,
    /// `explore`, `builds`, `soft` (the interpreter).
    #[arg(value_name = "FILTER")]
    pub(crate) filter: Option<String>,

    /// Take fewer rounds, and do not build from nothing.
    #[arg(long)]
    pub(crate) quick: bool,

    /// The output's format.
    #[arg(long, value_enum, default_value_t = BenchFormat::Text)]
    pub(crate) format: BenchFormat,

    /// Save the results under this name, in target/bench.
    #[arg(long, value_name = "NAME")]
    pub(crate) save: Option<String>,

    /// Print the changes since the results of this name.
    #[arg(long, value_name = "NAME")]
    pub(crate) against: Option<String>,
}

/// Formats of results.
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

/// Options of `fuzz`.
#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// Targets by name: those of `host/fuzz/fuzz_targets`. All of them without a name.
    #[arg(value_name = "TARGET")]
    pub(crate) targets: Vec<String>,

    /// The time of each target.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: u32,

    /// Take new inputs into the corpus under version control, which stays small.
    #[arg(long)]
    pub(crate) keep: bool,

    /// Run the target on this input only.
    #[arg(long, value_name = "FILE", requires = "targets", conflicts_with_all = ["seconds", "keep"])]
    pub(crate) repeat: Option<PathBuf>,
}

/// Arguments for `guestlab`.
#[derive(Debug, Args)]
pub(crate) struct Passed {
    /// Arguments of `guestlab`, passed on unmodified.
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
    fn arguments_of_test_are_passed_on() {
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
    fn a_quick_run_has_no_arguments() {
        assert!(test("--quick").quick);
        let words = "xtask test --quick name".split_whitespace();
        assert!(Cli::try_parse_from(words).is_err());
    }

    #[test]
    fn nested_comes_first() {
        let test = test("--nested one two --ignored");
        assert!(test.nested);
        assert_eq!(test.arguments, ["one", "two", "--ignored"]);
    }
}
