//! Cargo as a child: the one that runs us, with an environment that does not speak of xtask.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::base::environment;
use crate::base::process;
use crate::error::{Error, Status};
use crate::hush;

/// How much of cargo's own talk reaches the terminal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Talk {
    /// All of it, as if the user had run cargo.
    Always,
    /// Nothing where everything is fresh; all of it as soon as there is something to do.
    IfWorking,
}

/// Cargo on the active toolchain, run in the folder `root`, for whatever is built for this machine.
pub(crate) fn for_host(root: &Path) -> Command {
    let mut cargo = command(root);
    environment::scrub_for_host(&mut cargo);
    cargo
}

/// Cargo for guests: nothing inherited may change their images.
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

/// The cargo that runs us, or else the one on `PATH`.
pub(crate) fn program() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Runs cargo, hands each line of its stdout to `each_line`, and says how it ended.
pub(crate) fn run(cargo: &mut Command, talk: Talk, each_line: impl FnMut(&str)) -> Result<Status, Error> {
    if talk == Talk::IfWorking {
        keep_terminal_manners(cargo);
        cargo.stderr(Stdio::piped());
    }
    let spawned = cargo.stdout(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|source| process::cannot_start(cargo, source))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(|| stderr.map(|pipe| hush::forward(pipe, io::stderr())));
        if let Some(pipe) = stdout {
            lines(pipe, each_line);
        }
    });
    let ended = child.wait().map_err(|source| process::cannot_start(cargo, source))?;
    Ok(Status::from(ended))
}

fn lines(pipe: impl io::Read, mut each_line: impl FnMut(&str)) {
    let lines = io::BufRead::lines(io::BufReader::new(pipe));
    // What is no UTF-8 is no message of cargo's.
    lines.map_while(Result::ok).for_each(|line| each_line(&line));
}

/// A pipe is no terminal, so cargo must be told to keep its colours and its progress bar.
fn keep_terminal_manners(cargo: &mut Command) {
    if !io::stderr().is_terminal() {
        return;
    }
    let width = terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| width.0);
    cargo.env("CARGO_TERM_PROGRESS_WHEN", "always");
    cargo.env("CARGO_TERM_PROGRESS_WIDTH", width.to_string());
    if std::env::var_os("CARGO_TERM_COLOR").is_none() {
        cargo.env("CARGO_TERM_COLOR", "always");
    }
}
