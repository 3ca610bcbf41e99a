//! A compiler's folder: what must be in it, and how a program is pointed to it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::version::Version;
use crate::base::output::short;
use crate::base::process;
use crate::error::Error;

/// What a sysroot must have to build guests.
const PARTS: [&str; 2] = ["bin/rustc", "lib/rustlib/src/rust/library/core"];

/// A folder that `rustc --print sysroot` might print.
#[derive(Debug)]
pub(crate) struct Sysroot(PathBuf);

/// What links guests.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Linker {
    /// The compiler brings its own, and finds it by itself.
    Own(PathBuf),
    /// The compiler must be told.
    Elsewhere(PathBuf),
}

impl Linker {
    /// The program.
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

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The library's source, of which `core` is built for guests.
    pub(crate) fn library(&self) -> PathBuf {
        self.0.join("lib/rustlib/src/rust/library")
    }

    /// The parts that it lacks.
    pub(crate) fn missing(&self) -> Vec<PathBuf> {
        PARTS.iter().map(PathBuf::from).filter(|part| !self.0.join(part).exists()).collect()
    }

    /// Runs the compiler, and returns its version.
    pub(crate) fn version(&self) -> Result<Version, String> {
        let mut rustc = Command::new(self.0.join("bin/rustc"));
        self.point_to(rustc.arg("--version"));
        let printed = process::output(&mut rustc).map_err(|error| error.to_string())?;
        Version::of_rustc(&printed).ok_or_else(|| format!("its rustc calls itself `{}`", printed.trim()))
    }

    /// Makes a program, and cargo above all, use this compiler instead of the active one.
    pub(crate) fn point_to(&self, command: &mut Command) {
        command.env("RUSTC", self.0.join("bin/rustc"));
        command.env("RUSTDOC", self.0.join("bin/rustdoc"));
        let folders = self.shared_library_folders();
        if let Ok(path) = std::env::join_paths(folders).map_err(drop) {
            command.env("LD_LIBRARY_PATH", path);
        }
    }

    /// Where the compiler's shared libraries are. Debian's are in a folder named after the
    /// machine, and those of a copy are where the system's loader does not look for them.
    fn shared_library_folders(&self) -> Vec<PathBuf> {
        let lib = self.0.join("lib");
        let mut candidates = vec![lib.clone()];
        candidates.extend(folders_in(&lib));
        let Some(found) = candidates.into_iter().find(|folder| has_driver(folder)) else {
            return Vec::new();
        };
        // Some of Debian's libraries are in /lib rather than in /usr/lib.
        let beside = self.0.parent().zip(found.strip_prefix(&self.0).ok());
        let beside = beside.map(|(parent, rest)| parent.join(rest));
        std::iter::once(found).chain(beside.filter(|folder| folder.is_dir())).collect()
    }

    /// Finds what links guests: the compiler's own linker, the active toolchain's, or one on
    /// `PATH`.
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

/// The folders in a folder; none, where it cannot be read.
fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn has_driver(folder: &Path) -> bool {
    let is_driver = |name: &OsStr| name.to_string_lossy().starts_with("librustc_driver-");
    fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| is_driver(&entry.file_name()))
}

/// Says in words what a sysroot lacks.
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
