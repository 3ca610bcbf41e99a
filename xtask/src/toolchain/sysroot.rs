//! The folder of a compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::version::Version;
use crate::base::output::short;
use crate::base::process;
use crate::error::Error;

/// The parts of a sysroot that can build guests.
const PARTS: [&str; 2] = ["bin/rustc", "lib/rustlib/src/rust/library/core"];

/// A folder as `rustc --print sysroot` prints it.
#[derive(Debug)]
pub(crate) struct Sysroot(PathBuf);

/// The linker for guests.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Linker {
    /// The compiler has its own.
    Own(PathBuf),
    /// The compiler needs the path of another.
    Elsewhere(PathBuf),
}

impl Linker {
    /// The linker's file.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Linker::Own(path) | Linker::Elsewhere(path) => path,
        }
    }
}

impl Sysroot {
    /// The sysroot at this path.
    pub(crate) fn new(path: impl Into<PathBuf>) -> Sysroot {
        Sysroot(path.into())
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The source of the library, with `core` in it.
    pub(crate) fn library(&self) -> PathBuf {
        self.0.join("lib/rustlib/src/rust/library")
    }

    /// Returns the parts that are not there.
    pub(crate) fn missing(&self) -> Vec<PathBuf> {
        PARTS.iter().map(PathBuf::from).filter(|part| !self.0.join(part).exists()).collect()
    }

    /// Returns an error text that names the parts that are not there, if there are any.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self.missing().as_slice() {
            [] => Ok(()),
            missing => Err(lacks(&self.0, missing)),
        }
    }

    /// Runs the compiler for its version.
    pub(crate) fn version(&self) -> Result<Version, String> {
        let mut rustc = Command::new(self.0.join("bin/rustc"));
        self.point_to(rustc.arg("--version"));
        let printed = process::output(&mut rustc).map_err(|error| error.to_string())?;
        Version::of_rustc(&printed).ok_or_else(|| format!("its rustc calls itself `{}`", printed.trim()))
    }

    /// Makes a command, most often cargo, use this compiler.
    pub(crate) fn point_to(&self, command: &mut Command) {
        command.env("RUSTC", self.0.join("bin/rustc"));
        command.env("RUSTDOC", self.0.join("bin/rustdoc"));
        if let Ok(path) = std::env::join_paths(self.shared_library_folders()) {
            command.env("LD_LIBRARY_PATH", path);
        }
    }

    /// The folders of the compiler's shared libraries. Debian's are in a folder named after the machine. The system's
    /// loader does not search a private copy.
    fn shared_library_folders(&self) -> Vec<PathBuf> {
        let lib = self.0.join("lib");
        let mut candidates = folders_in(&lib);
        candidates.insert(0, lib);
        let Some(found) = candidates.into_iter().find(|folder| has_driver(folder)) else {
            return Vec::new();
        };
        // Some of Debian's libraries are in /lib, not in /usr/lib.
        let beside = self.0.parent().zip(found.strip_prefix(&self.0).ok());
        let beside = beside.map(|(parent, rest)| parent.join(rest)).filter(|folder| folder.is_dir());
        std::iter::once(found).chain(beside).collect()
    }

    /// Finds the linker: the compiler's own, the active toolchain's, or one on `PATH`.
    pub(crate) fn linker(&self, active: impl FnOnce() -> Option<Sysroot>) -> Result<Linker, Error> {
        if let Some(own) = self.rust_lld() {
            return Ok(Linker::Own(own));
        }
        let on_path = || process::on_path("rust-lld").or_else(|| process::on_path("ld.lld"));
        let elsewhere = active().and_then(|active| active.rust_lld()).or_else(on_path);
        elsewhere.map(Linker::Elsewhere).ok_or_else(|| {
            Error::cannot_run(format_args!(
                "the compiler in {} has no linker for guests, and neither rust-lld nor ld.lld is on PATH\n\
                 install LLVM's linker (on Debian, Ubuntu: apt install lld)",
                short(&self.0)
            ))
        })
    }

    fn rust_lld(&self) -> Option<PathBuf> {
        let hosts = folders_in(&self.0.join("lib/rustlib"));
        hosts.into_iter().map(|host| host.join("bin/rust-lld")).find(|lld| lld.is_file())
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<_> = entries(folder).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn has_driver(folder: &Path) -> bool {
    let is_driver = |path: PathBuf| path.file_name()?.to_str()?.starts_with("librustc_driver-").then_some(());
    entries(folder).any(|path| is_driver(path).is_some())
}

/// Names the parts that a sysroot lacks.
pub(crate) fn lacks(sysroot: &Path, missing: &[PathBuf]) -> String {
    let missing: Vec<String> = missing.iter().map(|part| part.display().to_string()).collect();
    format!("{} lacks {}", short(sysroot), missing.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(files: &[&str]) -> (tempfile::TempDir, Sysroot) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let usr = folder.path().join("usr");
        (folder, Sysroot::new(usr))
    }

    #[test]
    fn what_is_missing_is_named() {
        let (_folder, sysroot) = made(&["usr/bin/rustc"]);
        assert_eq!(sysroot.missing(), [PathBuf::from(PARTS[1])]);
        let (_folder, sysroot) = made(&["usr/bin/rustc", "usr/lib/rustlib/src/rust/library/core/Cargo.toml"]);
        assert!(sysroot.missing().is_empty());
    }

    #[test]
    fn shared_libraries_are_found_where_the_driver_is() {
        let (folder, sysroot) =
            made(&["usr/lib/some-linux-gnu/librustc_driver-1.so", "lib/some-linux-gnu/libtinfo.so.6"]);
        let expected = ["usr/lib/some-linux-gnu", "lib/some-linux-gnu"].map(|path| folder.path().join(path));
        assert_eq!(sysroot.shared_library_folders(), expected);
        let (_folder, sysroot) = made(&["usr/lib/librustc_driver-1.so"]);
        assert_eq!(sysroot.shared_library_folders(), [sysroot.path().join("lib")]);
    }

    #[test]
    fn its_own_linker_comes_before_the_active_toolchains() {
        let lld = "usr/lib/rustlib/some-linux-gnu/bin/rust-lld";
        let (active_folder, active) = made(&[lld]);
        let (_folder, bare) = made(&["usr/bin/rustc"]);
        let expected = Linker::Elsewhere(active_folder.path().join(lld));
        assert_eq!(bare.linker(|| Some(Sysroot::new(active.path()))).unwrap(), expected);
        assert!(matches!(active.linker(|| None).unwrap(), Linker::Own(_)));
    }
}
