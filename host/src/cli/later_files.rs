//! Files that a command writes after its work. They are open from the beginning, so that a bad path does not lose the work.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{lab::error::Error, output, process::output_file::OutputFile, runlog::error::WriteError};

/// The files of one kind.
pub(super) struct LaterFiles {
    /// The kind, for errors.
    what: &'static str,
    files: Vec<(PathBuf, OutputFile)>,
}

impl LaterFiles {
    /// Begins the files.
    ///
    /// # Errors
    ///
    /// A file cannot be written.
    pub(super) fn begin(what: &'static str, paths: &[PathBuf]) -> Result<Self, Error> {
        let file = |path: &PathBuf| match OutputFile::whole(path) {
            Ok(file) => Ok((path.clone(), file)),
            Err(source) => Err(WriteError { what, path: path.clone(), source }),
        };
        Ok(Self { what, files: paths.iter().map(file).collect::<Result<_, _>>()? })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Writes each file, with the content for its name. Returns the outcome of the work.
    ///
    /// # Errors
    ///
    /// The work failed, or a file cannot be written.
    pub(super) fn write(
        self,
        outcome: Result<(), Error>,
        content: impl Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<(), Error> {
        let what = self.what;
        self.files.into_iter().fold(outcome, |outcome, (path, file)| {
            let written = content(&path).and_then(|content| file.write_and_place(&content));
            output::both(outcome, written.map_err(|source| WriteError { what, path, source }.into()))
        })
    }
}

/// Returns true if a file's name has this extension, in letters of any case.
pub(super) fn ends_in(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case(extension))
}
