//! The host binary `guestlab`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;

use crate::cargo::{self, Verbosity};
use crate::error::{Error, Status};
use crate::{base::process, base::system, guests::Mode, workspace::Workspace};

#[derive(Debug)]
pub(crate) struct Host {
    binary: PathBuf,
    images: PathBuf,
}

#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Need {
    pub(crate) name: String,
    pub(crate) mode: Mode,
}

/// The profile of the binary, in the workspace's Cargo.toml.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Profile {
    /// Compiled in seconds after an edit. The tests use it, too.
    Dev,
    /// The fastest, for measurements.
    Release,
}

impl Host {
    /// Returns true if the binary was built before, perhaps of other source.
    pub(crate) fn is_built(workspace: &Workspace, profile: Profile) -> bool {
        std::env::var_os("GUESTLAB_BINARY").is_some() || binary(workspace, profile).is_file()
    }

    /// Builds the binary. `GUESTLAB_BINARY` names one to use instead.
    pub(crate) fn build(workspace: &Workspace, profile: Profile) -> Result<Host, Error> {
        let images = workspace.images.clone();
        if let Some(binary) = std::env::var_os("GUESTLAB_BINARY") {
            return Ok(Host { binary: binary.into(), images });
        }
        let mut build = cargo::for_host(&workspace.root);
        build.args(["build", "--package", "guestlab", "--bin", "guestlab", "--profile", profile.name()]);
        build.arg("--target-dir").arg(&workspace.target);
        if !cargo::run(&mut build, Verbosity::Quiet, |_| ())?.is_success() {
            return Err(Error::bad_input(
                "the host binary `guestlab` could not be built\n\
                 cargo says why above; `cargo build --package guestlab` repeats it",
            ));
        }
        Ok(Host { binary: binary(workspace, profile), images })
    }

    /// Asks `guestlab` for the images that these arguments need. If it refuses the arguments, it has printed the
    /// reason, and its status is returned.
    pub(crate) fn needs(&self, arguments: &[OsString]) -> Result<Result<Vec<Need>, Status>, Error> {
        let (command, options) = arguments.split_at(arguments.len().min(1));
        let mut ask = self.command(command);
        ask.arg("--needs").args(options).stdin(Stdio::null()).stderr(Stdio::inherit());
        let answer = ask.output().map_err(|source| process::cannot_start(&ask, source))?;
        if !answer.status.success() {
            return Ok(Err(Status::from(answer.status)));
        }
        String::from_utf8_lossy(&answer.stdout).lines().map(need).collect::<Result<_, _>>().map(Ok)
    }

    pub(crate) fn status(&self, arguments: &[OsString]) -> Result<Status, Error> {
        process::status(&mut self.command(arguments))
    }

    /// Replaces xtask by `guestlab`, so that signals, terminal and status are its own. Returns if that fails.
    pub(crate) fn exec(&self, arguments: &[OsString]) -> Error {
        let mut command = self.command(arguments);
        let source = system::exec(&mut command);
        process::cannot_start(&command, source)
    }

    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    pub(crate) fn command(&self, arguments: &[OsString]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env("GUESTLAB_IMAGES", &self.images);
        command
    }
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Profile::Dev => "dev",
            Profile::Release => "release",
        }
    }

    /// The profile's folder in the target folder.
    fn folder(self) -> &'static str {
        match self {
            Profile::Dev => "debug",
            Profile::Release => "release",
        }
    }
}

fn binary(workspace: &Workspace, profile: Profile) -> PathBuf {
    workspace.target.join(profile.folder()).join(process::executable("guestlab"))
}

fn need(line: &str) -> Result<Need, Error> {
    let parse = || {
        let (name, mode) = line.split_once(' ')?;
        Some(Need { name: name.to_owned(), mode: Mode::from_str(mode, false).ok()? })
    };
    parse().ok_or_else(|| {
        Error::bug(format_args!("`guestlab --needs` printed `{line}`, which is not `NAME MODE`"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_is_a_name_and_a_mode() {
        let expected = Need { name: "hello".into(), mode: Mode::Protected };
        assert_eq!(need("hello protected").unwrap(), expected);
    }

    #[test]
    fn anything_else_is_a_bug_that_names_the_line() {
        for line in ["hello", "hello virtual", "hello  protected", ""] {
            let error = need(line).unwrap_err();
            assert_eq!(error.status(), Status::BUG);
            assert!(error.to_string().contains(&format!("`{line}`")), "{error}");
        }
    }
}
