//! Typesetting: each document as a PDF to print and as a page to read.

use std::fs;
use std::path::{Path, PathBuf};

use super::tools::Tools;
use crate::base::process;
use crate::error::Error;

/// The documents, by name.
const DOCUMENTS: [&str; 1] = ["part1a"];

const FORMS: [&str; 2] = ["pdf", "html"];

/// Typesets all documents into `folder`, and returns the files.
pub(crate) fn typeset(tools: &Tools, root: &Path, folder: &Path) -> Result<Vec<PathBuf>, Error> {
    fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    let mut made = Vec::new();
    for document in DOCUMENTS {
        let files = FORMS.map(|form| folder.join(format!("{document}.{form}")));
        let mut typesetter = tools.typesetter(root, &format!("docs/{document}.typ"));
        process::output(typesetter.args(&files))
            .map_err(|error| Error::bad_input(format_args!("a document cannot be typeset\n{error}")))?;
        made.extend(files);
    }
    Ok(made)
}
