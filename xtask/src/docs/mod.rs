//! The documents below `docs` as PDF and HTML, typeset by Typst.
//!
//! Typst and a font are Python packages of pinned versions and hashes, in a private copy in the cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::base::files;
use crate::base::output::note;
use crate::base::process::{self, indented, on_path};
use crate::base::store::Store;
use crate::error::Error;

/// The input of pip, which is also the stamp of the copy.
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// The documents, by name.
const DOCUMENTS: [&str; 1] = ["part1a"];
const FORMATS: [&str; 2] = ["pdf", "html"];

/// Typesets all documents into `folder` and returns the files. Fetches the typesetter once.
pub(crate) fn typeset(root: &Path, folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let typesetter = find_or_fetch(root)?;
    files::create_folder(folder)?;
    let mut made = Vec::new();
    for document in DOCUMENTS {
        let files = FORMATS.map(|format| folder.join(format!("{document}.{format}")));
        let source = format!("docs/{document}.typ");
        process::output(command(&typesetter, root, &source).args(&files))
            .map_err(|error| Error::bad_input(format_args!("{source} cannot be typeset\n{error}")))?;
        made.extend(files);
    }
    Ok(made)
}

/// Returns the command that typesets a document. Its next arguments are the files to make.
fn command(typesetter: &Path, root: &Path, document: &str) -> Command {
    let mut python = Command::new("python3");
    // Isolated from the machine's own packages, and without compiled files in the copy.
    python.args(["-I", "-B"]).arg(root.join("xtask/src/docs/typeset.py"));
    python.arg(typesetter).arg(root).arg(root.join(document));
    python
}

/// Returns the folder of the copy, which is made if there is none.
fn find_or_fetch(root: &Path) -> Result<PathBuf, Error> {
    if on_path("python3").is_none() {
        return Err(Error::cannot_run(
            "there is no python3 on PATH, which typesets the documents\n\
             install it with pip (on Debian, Ubuntu: apt install python3 python3-pip)",
        ));
    }
    let store = Store::new("docs tools")?;
    let find = || store.find().ok().filter(|(_, stamp)| stamp == REQUIREMENTS).map(|(folder, _)| folder);
    if let Some(folder) = find() {
        return Ok(folder);
    }
    let _lock = store.lock()?;
    find().map_or_else(|| fetch(&store, root), Ok)
}

fn fetch(store: &Store, root: &Path) -> Result<PathBuf, Error> {
    check_pip()?;
    note("docs: fetching the typesetter (34 MB) from the Python package index; this is done once");
    let unfinished = store.begin()?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
    pip.args(["--no-deps", "--only-binary", ":all:", "--require-hashes"]);
    pip.arg("--target").arg(unfinished.tree());
    pip.arg("--requirement").arg(root.join("xtask/src/docs/requirements.txt"));
    // A user's configuration may ask for an installation elsewhere, which --target excludes.
    process::output(pip.env("PIP_USER", "0")).map_err(|error| {
        error.map(|reason| format!("cannot fetch the typesetter; is there a network?\n{reason}"))
    })?;
    // Without a file to make, it only looks for its packages.
    process::output(&mut command(&unfinished.tree(), root, "docs/part1a.typ"))
        .map_err(|error| error.map(|reason| format!("the fetched typesetter does not run here\n{reason}")))?;
    unfinished.finish(REQUIREMENTS)
}

fn check_pip() -> Result<(), Error> {
    let asked = process::capture(Command::new("python3").args(["-m", "pip", "--version"]))?;
    match asked.status.success() {
        true => Ok(()),
        false => Err(Error::cannot_run(format_args!(
            "python3 has no pip, which fetches the typesetter; it says:\n{}\n\
             install it (on Debian, Ubuntu: apt install python3-pip)",
            indented(&String::from_utf8_lossy(&asked.stderr))
        ))),
    }
}
