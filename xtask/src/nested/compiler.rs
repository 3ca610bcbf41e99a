//! The C compiler, where this machine has one: tests that run images of others' compile them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;

const GCC: &str = "gcc";

/// What is run by its name.
const ON_PATH: [&str; 4] = [GCC, "as", "ld", "objcopy"];

/// What only gcc finds, in folders of its own.
const OF_GCC: [&str; 3] =
    ["-print-prog-name=cc1", "-print-prog-name=collect2", "-print-file-name=liblto_plugin.so"];

/// The compiler's files, or none: tests that need it then say that they are skipped.
pub(crate) fn files() -> Vec<PathBuf> {
    let on_path: Option<Vec<PathBuf>> = ON_PATH.into_iter().map(process::on_path).collect();
    let found = on_path.map(|programs| programs.into_iter().chain(OF_GCC.into_iter().filter_map(ask)));
    found.map(Iterator::collect).unwrap_or_default()
}

/// Asks gcc where a part of it is; of what it does not have it prints the bare name.
fn ask(question: &str) -> Option<PathBuf> {
    let answer = process::output(Command::new(GCC).arg(question)).ok()?;
    Some(PathBuf::from(answer.trim_end())).filter(|path| path.is_absolute() && Path::is_file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_whole_compiler_or_none() {
        let files = files();
        assert!(files.is_empty() || files.len() >= ON_PATH.len(), "{files:?}");
        assert!(files.iter().all(|file| file.is_file()), "{files:?}");
    }
}
