//! The command line, as clap reads it. What each command does is in the file of its name.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};

use crate::guests::Mode;

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
    /// Build all guests, or the named ones, and print each image's path, mode and size.
    BuildGuests(BuildGuests),

    /// Run an experiment or a guest in a virtual machine; builds whatever that needs first.
    ///
    /// Everything after `run` goes to `guestlab run` as it is: `cargo xtask run --help` shows
    /// that command's own help.
    #[command(disable_help_flag = true)]
    Run(Handed),

    /// Look for a schedule, a capacity and a seed at which a guest of the exchange fails.
    ///
    /// Everything after `explore` goes to `guestlab explore` as it is.
    #[command(disable_help_flag = true)]
    Explore(Handed),

    /// Run a recording of `run prodcons --record FILE` again, and report the first difference.
    ///
    /// Everything after `replay` goes to `guestlab replay` as it is.
    #[command(disable_help_flag = true)]
    Replay(Handed),

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

    /// Build the guests and run every test; `--nested` runs the host's on emulated hardware KVM.
    Test(Test),

    /// Check format, lints (host and guests), documentation and tests; list all failures together.
    Ci,

    /// Typeset the analysis (PDF and HTML) and make the reference, below `target`.
    Docs,

    /// Say whether this machine can build and run guests, and what to do where it cannot.
    Doctor,
}

/// Which guests to build, and for which CPU mode.
#[derive(Debug, Args)]
pub(crate) struct BuildGuests {
    /// Guests by name: a guest crate, or an example of guest-rt. All of them without a name.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,

    /// The CPU mode that the guests' Rust code is compiled for.
    #[arg(long, value_enum, default_value_t = Mode::Protected)]
    pub(crate) mode: Mode,
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

    /// Handed on to `cargo test` as it is; with `--nested`, to each of the test programs, which
    /// take it for names of tests.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub(crate) arguments: Vec<OsString>,
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
    fn nested_comes_first() {
        let test = test("--nested one two --ignored");
        assert!(test.nested);
        assert_eq!(test.arguments, ["one", "two", "--ignored"]);
    }
}
