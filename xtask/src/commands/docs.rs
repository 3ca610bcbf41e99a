//! `docs`: the analysis as PDF and HTML, and the reference that rustdoc makes.

use std::{path::Path, process::Command};

use crate::base::output::{self, short};
use crate::error::{Error, Status};
use crate::{base::process, cargo, docs, workspace::Workspace};

/// The packages that people who write guests or change the host need the reference of.
const REFERENCE: [&str; 11] = [
    "guestlab",
    "guestlab-cpu",
    "guestlab-debug",
    "guestlab-kvm",
    "guestlab-process",
    "guestlab-runlog",
    "guestlab-soft",
    "guestlab-views",
    "guestlab-vmm",
    "guest-rt",
    "guest-abi",
];

pub(crate) fn run() -> Result<Status, Error> {
    let workspace = Workspace::load()?;
    for file in docs::typeset(&workspace.root, &workspace.target.join("docs"))? {
        output::line(short(&file));
    }
    let status = process::status(reference(&workspace.root).arg("--quiet"))?;
    if status.is_success() {
        output::line(short(&workspace.target.join("doc/guestlab/index.html")));
    }
    Ok(status)
}

/// Returns the command that makes the reference, with all features of the runtime.
pub(crate) fn reference(root: &Path) -> Command {
    let mut doc = cargo::for_host(root);
    doc.args(["doc", "--no-deps", "--features", "guest-rt/heap"]);
    doc.args(REFERENCE.iter().flat_map(|name| ["--package", name]));
    doc
}
