//! The folder of a compiler.

use std::path::{Path, PathBuf};
use std::{fs, process::Command};

use super::version::Version;
use crate::{base::output::short, base::process, error::Error};

const LIBRARY: &str = "lib/rustlib/src/rust/library";
const CORE: &str = "lib/rustlib/src/rust/library/core";

/// A folder as `rustc --print sysroot` prints it.
#[derive(Debug)]
pub(crate) struct Sysroot(PathBuf);

impl Sysroot {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Sysroot {
        Sysroot(path.into())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn library(&self) -> PathBuf {
        self.0.join(LIBRARY)
    }

    /// Returns the path of one of the compiler's programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.0.join("bin").join(process::executable(name))
    }

    /// Returns an error text that names missing parts.
    pub(crate) fn check(&self) -> Result<(), String> {
        let parts = [("bin/rustc", self.program("rustc")), (CORE, self.0.join(CORE))];
        let missing = parts.iter().filter(|(_, path)| !path.exists()).map(|(name, _)| *name);
        match missing.collect::<Vec<&str>>().as_slice() {
            [] => Ok(()),
            missing => Err(format!("{} lacks {}", short(&self.0), missing.join(" and "))),
        }
    }

    pub(crate) fn version(&self) -> Result<Version, String> {
        let printed = self.rustc("--version")?;
        Version::of_rustc(&printed).ok_or_else(|| format!("its rustc calls itself `{}`", printed.trim()))
    }

    /// Returns the compiler's own description: version, commit, and the version of LLVM.
    pub(crate) fn describe_compiler(&self) -> Result<String, String> {
        self.rustc("-vV")
    }

    fn rustc(&self, argument: &str) -> Result<String, String> {
        let mut rustc = Command::new(self.program("rustc"));
        self.point_to(rustc.arg(argument));
        process::output(&mut rustc).map_err(|error| error.to_string())
    }

    /// Makes a command, most often cargo, use this compiler.
    pub(crate) fn point_to(&self, command: &mut Command) {
        command.env("RUSTC", self.program("rustc"));
        command.env("RUSTDOC", self.program("rustdoc"));
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

    /// Finds the linker for guests: the compiler's own, the active toolchain's, or one on `PATH`.
    pub(crate) fn linker(&self, active: impl FnOnce() -> Option<Sysroot>) -> Result<PathBuf, Error> {
        let found = self.rust_lld().or_else(|| active()?.rust_lld());
        let on_path = || process::on_path("rust-lld").or_else(|| process::on_path("ld.lld"));
        found.or_else(on_path).ok_or_else(|| {
            Error::cannot_run(format_args!(
                "the compiler in {} has no linker for guests, and neither rust-lld nor ld.lld is on PATH\n\
                 install LLVM's linker (on Debian, Ubuntu: apt install lld)",
                short(&self.0)
            ))
        })
    }

    fn rust_lld(&self) -> Option<PathBuf> {
        let hosts = folders_in(&self.0.join("lib/rustlib"));
        let lld = process::executable("rust-lld");
        hosts.into_iter().map(|host| host.join("bin").join(&lld)).find(|lld| lld.is_file())
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
    fn missing_parts_are_named() {
        let (_folder, sysroot) = made(&["usr/bin/rustc"]);
        assert!(sysroot.check().unwrap_err().ends_with(&format!("lacks {CORE}")));
        let (_folder, sysroot) = made(&["usr/bin/rustc", "usr/lib/rustlib/src/rust/library/core/Cargo.toml"]);
        assert_eq!(sysroot.check(), Ok(()));
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
        let expected = active_folder.path().join(lld);
        assert_eq!(bare.linker(|| Some(Sysroot::new(active.path()))).unwrap(), expected);
        assert_eq!(active.linker(|| None).unwrap(), expected);
    }
}
