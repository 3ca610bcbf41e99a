//! The shared libraries that programs need, with the loader itself, at the paths they have here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::output::short;
use crate::process;

/// The libraries of these programs.
pub(crate) fn of(programs: &[&Path]) -> Result<BTreeSet<PathBuf>, Error> {
    let mut libraries = BTreeSet::new();
    for program in programs {
        let mut ldd = Command::new("ldd");
        // Cargo names folders of its own in it, which the machine does not have.
        ldd.arg(program).env_remove("LD_LIBRARY_PATH");
        let printed = process::output(&mut ldd)?;
        let found = parse(&printed).map_err(|library| {
            let program = short(program);
            Error::cannot_run(format_args!("{program} needs the library {library}, which is not there"))
        })?;
        libraries.extend(found);
    }
    Ok(libraries)
}

/// Reads `NAME => PATH (ADDRESS)`, or `PATH (ADDRESS)` for the loader, a line; what has no path is
/// the kernel's own. A library that is not there is the error.
fn parse(printed: &str) -> Result<Vec<PathBuf>, &str> {
    let mut libraries = Vec::new();
    for line in printed.lines().map(str::trim) {
        let (name, found) = line.split_once(" => ").unwrap_or((line, line));
        if found == "not found" {
            return Err(name);
        }
        let path = found.rsplit_once(" (").map_or(found, |(path, _)| path);
        libraries.extend(path.starts_with('/').then(|| PathBuf::from(path)));
    }
    Ok(libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_found_by_their_paths() {
        let printed = "\tlinux-vdso.so.1 (0x00007ffc)\n\
                       \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f63)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f63)\n";
        let expected = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(parse(printed), Ok(expected.map(PathBuf::from).to_vec()));
        assert_eq!(parse("\tstatically linked\n"), Ok(Vec::new()));
    }

    #[test]
    fn a_library_that_is_not_there_is_named() {
        assert_eq!(parse("\tlibx.so.1 => not found\n"), Err("libx.so.1"));
    }
}
