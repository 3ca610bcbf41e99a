//! The boot library of guests in C, for Makefiles.

use std::path::PathBuf;

use serde::Deserialize;

use super::build::Build;
use crate::{cargo, error::Error};

const PACKAGE: &str = "guest-c";

/// The main linker script. The build script of guest-rt puts it into a folder, with the scripts that it includes.
const SCRIPT: &str = "guest.ld";

/// The library for one mode.
#[derive(Debug)]
pub(crate) struct BootLibrary {
    pub(crate) file: PathBuf,
    /// The folder of the linker scripts.
    pub(crate) scripts: PathBuf,
}

/// The parts of cargo's messages that name files: what it has built, and where a build script writes.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    filenames: Vec<PathBuf>,
    out_dir: Option<PathBuf>,
}

impl Build<'_> {
    /// Builds the library.
    pub(crate) fn boot_library(&self) -> Result<BootLibrary, Error> {
        let mut command = cargo::for_guests(&self.workspace.root);
        command.args(["rustc", "--package", PACKAGE, "--lib", "--crate-type", "staticlib"]);
        command.args(["--message-format", "json-render-diagnostics"]);
        self.configure(&mut command)?;
        let (mut file, mut scripts) = (None, None);
        let status = cargo::run(&mut command, self.verbosity, |line| {
            let Ok(Message { filenames, out_dir }) = serde_json::from_str(line) else { return };
            let is_library = |path: &PathBuf| path.extension().is_some_and(|it| it == "a");
            file = file.take().or_else(|| filenames.into_iter().find(is_library));
            scripts = scripts.take().or_else(|| out_dir.filter(|folder| folder.join(SCRIPT).is_file()));
        })?;
        if !status.is_success() {
            return Err(Error::bad_input(format_args!(
                "the boot library of guests in C does not compile for `{}` mode; cargo says why above",
                self.mode.name()
            )));
        }
        let both = file.zip(scripts).map(|(file, scripts)| BootLibrary { file, scripts });
        both.ok_or_else(|| Error::bug("cargo built no boot library, or no linker script"))
    }
}
