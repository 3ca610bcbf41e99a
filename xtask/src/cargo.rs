//! Cargo as a child process: the cargo that runs us, without the variables that describe xtask.

use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::process::{Command, Stdio};
use std::{ffi::OsString, path::Path};

use crate::base::{environment, output, process};
use crate::error::{Error, Status};

/// The part of cargo's messages that is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verbosity {
    Normal,
    /// All but `Finished`, if stderr is not a terminal.
    Quiet,
}

/// Returns cargo on the active toolchain, in the folder `root`, for programs of this machine.
pub(crate) fn for_host(root: &Path) -> Command {
    let mut cargo = command(root);
    environment::scrub_for_host(&mut cargo);
    cargo
}

/// Returns cargo for guests: no inherited variable changes their images.
pub(crate) fn for_guests(root: &Path) -> Command {
    let mut cargo = command(root);
    environment::scrub_for_guests(&mut cargo);
    cargo
}

fn command(root: &Path) -> Command {
    let mut cargo = Command::new(program());
    cargo.current_dir(root).stdin(Stdio::null());
    cargo
}

pub(crate) fn program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Runs cargo, passes each line of its stdout to `each_line`, and returns its status.
pub(crate) fn run(
    cargo: &mut Command,
    verbosity: Verbosity,
    mut each_line: impl FnMut(&str),
) -> Result<Status, Error> {
    // On a terminal cargo's progress bar needs the terminal itself.
    if verbosity == Verbosity::Quiet && !io::stderr().is_terminal() {
        cargo.stderr(Stdio::piped());
    }
    let spawned = cargo.stdout(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|source| process::cannot_start(cargo, source))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(|| lines(stderr).filter(|line| is_news(line)).for_each(output::note));
        lines(stdout).for_each(|line| each_line(&line));
    });
    child.wait().map(Status::from).map_err(|source| process::cannot_start(cargo, source))
}

fn lines(pipe: Option<impl Read>) -> impl Iterator<Item = String> {
    let lines = pipe.into_iter().flat_map(|pipe| BufReader::new(pipe).split(b'\n').map_while(Result::ok));
    lines.map(|line| String::from_utf8_lossy(&line).into_owned())
}

fn is_news(line: &str) -> bool {
    !line.trim_start().starts_with("Finished ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_build_prints_nothing_and_work_is_shown() {
        assert!(!is_news("    Finished `guest` profile [optimized] in 0.05s"));
        assert!(is_news("   Compiling guest v0.1.0") && is_news("error: no") && is_news(""));
    }
}
