//! Output on stdout and stderr. Failed writes are ignored: the exit status has the result.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Style};

pub(crate) fn line(text: impl Display) {
    let _ = writeln!(io::stdout(), "{text}").and_then(|()| io::stdout().flush());
}

/// Prints a line on stderr. On a terminal it replaces a line without an end: the progress bar of a cargo that runs
/// meanwhile.
pub(crate) fn note(text: impl Display) {
    let mut stderr = io::stderr();
    let clear = if stderr.is_terminal() { "\r\x1b[K" } else { "" };
    let _ = writeln!(stderr, "{clear}{text}");
}

/// Prints an error in the form of all of Guestlab's errors.
pub(crate) fn error(error: &dyn Display) {
    note(format_args!("{0}error{0:#}: {error}", style(AnsiColor::Red, &io::stderr())));
}

pub(crate) fn finding_ok(what: &str, detail: impl Display) {
    line(format_args!("{0}ok{0:#}    {what}: {detail}", style(AnsiColor::Green, &io::stdout())));
}

/// Prints a finding of `doctor` that is a problem, and its solution.
pub(crate) fn finding_fail(what: &str, detail: impl Display, mend: impl Display) {
    line(format_args!("{0}FAIL{0:#}  {what}: {detail}", style(AnsiColor::Red, &io::stdout())));
    line(format_args!("      mend: {mend}"));
}

/// Returns true if output to this stream may have colors.
pub(crate) fn is_colored(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn style(color: AnsiColor, stream: &impl IsTerminal) -> Style {
    if is_colored(stream) { color.on_default().bold() } else { Style::new() }
}

/// Returns a path as a person writes it: relative below the current directory, `~` below home.
pub(crate) fn short(path: &Path) -> String {
    let below = |base: Option<PathBuf>| {
        let base = base.filter(|base| base.parent().is_some())?;
        path.strip_prefix(base).ok().map(|rest| rest.display().to_string())
    };
    below(std::env::current_dir().ok())
        .or_else(|| below(std::env::home_dir()).map(|rest| format!("~/{rest}")))
        .unwrap_or_else(|| path.display().to_string())
}
