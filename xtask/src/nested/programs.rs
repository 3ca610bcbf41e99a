//! The programs that run in the nested machine: the host's tests, and `guestlab` itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::base::output::short;
use crate::base::process;
use crate::cargo::{self, Talk};
use crate::error::Error;
use crate::workspace::Workspace;

const PACKAGE: &str = "guestlab";

/// The programs, as they were built.
#[derive(Debug)]
pub(crate) struct Programs {
    /// The package's folder, which tests are run in.
    pub(crate) folder: PathBuf,
    /// The binary that tests run.
    pub(crate) guestlab: PathBuf,
    /// The tests, in the order in which cargo runs them.
    pub(crate) tests: Vec<Test>,
}

/// One program of tests.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Test {
    kind: Kind,
    /// What cargo calls it: `unittests src/lib.rs`, `tests/exchange.rs`.
    pub(crate) name: String,
    /// The file.
    pub(crate) program: PathBuf,
}

#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Kind {
    Library,
    Binary,
    Integration,
}

/// A message of cargo's; of the many kinds, only artifacts have these fields.
#[derive(Debug, Deserialize)]
struct Artifact {
    manifest_path: PathBuf,
    target: Target,
    profile: Profile,
    executable: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    src_path: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Profile {
    test: bool,
}

impl Programs {
    /// Builds them, or finds that there is nothing to build.
    pub(crate) fn build(workspace: &Workspace) -> Result<Programs, Error> {
        let mut build = cargo::for_host(&workspace.root);
        // What is not optimized takes ten times as long under emulation.
        build.args([
            "test",
            "--release",
            "--no-run",
            "--package",
            PACKAGE,
            "--message-format",
            "json-render-diagnostics",
        ]);
        build.arg("--target-dir").arg(&workspace.target);
        let mut artifacts = Vec::new();
        let read = |line: &str| artifacts.extend(serde_json::from_str::<Artifact>(line));
        if !cargo::run(&mut build, Talk::IfWorking, read)?.is_success() {
            return Err(Error::bad_input("the host's tests do not compile; cargo says why above"));
        }
        select(artifacts).ok_or_else(|| Error::bug("cargo built no `guestlab` with its tests"))
    }

    /// All files.
    pub(crate) fn binaries(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.guestlab.as_path()).chain(self.tests.iter().map(|test| test.program.as_path()))
    }
}

/// Of all that cargo has built, the tests and the binary of the package.
fn select(artifacts: Vec<Artifact>) -> Option<Programs> {
    let (mut guestlab, mut tests) = (None, Vec::new());
    for artifact in artifacts {
        let Some(program) = artifact.executable else { continue };
        let folder = artifact.manifest_path.parent()?;
        if artifact.profile.test {
            tests.push(test(&artifact.target, program, folder)?);
        } else if artifact.target.name == PACKAGE {
            guestlab = Some((folder.to_path_buf(), program));
        }
    }
    tests.sort();
    let (folder, guestlab) = guestlab?;
    Some(Programs { folder, guestlab, tests })
}

fn test(target: &Target, program: PathBuf, folder: &Path) -> Option<Test> {
    let kind = match target.kind.first()?.as_str() {
        "test" => Kind::Integration,
        "bin" => Kind::Binary,
        _ => Kind::Library,
    };
    let path = target.src_path.strip_prefix(folder).unwrap_or(&target.src_path).display();
    let name = if kind == Kind::Integration { path.to_string() } else { format!("unittests {path}") };
    Some(Test { kind, name, program })
}

/// The libraries of these programs.
pub(crate) fn libraries(programs: &[&Path]) -> Result<BTreeSet<PathBuf>, Error> {
    let mut libraries = BTreeSet::new();
    for program in programs {
        let mut ldd = Command::new("ldd");
        // Cargo names folders of its own in it, which the machine does not have.
        ldd.arg(program).env_remove("LD_LIBRARY_PATH");
        let printed = process::output(&mut ldd)?;
        let found = parse_ldd(&printed).map_err(|library| {
            let program = short(program);
            Error::cannot_run(format_args!("{program} needs the library {library}, which is not there"))
        })?;
        libraries.extend(found);
    }
    Ok(libraries)
}

/// Reads `NAME => PATH (ADDRESS)`, or `PATH (ADDRESS)` for the loader, a line; what has no path is
/// the kernel's own. A library that is not there is the error.
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

/// What is run by its name.
const ON_PATH: [&str; 4] = [GCC, "as", "ld", "objcopy"];

/// What only gcc finds, in folders of its own.
const OF_GCC: [&str; 3] =
    ["-print-prog-name=cc1", "-print-prog-name=collect2", "-print-file-name=liblto_plugin.so"];

/// The compiler's files, or none: tests that need it then say that they are skipped.
pub(crate) fn compiler() -> Vec<PathBuf> {
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

    fn artifact(name: &str, kind: &str, source: &str, test: bool, executable: &str) -> Artifact {
        Artifact {
            manifest_path: "/w/host/Cargo.toml".into(),
            target: Target { name: name.into(), kind: vec![kind.into()], src_path: source.into() },
            profile: Profile { test },
            executable: (!executable.is_empty()).then(|| executable.into()),
        }
    }

    #[test]
    fn tests_are_run_in_cargos_order_and_by_cargos_names() {
        let artifacts = vec![
            artifact("guest_abi", "lib", "/w/abi/src/lib.rs", false, ""),
            artifact("exchange", "test", "/w/host/tests/exchange.rs", true, "/t/exchange-1"),
            artifact("bad_input", "test", "/w/host/tests/bad_input.rs", true, "/t/bad_input-1"),
            artifact("guestlab", "bin", "/w/host/src/main.rs", false, "/t/guestlab"),
            artifact("guestlab", "bin", "/w/host/src/main.rs", true, "/t/guestlab-2"),
            artifact("guestlab", "lib", "/w/host/src/lib.rs", true, "/t/guestlab-1"),
        ];
        let programs = select(artifacts).unwrap();
        let names: Vec<&str> = programs.tests.iter().map(|test| test.name.as_str()).collect();
        let expected =
            ["unittests src/lib.rs", "unittests src/main.rs", "tests/bad_input.rs", "tests/exchange.rs"];
        assert_eq!(names, expected);
        assert_eq!(programs.guestlab, Path::new("/t/guestlab"));
        assert_eq!(programs.binaries().count(), 5);
    }

    #[test]
    fn without_the_binary_there_is_nothing_to_run() {
        let artifacts = vec![artifact("guestlab", "lib", "/w/host/src/lib.rs", true, "/t/guestlab-1")];
        assert!(select(artifacts).is_none());
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
    fn there_is_a_whole_compiler_or_none() {
        let files = compiler();
        assert!(files.is_empty() || files.len() >= ON_PATH.len(), "{files:?}");
        assert!(files.iter().all(|file| file.is_file()), "{files:?}");
    }
}
