//! Other programs: their output and their exit statuses.

use std::process::{Command, Output, Stdio};
use std::{env::consts::EXE_SUFFIX, ffi::OsStr, io, path::PathBuf};

use crate::error::{Error, Status};

/// Runs a program on our terminal and returns its status.
pub(crate) fn status(command: &mut Command) -> Result<Status, Error> {
    command.status().map(Status::from).map_err(|source| cannot_start(command, source))
}

/// Runs a program without input and returns its stdout. The error of a failure has its stderr.
pub(crate) fn output(command: &mut Command) -> Result<String, Error> {
    let output = capture(command)?;
    if !output.status.success() {
        return Err(failed(command, &output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program without input and returns its output and status.
pub(crate) fn capture(command: &mut Command) -> Result<Output, Error> {
    command.stdin(Stdio::null()).output().map_err(|source| cannot_start(command, source))
}

/// Returns the error for a program that failed.
pub(crate) fn failed(command: &Command, output: &Output) -> Error {
    let (command, status) = (shown(command), Status::from(output.status));
    let stderr = indented(&ending(&String::from_utf8_lossy(&output.stderr)));
    Error::cannot_run(format_args!("`{command}` failed with status {status}:\n{stderr}"))
}

/// Returns the error for a program that did not start.
pub(crate) fn cannot_start(command: &Command, source: io::Error) -> Error {
    let command = shown(command);
    Error::cannot_run(format_args!("cannot run `{command}`: {source}; is it installed and on PATH?"))
}

/// Returns a command line as a person types it, without the environment.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let program = executable(program);
    std::env::split_paths(&path).map(|folder| folder.join(&program)).find(|file| file.is_file())
}

/// Returns the name of a program's file: on Windows it has an ending.
pub(crate) fn executable(program: &str) -> String {
    format!("{program}{EXE_SUFFIX}")
}

/// Refuses to go on without a program. `install` is the package to install.
pub(crate) fn require(programs: &[&str], purpose: &str, install: &str) -> Result<(), Error> {
    if programs.iter().any(|program| on_path(program).is_some()) {
        return Ok(());
    }
    Err(Error::cannot_run(format_args!(
        "there is no {} on PATH, which {purpose}\ninstall it (on Debian, Ubuntu: apt install {install})",
        programs[0]
    )))
}

pub(crate) fn indented(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// Returns the last lines of a program's output, which most often have the reason of a failure.
pub(crate) fn ending(text: &str) -> String {
    const LINES: usize = 12;
    let lines: Vec<&str> = text.trim_end().lines().collect();
    match lines.len().saturating_sub(LINES) {
        0 => lines.join("\n"),
        left_out => format!("({left_out} lines before these)\n{}", lines[left_out..].join("\n")),
    }
}

/// Returns the first lines of a program's output.
pub(crate) fn first_lines(text: &str, number: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    match lines.len().saturating_sub(number) {
        0 => lines.join("\n"),
        left_out => format!("{}\n({left_out} more lines)", lines[..number].join("\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_output_of_the_program() {
        let error = output(Command::new("sh").args(["-c", "echo sorry >&2; exit 7"])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("status 7") && text.contains("    sorry"), "{text}");
    }

    #[test]
    fn the_last_of_many_lines_are_kept() {
        assert_eq!(ending("one\ntwo\n"), "one\ntwo");
        let text = ending(&(1..=20).map(|number| format!("{number}\n")).collect::<String>());
        assert!(text.starts_with("(8 lines before these)\n9\n") && text.ends_with("\n20"), "{text}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = output(&mut Command::new("no-such-program-here")).unwrap_err();
        assert!(error.to_string().contains("cannot run `no-such-program-here`"));
    }
}
