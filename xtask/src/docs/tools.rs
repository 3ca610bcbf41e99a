//! The typesetter: Python packages of pinned versions and hashes, in a private copy in the cache.
//!
//! The copy is made in a folder beside its final one; a stamp is written last, then the folder gets
//! its name. So a copy under that name is whole, and the stamp says whether it is the one that is
//! asked for.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::base::cache;
use crate::base::output::note;
use crate::base::process::{self, indented, on_path};
use crate::error::Error;

/// What pip is asked for; also the stamp's text.
const REQUIREMENTS: &str = include_str!("requirements.txt");
const REQUIREMENTS_FILE: &str = "xtask/src/docs/requirements.txt";

const COPY: &str = "docs-tools";
const PARTIAL: &str = "docs-tools.partial-";
const STAMP: &str = "requirements.txt";

/// A copy that is whole.
#[derive(Debug)]
pub(crate) struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// The copy in the cache, which is made first where there is none.
    pub(crate) fn find_or_fetch(root: &Path) -> Result<Tools, Error> {
        if on_path("python3").is_none() {
            return Err(Error::cannot_run(
                "there is no python3 on PATH, which typesets the documents\n\
                 install it with pip (on Debian, Ubuntu: apt install python3 python3-pip)",
            ));
        }
        let cache = cache::folder_or_error()?;
        if let Some(tools) = complete(&cache) {
            return Ok(tools);
        }
        fs::create_dir_all(&cache).map_err(Error::file("create", &cache))?;
        let path = cache.join(format!("{COPY}.lock"));
        let lock = File::create(&path).map_err(Error::file("create", &path))?;
        // The system lets go of it when this process ends, however it ends.
        lock.lock().map_err(Error::file("lock", &path))?;
        match complete(&cache) {
            Some(tools) => Ok(tools),
            None => fetch(&cache, root),
        }
    }

    /// The command that typesets a document; the files that it is to make are its next arguments.
    pub(super) fn typesetter(&self, root: &Path, document: &str) -> Command {
        let mut python = Command::new("python3");
        // Isolated from the machine's own packages, and without compiled files added to the copy.
        python.args(["-I", "-B"]).arg(root.join("xtask/src/docs/typeset.py"));
        python.arg(&self.folder).arg(root).arg(root.join(document));
        python
    }
}

fn complete(cache: &Path) -> Option<Tools> {
    let folder = cache.join(COPY);
    let stamp = fs::read_to_string(folder.join(STAMP)).ok()?;
    (stamp == REQUIREMENTS).then_some(Tools { folder })
}

/// Makes the copy. The caller holds the lock.
fn fetch(cache: &Path, root: &Path) -> Result<Tools, Error> {
    check_pip()?;
    note("docs: fetching the typesetter (34 MB) from the Python package index; this is done once");
    remove_partial(cache);
    let partial =
        Partial { cache, tools: Tools { folder: cache.join(format!("{PARTIAL}{}", std::process::id())) } };
    install(&partial.tools.folder, root).map_err(|error| {
        error.map(|why| format!("cannot fetch the typesetter; is there a network?\n{why}"))
    })?;
    // With no file to make, it only finds its packages.
    process::output(&mut partial.tools.typesetter(root, "docs/part1a.typ"))
        .map_err(|error| error.map(|why| format!("the fetched typesetter does not run here\n{why}")))?;
    partial.finish()
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

fn install(folder: &Path, root: &Path) -> Result<(), Error> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
    pip.args(["--no-deps", "--only-binary", ":all:", "--require-hashes"]);
    pip.arg("--target").arg(folder).arg("--requirement").arg(root.join(REQUIREMENTS_FILE));
    // A user's configuration may ask for an installation elsewhere, which --target excludes.
    process::output(pip.env("PIP_USER", "0")).map(|_| ())
}

/// A copy that is being made; it goes away again unless it is finished.
struct Partial<'a> {
    cache: &'a Path,
    tools: Tools,
}

impl Partial<'_> {
    /// Stamps the copy and gives it its name.
    fn finish(self) -> Result<Tools, Error> {
        let (partial, folder) = (&self.tools.folder, self.cache.join(COPY));
        stamp(partial).map_err(Error::file("write the stamp into", partial))?;
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::file("remove", &folder)(error));
            }
            _ => {}
        }
        fs::rename(partial, &folder).map_err(Error::file("rename to", &folder))?;
        Ok(Tools { folder })
    }
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        remove_partial(self.cache);
    }
}

fn stamp(folder: &Path) -> std::io::Result<()> {
    let mut file = File::create(folder.join(STAMP))?;
    file.write_all(REQUIREMENTS.as_bytes())?;
    file.sync_all()
}

/// Removes what is left of copies that were cut off. What cannot be removed is tried again later.
fn remove_partial(cache: &Path) {
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    for entry in entries.filter(|it| it.file_name().to_string_lossy().starts_with(PARTIAL)) {
        let _ = fs::remove_dir_all(entry.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A copy in the making, of one file.
    fn partial(cache: &Path) -> Partial<'_> {
        let folder = cache.join(format!("{PARTIAL}1"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("typst.py"), "").unwrap();
        Partial { cache, tools: Tools { folder } }
    }

    #[test]
    fn a_finished_copy_is_taken_and_leaves_nothing_else() {
        let cache = tempfile::tempdir().unwrap();
        let tools = partial(cache.path()).finish().unwrap();
        assert!(tools.folder.join("typst.py").is_file());
        assert_eq!(complete(cache.path()).unwrap().folder, tools.folder);
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_copy_that_was_cut_off_is_not_taken_and_goes_away() {
        let cache = tempfile::tempdir().unwrap();
        std::mem::forget(partial(cache.path()));
        assert!(complete(cache.path()).is_none());
        remove_partial(cache.path());
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_copy_of_other_packages_is_replaced() {
        let cache = tempfile::tempdir().unwrap();
        let old = cache.path().join(COPY);
        fs::create_dir_all(&old).unwrap();
        fs::write(old.join(STAMP), "typst==0.1").unwrap();
        assert!(complete(cache.path()).is_none());
        partial(cache.path()).finish().unwrap();
        assert!(complete(cache.path()).is_some());
    }
}
