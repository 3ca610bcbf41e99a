//! The private copy of Debian's compiler, with the source of the library.

use std::{collections::BTreeSet, path::Path};

use super::sysroot::Sysroot;
use super::version::Version;
use crate::debian::{self, Apt, Download, Recipe, WITHOUT_DOCUMENTATION, is_shared_library};
use crate::error::Error;

/// The compiler, the library's source, and clippy. Their dependencies follow.
const WANTED: [&str; 3] = ["rustc-web", "rust-web-src", "rust-web-clippy"];

/// tar's arguments for the source package, most of which is the compiler's own source: the library, and the link by
/// which rustc finds it.
const OF_SOURCE: [&str; 3] = ["--wildcards", "./usr/src/*/library", "./usr/lib/rustlib"];

#[derive(Debug)]
pub(crate) struct Compiler {
    pinned: Version,
}

impl Compiler {
    /// The recipe for the version that Guestlab pins.
    pub(crate) fn pinned() -> Compiler {
        Compiler { pinned: Version::pinned() }
    }
}

impl Recipe for Compiler {
    fn name(&self) -> &'static str {
        "guest toolchain"
    }

    fn choose(&self, apt: &Apt) -> Result<Vec<String>, Error> {
        let names = apt.dependencies(&WANTED)?;
        Ok(choose(&names, &debian::installed(&names)?))
    }

    fn admit(&self, downloads: &[Download]) -> Result<(), String> {
        let compiler = downloads.iter().find(|download| download.package() == WANTED[0]);
        let found = compiler.map(Download::version).unwrap_or_default();
        if Version::parse(&found).is_some_and(|version| version >= self.pinned) {
            return Ok(());
        }
        Err(format!("its {} is {found}; Guestlab needs {} or newer", WANTED[0], self.pinned))
    }

    fn selection(&self, package: &str) -> &'static [&'static str] {
        if package.ends_with("-src") { &OF_SOURCE } else { &WITHOUT_DOCUMENTATION }
    }

    fn check(&self, copy: &Path) -> Result<(), String> {
        let sysroot = Sysroot::new(copy.join("usr"));
        sysroot.check()?;
        self.pinned.check(sysroot.version()?)
    }
}

/// Chooses the packages to download: the compiler with its LLVM always, their libraries if the system lacks them.
fn choose(names: &BTreeSet<String>, installed: &BTreeSet<String>) -> Vec<String> {
    let is_chosen = |name: &&String| {
        let is_compiler = name.contains("rust") || name.starts_with("libllvm");
        is_compiler || (is_shared_library(name) && !installed.contains(*name))
    };
    names.iter().filter(is_chosen).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    fn recipe() -> Compiler {
        Compiler { pinned: Version::parse("1.95.0").unwrap() }
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    /// A copy with a made-up compiler, which is a shell script.
    fn copy(script: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let usr = folder.path().join("usr");
        fs::create_dir_all(usr.join("lib/rustlib/src/rust/library/core")).unwrap();
        fs::create_dir_all(usr.join("bin")).unwrap();
        // Another process writes it: a file that we have open for writing may leak into a child
        // of another test for a moment, and then nobody can execute it.
        let mut write = Command::new("sh");
        write.args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$2\" && chmod +x \"$2\"", "sh", script]);
        assert!(write.arg(usr.join("bin/rustc")).status().unwrap().success());
        folder
    }

    #[test]
    fn the_compiler_is_always_taken_and_libraries_only_where_they_lack() {
        let all = names(&[
            "rustc-web",
            "rust-web-src",
            "libstd-rust-web-dev",
            "libllvm22",
            "gcc",
            "libedit2",
            "zlib1g",
            "libz3-4",
            "libc6",
            "libc6-dev",
            "libgcc-s1",
        ]);
        let installed = names(&["libedit2", "libllvm22", "rustc-web"]);
        let expected = ["libllvm22", "libstd-rust-web-dev", "libz3-4", "rust-web-src", "rustc-web", "zlib1g"];
        assert_eq!(choose(&all, &installed), expected);
    }

    #[test]
    fn a_compiler_that_is_too_old_or_missing_is_refused_before_it_is_downloaded() {
        let of = |file: &str| [Download { file: file.into(), size: 1 }];
        assert!(recipe().admit(&of("rustc-web_1.96.0+dfsg1-1_amd64.deb")).is_ok());
        let words = recipe().admit(&of("rustc-web_1.85.0+dfsg3-1_amd64.deb")).unwrap_err();
        assert!(words.contains("1.85.0") && words.contains("1.95.0"), "{words}");
        assert!(recipe().admit(&of("libllvm22_22_amd64.deb")).is_err());
    }

    #[test]
    fn a_copy_whose_compiler_runs_is_well() {
        assert_eq!(recipe().check(copy("echo rustc 1.96.0").path()), Ok(()));
    }

    #[test]
    fn a_copy_whose_compiler_does_not_run_is_refused_with_its_message() {
        let why = recipe().check(copy("echo cannot open libLLVM >&2; exit 127").path()).unwrap_err();
        assert!(why.contains("cannot open libLLVM"), "{why}");
    }

    #[test]
    fn a_copy_without_its_source_or_older_than_the_pin_is_refused() {
        let copy = copy("echo rustc 1.94.0");
        assert!(recipe().check(copy.path()).unwrap_err().contains("1.94.0 is older than 1.95.0"));
        fs::remove_dir_all(copy.path().join("usr/lib")).unwrap();
        assert!(recipe().check(copy.path()).unwrap_err().contains("lacks"));
    }
}
