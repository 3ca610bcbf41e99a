//! The analysis as PDF and HTML, typeset by Typst.
//!
//! Typst and a font are Python packages of pinned versions and hashes, in a private copy in the cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::base::process;
use crate::{base::files, base::output::note, base::store::Store, error::Error};

/// The input of pip, which is also the stamp of the copy.
const REQUIREMENTS: &str = include_str!("requirements.txt");

const DOCUMENT: &str = "docs/part1a.typ";
const FILES: [&str; 2] = ["part1a.pdf", "part1a.html"];

/// Typesets the document into `folder` and returns the files. Fetches the typesetter once.
pub(crate) fn typeset(root: &Path, folder: &Path) -> Result<[PathBuf; 2], Error> {
    let typesetter = find_or_fetch(root)?;
    files::create_folder(folder)?;
    let files = FILES.map(|name| folder.join(name));
    process::output(command(&typesetter, root).args(&files))
        .map_err(|error| Error::bad_input(format_args!("{DOCUMENT} cannot be typeset\n{error}")))?;
    Ok(files)
}

/// Returns the command that typesets the document. Its next arguments are the files to make.
fn command(typesetter: &Path, root: &Path) -> Command {
    let mut python = Command::new("python3");
    // Isolated from the machine's own packages, and without compiled files in the copy.
    python.args(["-I", "-B"]).arg(root.join("xtask/src/docs/typeset.py"));
    python.arg(typesetter).arg(root).arg(root.join(DOCUMENT));
    python
}

fn find_or_fetch(root: &Path) -> Result<PathBuf, Error> {
    process::require(&["python3"], "typesets the documents", "python3 python3-pip")?;
    let store = Store::new("docs tools")?;
    let find = || store.find().ok().filter(|(_, stamp)| stamp == REQUIREMENTS).map(|(folder, _)| folder);
    if let Some(folder) = find() {
        return Ok(folder);
    }
    let _lock = store.lock()?;
    find().map_or_else(|| fetch(&store, root), Ok)
}

fn fetch(store: &Store, root: &Path) -> Result<PathBuf, Error> {
    note("docs: fetching the typesetter (34 MB) from the Python package index; this is done once");
    let unfinished = store.begin()?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
    pip.args(["--no-deps", "--only-binary", ":all:", "--require-hashes"]);
    pip.arg("--target").arg(&unfinished.tree);
    pip.arg("--requirement").arg(root.join("xtask/src/docs/requirements.txt"));
    // A user's configuration may ask for an installation elsewhere, which --target excludes.
    process::output(pip.env("PIP_USER", "0")).map_err(|error| {
        error.map(|reason| {
            format!(
                "cannot fetch the typesetter; is there a network?\n{reason}\n\
                 python3 needs pip for it (on Debian, Ubuntu: apt install python3-pip)"
            )
        })
    })?;
    // Without a file to make, it only looks for its packages.
    process::output(&mut command(&unfinished.tree, root))
        .map_err(|error| error.map(|reason| format!("the fetched typesetter does not run here\n{reason}")))?;
    unfinished.finish(REQUIREMENTS)
}
