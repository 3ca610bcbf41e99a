//! `docs`: the analysis as a PDF and as a page, and the reference that rustdoc makes of the source.

use std::path::Path;
use std::process::Command;

use crate::cargo;
use crate::docs::{self, Tools};
use crate::error::{Error, Status};
use crate::output::{self, short};
use crate::process;
use crate::workspace::Workspace;

/// The packages whose reference is of use to people who write guests or change the host.
const REFERENCE: [&str; 7] = [
    "guestlab",
    "guestlab-cpu",
    "guestlab-runlog",
    "guestlab-soft",
    "guestlab-views",
    "guest-rt",
    "guest-abi",
];

/// Makes everything, and prints where it is.
pub(crate) fn run() -> Result<Status, Error> {
    let workspace = Workspace::load()?;
    docs::check_claims(&workspace.root)?;
    let tools = Tools::find_or_fetch(&workspace.root)?;
    for file in docs::typeset(&tools, &workspace.root, &workspace.target.join("docs"))? {
        output::line(short(&file));
    }
    let documented = document(&workspace.root)?;
    if documented.is_success() {
        output::line(short(&workspace.target.join("doc/guestlab/index.html")));
    }
    Ok(documented)
}

fn document(root: &Path) -> Result<Status, Error> {
    let mut doc = reference(root);
    process::status(doc.arg("--quiet"))
}

/// The command that makes the reference, with all that the runtime can have.
pub(crate) fn reference(root: &Path) -> Command {
    let mut doc = cargo::for_host(root);
    doc.args(["doc", "--no-deps", "--features", "guest-rt/heap"]);
    doc.args(REFERENCE.iter().flat_map(|name| ["--package", name]));
    doc
}
