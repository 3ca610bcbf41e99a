//! The C compiler of this machine.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

use crate::flags::Flags;

/// The variable that names a compiler, perhaps with arguments: `ccache gcc`.
pub(crate) const VARIABLE: &str = "CC";

/// The compilers that are tried if there is no such variable.
const KNOWN: [&str; 3] = ["cc", "gcc", "clang"];

/// A compiler that can be started.
pub(crate) struct Compiler {
    words: Vec<String>,
}

impl Compiler {
    /// Finds the compiler.
    pub(crate) fn find() -> Result<Self, String> {
        let named = env::var(VARIABLE).ok().filter(|named| !named.trim().is_empty());
        let candidates = named.clone().map_or_else(|| KNOWN.map(String::from).to_vec(), |named| vec![named]);
        let compilers = candidates
            .iter()
            .map(|words| Self { words: words.split_whitespace().map(String::from).collect() });
        compilers.into_iter().find(Self::exists).ok_or_else(|| missing(named.as_deref()))
    }

    fn exists(&self) -> bool {
        let mut ask = self.command();
        ask.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        ask.status().is_ok_and(|status| status.success())
    }

    /// Compiles a source. Returns the compiler's warnings, or its errors.
    pub(crate) fn compile(&self, flags: &Flags, source: &Path, object: &Path) -> Result<String, String> {
        let source = source.strip_prefix(&flags.root).unwrap_or(source);
        let mut compile = self.command();
        // In a language other than English there would be another message on each machine.
        compile.current_dir(&flags.root).env("LC_ALL", "C");
        compile.args(&flags.words).arg("-c").arg(source).arg("-o").arg(object);
        let output =
            compile.output().map_err(|error| format!("{} cannot be started: {error}", self.words[0]))?;
        let messages = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.success() {
            true => Ok(messages),
            false if messages.is_empty() => Err(format!("{}: {}", self.words.join(" "), output.status)),
            false => Err(messages),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        command
    }
}

fn missing(named: Option<&str>) -> String {
    let found = match named {
        Some(named) => format!("the C compiler that {VARIABLE} names, `{named}`, does not run here"),
        None => format!("there is no C compiler here: none of {}", KNOWN.join(", ")),
    };
    format!(
        "{found}\ninstall gcc or clang (Debian, Ubuntu: apt install gcc; Fedora: dnf install gcc), or name one: CC=clang"
    )
}
