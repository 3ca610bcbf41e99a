//! `kit`: a folder with all that guests in C need, for people without Rust.

use crate::error::{Error, Status};
use crate::workspace::{self, Workspace};
use crate::{base::output, cli::Kit, kit, toolchain};

pub(crate) fn run(options: &Kit, verbose: bool) -> Result<Status, Error> {
    let toolchain = toolchain::find(&workspace::root())?;
    toolchain.report(verbose);
    kit::make(&Workspace::load()?, &toolchain, &options.folder)?;
    output::line(format_args!("made {}: its README.md says the next step", options.folder.display()));
    Ok(Status::SUCCESS)
}
