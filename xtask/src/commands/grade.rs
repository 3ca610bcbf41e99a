//! `grade`: grades a class. xtask prepares the submissions, then `guestlab` judges them.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Status};
use crate::grade::{self, Options};
use crate::guests::{Build, Catalog, Mode};
use crate::host::{Host, Profile};
use crate::workspace::{self, Workspace};
use crate::{cli::Grade, toolchain};

/// Guestlab's own guests, with which submissions are searched.
const GUESTS: [&str; 2] = ["guest-producer", "guest-consumer"];

pub(crate) fn run(options: &Grade, verbose: bool) -> Result<Status, Error> {
    let workspace = Workspace::load()?;
    let out = out(options, &workspace)?;
    let mode = options.mode.unwrap_or(Mode::Protected);
    let host = Host::build(&workspace, Profile::Dev)?;
    let toolchain = toolchain::find(&workspace::root())?;
    toolchain.report(verbose);
    // This also puts everything into cargo's registry that a build without a network needs.
    let guests = Catalog::of(&workspace).select(&GUESTS.map(String::from))?;
    Build::new(&workspace, &toolchain, mode).run(&guests)?;
    let list = grade::prepare(
        &workspace,
        &toolchain,
        &Options {
            folder: &options.folder,
            out: &out,
            role: options.role,
            mode,
            limit: Duration::from_secs(options.build_limit.into()),
        },
    )?;
    let own = ["grade".into(), list.into_os_string(), "--out".into(), out.into_os_string()];
    let mode = options.mode.into_iter().flat_map(|mode| ["--mode".into(), mode.name().into()]);
    let arguments: Vec<_> = own.into_iter().chain(mode).chain(options.arguments.iter().cloned()).collect();
    Err(host.exec(&arguments))
}

/// The folder of the grades, which must not be among the submissions.
fn out(options: &Grade, workspace: &Workspace) -> Result<PathBuf, Error> {
    let folder = fs::canonicalize(&options.folder).map_err(|error| {
        Error::bad_input(format_args!("cannot read the submissions in {}: {error}", options.folder.display()))
    })?;
    let name = folder.file_name().unwrap_or_default();
    let out = options.out.clone().unwrap_or_else(|| workspace.target.join("grades").join(name));
    let absolute = std::path::absolute(&out).map_err(Error::file("find", &out))?;
    let nearest = absolute.ancestors().find_map(|path| fs::canonicalize(path).ok()).unwrap_or_default();
    match nearest.starts_with(&folder) {
        true => Err(Error::bad_input(format_args!(
            "the grades cannot be in the folder of the submissions: give another folder than {} to --out",
            out.display()
        ))),
        false => Ok(out),
    }
}
