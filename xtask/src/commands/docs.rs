//! `docs`: the analysis as PDF and HTML, and the reference that rustdoc makes.

use std::process::Command;

use crate::base::output::{self, short};
use crate::error::{Error, Status};
use crate::{base::process, cargo, docs, workspace::Workspace};

pub(crate) fn run() -> Result<Status, Error> {
    let workspace = Workspace::load()?;
    for file in docs::typeset(&workspace.root, &workspace.target.join("docs"))? {
        output::line(short(&file));
    }
    let status = process::status(reference(&workspace).arg("--quiet"))?;
    if status.is_success() {
        output::line(short(&workspace.target.join("doc/guestlab/index.html")));
    }
    Ok(status)
}

/// Returns the command that makes the reference: of the runtime, with all its features, and of the host's crates.
pub(crate) fn reference(workspace: &Workspace) -> Command {
    let mut doc = cargo::for_host(&workspace.root);
    doc.args("doc --no-deps --features guest-rt/heap --package guest-rt --package guest-abi".split(' '));
    let names = workspace.packages.iter().map(|package| package.name.as_str());
    doc.args(names.filter(|name| name.starts_with("guestlab")).flat_map(|name| ["--package", name]));
    doc
}
