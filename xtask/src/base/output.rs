//! Printing: a reader that goes away (`| head`) is no reason to stop, and colour is used only where a
//! person can see it.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anstyle::{AnsiColor, Style};

/// Prints one line on stdout. What cannot be printed is lost, which is no reason to stop: the exit
/// status tells what came of it all.
pub(crate) fn line(text: impl Display) {
    let _ = writeln!(io::stdout(), "{text}").and_then(|()| io::stdout().flush());
}

/// Prints one line on stderr; what cannot be printed there is lost, which is no reason to stop.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints an error in the form that all of Guestlab's errors have.
pub(crate) fn error(error: &dyn Display) {
    let style = if coloured(&io::stderr()) { AnsiColor::Red.on_default().bold() } else { Style::new() };
    note(format_args!("{style}error{style:#}: {error}"));
}

/// Prints one finding of `doctor` that is well.
pub(crate) fn finding_ok(what: &str, detail: impl Display) {
    let style = finding_style(AnsiColor::Green);
    line(format_args!("{style}ok{style:#}    {what}: {detail}"));
}

/// Prints one finding of `doctor` that is not well, and how to mend it.
pub(crate) fn finding_fail(what: &str, detail: impl Display, mend: impl Display) {
    let style = finding_style(AnsiColor::Red);
    line(format_args!("{style}FAIL{style:#}  {what}: {detail}"));
    line(format_args!("      mend: {mend}"));
}

/// Says whether colour is welcome on this stream.
pub(crate) fn coloured(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn finding_style(colour: AnsiColor) -> Style {
    if coloured(&io::stdout()) { colour.on_default().bold() } else { Style::new() }
}

/// A path as a person would write it: relative below the current directory, `~` below home.
pub(crate) fn short(path: &Path) -> String {
    let below = |base: Option<std::path::PathBuf>| {
        let base = base.filter(|base| base.parent().is_some())?;
        path.strip_prefix(base).ok().map(|rest| rest.display().to_string())
    };
    if let Some(rest) = below(std::env::current_dir().ok()) {
        return rest;
    }
    match below(std::env::home_dir()) {
        Some(rest) => format!("~/{rest}"),
        None => path.display().to_string(),
    }
}
