//! QEMU: the one on `PATH`, or else a private copy of Debian's.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::debian::{self, Apt, Recipe, is_shared_library};
use crate::error::Error;
use crate::process;

const PROGRAM: &str = "qemu-system-x86_64";
const PACKAGE: &str = "qemu-system-x86";

/// Where a copy has shared libraries, which the system's loader does not look for there.
const LIBRARIES: [&str; 4] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib", "lib"];

/// Where a copy has firmware and the code that boots a kernel.
const DATA: [&str; 2] = ["usr/share/qemu", "usr/share/seabios"];

/// A QEMU that can be run.
#[derive(Debug)]
pub(crate) enum Qemu {
    /// The system's.
    OnPath(PathBuf),
    /// The private copy in this folder.
    Copied(PathBuf),
}

impl Qemu {
    /// Finds QEMU, and makes the copy if it must.
    pub(crate) fn obtain() -> Result<Qemu, Error> {
        if let Some(program) = process::on_path(PROGRAM) {
            return Ok(Qemu::OnPath(program));
        }
        debian::obtain(&Copy).map(Qemu::Copied).map_err(|error| {
            error.map(|why| {
                format!(
                    "there is no qemu-system-x86_64 on PATH for the nested machine, and a private copy cannot be made: {why}\n\
                     install QEMU (on Debian, Ubuntu: apt install qemu-system-x86)"
                )
            })
        })
    }

    /// A command that runs it.
    pub(crate) fn command(&self) -> Command {
        match self {
            Qemu::OnPath(program) => Command::new(program),
            Qemu::Copied(copy) => copied(copy),
        }
    }
}

fn copied(copy: &Path) -> Command {
    let mut command = Command::new(copy.join("usr/bin").join(PROGRAM));
    if let Ok(path) = env::join_paths(LIBRARIES.map(|folder| copy.join(folder))) {
        command.env("LD_LIBRARY_PATH", path);
    }
    command.env("QEMU_MODULE_DIR", copy.join(LIBRARIES[0]).join("qemu"));
    for folder in DATA {
        command.arg("-L").arg(copy.join(folder));
    }
    command
}

/// The recipe of the private copy.
#[derive(Debug)]
struct Copy;

impl Recipe for Copy {
    fn name(&self) -> &'static str {
        "nested qemu"
    }

    /// The emulator, what it is run with, and the libraries that the system lacks; but not the
    /// libraries of its many modules for sound and screens.
    fn choose(&self, apt: &Apt) -> Result<Vec<String>, Error> {
        let direct = apt.direct_dependencies(PACKAGE)?;
        let (libraries, others): (Vec<_>, Vec<_>) =
            direct.into_iter().partition(|name| is_shared_library(name));
        let libraries = apt.dependencies(&libraries)?;
        let installed = debian::installed(&libraries)?;
        let missing = libraries.into_iter().filter(|it| is_shared_library(it) && !installed.contains(it));
        let data = others.into_iter().filter(|name| name.starts_with("qemu-system-") || name == "seabios");
        Ok(std::iter::once(PACKAGE.to_owned()).chain(data).chain(missing).collect())
    }

    /// The emulation itself may be a module, so that running the program is not enough.
    fn check(&self, copy: &Path) -> Result<(), String> {
        let printed =
            process::output(copied(copy).args(["-accel", "help"])).map_err(|error| error.to_string())?;
        let has_emulation = printed.lines().any(|line| line.trim() == "tcg");
        has_emulation.then_some(()).ok_or_else(|| format!("{PROGRAM} lacks its emulation (tcg)"))
    }
}
