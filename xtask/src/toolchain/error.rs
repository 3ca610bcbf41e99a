//! Why there is no toolchain for guests, and what to install.

use std::path::PathBuf;

use thiserror::Error;

use super::Version;
use super::decision::PassedOver;
use super::sysroot::lacks;
use crate::process::indented;

/// Why there is no toolchain for guests.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The user named a toolchain that cannot build guests.
    #[error(
        "GUESTLAB_GUEST_TOOLCHAIN names a toolchain that cannot build guests: {}\n\
         it must name a sysroot, as `rustc --print sysroot` prints it, with its library source; \
         or unset it, and xtask looks for one itself",
        lacks(sysroot, missing)
    )]
    NamedIsIncomplete {
        /// What was named.
        sysroot: PathBuf,
        /// What is not there.
        missing: Vec<PathBuf>,
    },

    /// Nothing that was tried is there or can be fetched.
    #[error(
        "there is no Rust compiler here with its library source, which guests need:\n{}\n\
         do one of these:\n\
         \x20   with rustup:       rustup component add rust-src\n\
         \x20   on Debian, Ubuntu: apt install rustc-web rust-web-src lld   (rustc {pinned} or newer)\n\
         \x20   elsewhere:         set GUESTLAB_GUEST_TOOLCHAIN to the sysroot of a rustc {pinned} or \
         newer that has lib/rustlib/src/rust/library",
        listed(passed_over)
    )]
    NoToolchain {
        /// What was tried, and why it was of no use.
        passed_over: Vec<PassedOver>,
        /// The version that is asked for.
        pinned: Version,
    },

    /// The compiler is there, but nothing that links.
    #[error(
        "the compiler in {sysroot} has no linker for guests, and neither rust-lld nor ld.lld is on PATH\n\
         install LLVM's linker (on Debian, Ubuntu: apt install lld)",
        sysroot = sysroot.display()
    )]
    NoLinker {
        /// Where the compiler is.
        sysroot: PathBuf,
    },

    /// The guests' toolchain cannot lint.
    #[error(
        "the guests' toolchain has no clippy: {program} is missing\n\
         name one that has it in GUESTLAB_GUEST_TOOLCHAIN",
        program = program.display()
    )]
    NoClippy {
        /// The program that is missing.
        program: PathBuf,
    },
}

fn listed(passed_over: &[PassedOver]) -> String {
    let texts: Vec<String> = passed_over.iter().map(ToString::to_string).collect();
    indented(&texts.join("\n"))
}
