//! The programs of the nested machine: the host's tests, `guestlab` itself, and a C compiler.

use std::path::{Path, PathBuf};
use std::{collections::BTreeSet, process::Command};

use crate::cargo::{self, Verbosity};
use crate::workspace::{Artifact, Workspace};
use crate::{base::output::short, base::process, error::Error};

/// The package of the binary. The names of the host's other packages begin so.
const PACKAGE: &str = "guestlab";

/// The interpreter needs no KVM, and its tests take long under emulation.
const LEFT_OUT: &str = "guestlab-soft";

#[derive(Debug)]
pub(crate) struct Programs {
    /// The binary that tests run.
    pub(crate) guestlab: PathBuf,
    /// The tests, in cargo's order.
    pub(crate) tests: Vec<Test>,
}

/// A program of tests.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Test {
    /// Cargo runs the library's tests first, then those of binaries, then integration tests.
    rank: usize,
    /// Its source: `unittests host/src/lib.rs`, `host/tests/suite/main.rs`.
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    /// The package's folder, which is its current directory.
    pub(crate) folder: PathBuf,
}

impl Programs {
    pub(crate) fn build(workspace: &Workspace) -> Result<Programs, Error> {
        let mut build = cargo::for_host(&workspace.root);
        // Without optimization they take ten times as long under emulation.
        let names = workspace.packages.iter().map(|package| package.name.as_str());
        let names = names.filter(|name| name.starts_with(PACKAGE) && *name != LEFT_OUT);
        build.args(["test", "--release", "--no-run"]).args(names.flat_map(|name| ["--package", name]));
        build.args(["--message-format", "json-render-diagnostics", "--target-dir"]).arg(&workspace.target);
        let mut artifacts = Vec::new();
        let read = |line: &str| artifacts.extend(Artifact::parse(line));
        if !cargo::run(&mut build, Verbosity::Quiet, read)?.is_success() {
            return Err(Error::bad_input("the host's tests do not compile; cargo says why above"));
        }
        select(&workspace.root, artifacts)
            .ok_or_else(|| Error::bug("cargo built no `guestlab` with its tests"))
    }

    pub(crate) fn binaries(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.guestlab.as_path()).chain(self.tests.iter().map(|test| test.program.as_path()))
    }
}

/// Selects the tests and the binary.
fn select(root: &Path, artifacts: Vec<Artifact>) -> Option<Programs> {
    let (mut guestlab, mut tests) = (None, Vec::new());
    for artifact in artifacts {
        let Some(program) = artifact.executable else { continue };
        let (folder, target) = (artifact.manifest_path.parent()?, &artifact.target);
        if artifact.profile.test {
            let rank = ["lib", "bin", "test"].iter().position(|kind| target.kind[0] == *kind)?;
            let path = target.src_path.strip_prefix(root).unwrap_or(&target.src_path).display();
            let name = if rank == 2 { path.to_string() } else { format!("unittests {path}") };
            tests.push(Test { rank, name, program, folder: folder.into() });
        } else if target.name == PACKAGE {
            guestlab = Some(program);
        }
    }
    tests.sort();
    Some(Programs { guestlab: guestlab?, tests })
}

pub(crate) fn libraries(programs: &[&Path]) -> Result<BTreeSet<PathBuf>, Error> {
    let mut libraries = BTreeSet::new();
    for program in programs {
        let mut ldd = Command::new("ldd");
        // Cargo adds its own folders to this variable, which the machine does not have.
        ldd.arg(program).env_remove("LD_LIBRARY_PATH");
        let printed = process::output(&mut ldd)?;
        let found = parse_ldd(&printed).map_err(|library| {
            let program = short(program);
            Error::cannot_run(format_args!("{program} needs the library {library}, which does not exist"))
        })?;
        libraries.extend(found);
    }
    Ok(libraries)
}

/// Reads lines of `NAME => PATH (ADDRESS)`, or of `PATH (ADDRESS)` for the loader. A library without a path is the
/// kernel's. The error is the name of a library that is not there.
fn parse_ldd(printed: &str) -> Result<Vec<PathBuf>, &str> {
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

const GCC: &str = "gcc";

const ON_PATH: [&str; 4] = [GCC, "as", "ld", "objcopy"];

/// Questions to gcc for parts in its own folders.
const OF_GCC: [&str; 3] =
    ["-print-prog-name=cc1", "-print-prog-name=collect2", "-print-file-name=liblto_plugin.so"];

/// The files of the C compiler, or none. Without them, tests that need it are skipped.
pub(crate) fn compiler() -> Vec<PathBuf> {
    let on_path: Option<Vec<PathBuf>> = ON_PATH.into_iter().map(process::on_path).collect();
    let found = on_path.map(|programs| programs.into_iter().chain(OF_GCC.into_iter().filter_map(ask)));
    found.map(Iterator::collect).unwrap_or_default()
}

/// Asks gcc for a part's file. For a part that it lacks, it prints the bare name.
fn ask(question: &str) -> Option<PathBuf> {
    let answer = process::output(Command::new(GCC).arg(question)).ok()?;
    Some(PathBuf::from(answer.trim_end())).filter(|path| path.is_absolute() && Path::is_file(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{Profile, Target};

    fn artifact(name: &str, kind: &str, source: &str, test: bool, executable: &str) -> Artifact {
        Artifact {
            manifest_path: "/w/host/Cargo.toml".into(),
            target: Target { name: name.into(), kind: vec![kind.into()], src_path: source.into() },
            profile: Profile { test },
            filenames: Vec::new(),
            executable: (!executable.is_empty()).then(|| executable.into()),
        }
    }

    #[test]
    fn tests_are_run_in_cargos_order() {
        let artifacts = vec![
            artifact("guest_abi", "lib", "/w/abi/src/lib.rs", false, ""),
            artifact("suite", "test", "/w/host/tests/suite/main.rs", true, "/t/suite-1"),
            artifact("jail", "test", "/w/host/tests/jail.rs", true, "/t/jail-1"),
            artifact("guestlab", "bin", "/w/host/src/main.rs", false, "/t/guestlab"),
            artifact("guestlab", "bin", "/w/host/src/main.rs", true, "/t/guestlab-2"),
            artifact("guestlab", "lib", "/w/host/src/lib.rs", true, "/t/guestlab-1"),
        ];
        let programs = select(Path::new("/w"), artifacts).unwrap();
        let names: Vec<&str> = programs.tests.iter().map(|test| test.name.as_str()).collect();
        let expected = [
            "unittests host/src/lib.rs",
            "unittests host/src/main.rs",
            "host/tests/jail.rs",
            "host/tests/suite/main.rs",
        ];
        assert_eq!(names, expected);
        assert_eq!(programs.guestlab, Path::new("/t/guestlab"));
        assert_eq!(programs.binaries().count(), 5);
    }

    #[test]
    fn without_the_binary_there_is_nothing_to_run() {
        let artifacts = vec![artifact("guestlab", "lib", "/w/host/src/lib.rs", true, "/t/guestlab-1")];
        assert!(select(Path::new("/w"), artifacts).is_none());
    }
}

#[cfg(test)]
mod libraries_tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_found_by_their_paths() {
        let printed = "\tlinux-vdso.so.1 (0x00007ffc)\n\
                       \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f63)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f63)\n";
        let expected = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(parse_ldd(printed), Ok(expected.map(PathBuf::from).to_vec()));
        assert_eq!(parse_ldd("\tstatically linked\n"), Ok(Vec::new()));
    }

    #[test]
    fn a_library_that_is_not_there_is_named() {
        assert_eq!(parse_ldd("\tlibx.so.1 => not found\n"), Err("libx.so.1"));
    }
}

#[cfg(test)]
mod compiler_tests {
    use super::*;

    #[test]
    fn the_compiler_is_complete_or_absent() {
        let files = compiler();
        assert!(files.is_empty() || files.len() >= ON_PATH.len(), "{files:?}");
        assert!(files.iter().all(|file| file.is_file()), "{files:?}");
    }
}
