//! Where a private copy is kept. A copy is made in a folder beside its final one; a stamp is
//! written last, then the folder gets its name. So a copy under that name is whole.

use std::fmt::Display;
use std::fs::{self, File, TryLockError};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::apt::Download;
use crate::base::output::{note, short};
use crate::base::process;
use crate::error::Error;

const STAMP: &str = "packages";

/// The place of one kind of private copy.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    name: &'static str,
}

/// A copy that is being made; whatever is there goes away again unless it is finished.
#[derive(Debug)]
pub(crate) struct Unfinished<'a> {
    store: &'a Store,
    path: PathBuf,
}

impl Store {
    /// The place in this cache folder for copies of this name.
    pub(crate) fn new(folder: PathBuf, name: &'static str) -> Store {
        Store { folder, name }
    }

    /// The copy, if there is a whole one; or else says that there is none.
    pub(crate) fn stamped(&self) -> Result<PathBuf, String> {
        let copy = self.copy();
        if !copy.join(STAMP).is_file() {
            return Err(format!("there is none in {}", short(&self.folder)));
        }
        Ok(copy)
    }

    /// Keeps other xtasks from making a copy at the same time; the system lets go of the lock
    /// when this process ends, however it ends.
    pub(crate) fn lock(&self) -> Result<File, Error> {
        fs::create_dir_all(&self.folder).map_err(Error::file("create", &self.folder))?;
        let path = self.copy().with_extension("lock");
        let file = File::create(&path).map_err(Error::file("create", &path))?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                let (name, path) = (self.name, short(&path));
                note(format_args!("{name}: another xtask is fetching it (it holds {path}); waiting"));
            }
            Err(TryLockError::Error(source)) => {
                return Err(Error::file("lock", &path)(source));
            }
        }
        file.lock().map_err(Error::file("lock", &path))?;
        Ok(file)
    }

    fn copy(&self) -> PathBuf {
        self.folder.join(self.name.replace(' ', "-"))
    }

    /// What the names of unfinished copies begin with.
    fn partial(&self) -> String {
        format!("{}.partial-", self.name.replace(' ', "-"))
    }

    /// Begins a copy in a new folder, and removes what others left behind half done.
    pub(crate) fn begin(&self) -> Result<Unfinished<'_>, Error> {
        self.remove_partial();
        let path = self.folder.join(format!("{}{}", self.partial(), std::process::id()));
        let unfinished = Unfinished { store: self, path };
        for folder in [unfinished.work(), unfinished.tree()] {
            fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
        }
        Ok(unfinished)
    }

    /// Removes what is left of copies that were cut off. Children of a killed xtask may be
    /// writing there still: what cannot be removed harms nobody and is tried again later.
    fn remove_partial(&self) {
        let partial = self.partial();
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for entry in entries.filter(|it| it.file_name().to_string_lossy().starts_with(&partial)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl Unfinished<'_> {
    /// The folder for downloads.
    pub(crate) fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    /// The folder that packages are unpacked into.
    pub(crate) fn tree(&self) -> PathBuf {
        self.path.join("tree")
    }

    /// Stamps the copy and gives it its name; returns its folder.
    pub(crate) fn finish(self, downloads: &[Download]) -> Result<PathBuf, Error> {
        let (tree, copy) = (self.tree(), self.store.copy());
        stamp(&tree, downloads).map_err(Error::file("write the stamp into", &tree))?;
        remove(&copy)?;
        fs::rename(&tree, &copy).map_err(Error::file("rename to", &copy))?;
        sync(&self.store.folder).map_err(Error::file("write", &self.store.folder))?;
        Ok(copy)
    }
}

impl Drop for Unfinished<'_> {
    /// Removes this copy's folder, and what could not be removed when it was begun.
    fn drop(&mut self) {
        self.store.remove_partial();
    }
}

fn stamp(tree: &Path, downloads: &[Download]) -> std::io::Result<()> {
    let mut file = File::create(tree.join(STAMP))?;
    for download in downloads {
        writeln!(file, "{}={}", download.package(), download.version())?;
    }
    file.sync_all()?;
    sync(tree)
}

/// Makes a folder's names outlast a power failure.
fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Unpacks the selected files of a package into `tree`.
pub(crate) fn unpack(package: &Path, selection: &[&str], tree: &Path) -> Result<(), Error> {
    let mut contents = Command::new("dpkg-deb");
    contents.arg("--fsys-tarfile").arg(package);
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--no-same-owner", "--directory"]).arg(tree);
    tar.args(selection);
    piped(&mut contents, &mut tar)
}

/// Runs `from | into`; the words of whoever fails are kept.
fn piped(from: &mut Command, into: &mut Command) -> Result<(), Error> {
    let spawned = from.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut source = spawned.map_err(|source| process::cannot_start(from, source))?;
    if let Some(pipe) = source.stdout.take() {
        into.stdin(pipe);
    }
    let received = into.output().map_err(|source| process::cannot_start(into, source))?;
    // The receiver's end of the pipe must be closed, or a sender that it left waits for ever.
    into.stdin(Stdio::null());
    let sent = source.wait_with_output().map_err(|source| process::cannot_start(from, source))?;
    // A receiver that failed is the cause of its sender's failure, so it is looked at first.
    succeeded(into, &received).and_then(|()| succeeded(from, &sent))
}

fn succeeded(command: &Command, output: &Output) -> Result<(), Error> {
    if output.status.success() { Ok(()) } else { Err(process::failed(command, output)) }
}

const STEPS: u32 = 4;

/// Clears the line that the cursor is in.
const CLEAR_LINE: &str = "\r\x1b[K";

/// The display of one fetch.
#[derive(Debug)]
pub(crate) struct Progress {
    terminal: bool,
    step: u32,
    name: &'static str,
    text: String,
}

impl Progress {
    /// Says what is about to happen, and that it happens once.
    pub(crate) fn start(name: &'static str) -> Progress {
        note(format_args!(
            "{name}: fetching a private copy from Debian's archive; this is done once, and nothing \
             on the system changes"
        ));
        Progress { terminal: io::stderr().is_terminal(), step: 0, name, text: String::new() }
    }

    /// Begins the next step.
    pub(crate) fn step(&mut self, what: &str) {
        self.step += 1;
        self.text = format!("{}: [{}/{STEPS}] {what}", self.name, self.step);
        if self.terminal {
            self.rewrite("");
        } else {
            note(&self.text);
        }
    }

    /// Says how far a download has come.
    pub(crate) fn bytes(&self, done: u64, total: u64) {
        let percent = done.min(total) * 100 / total.max(1);
        self.rewrite(format_args!(": {percent}% of {} MB", total / 1_000_000));
    }

    /// Says which of how many is worked at.
    pub(crate) fn item(&self, number: usize, count: usize, name: &str) {
        self.rewrite(format_args!(": {number} of {count}, {name}"));
    }

    fn rewrite(&self, detail: impl Display) {
        if self.terminal {
            let mut stderr = io::stderr();
            // Progress that cannot be shown is no reason to stop.
            let _ = write!(stderr, "{CLEAR_LINE}{}{detail}", self.text).and_then(|()| stderr.flush());
        }
    }
}

impl Drop for Progress {
    /// Leaves an empty line to whoever prints next, be it success or an error.
    fn drop(&mut self) {
        if self.terminal {
            let _ = write!(io::stderr(), "{CLEAR_LINE}");
        }
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;

#[cfg(test)]
mod unpack_tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn either_ends_failure_is_a_failure_with_its_words() {
        assert!(piped(&mut shell("echo x"), &mut shell("grep -q x")).is_ok());
        let error = piped(&mut shell("echo from >&2; exit 1"), &mut shell("cat")).unwrap_err();
        assert!(error.to_string().contains("from"), "{error}");
        let error = piped(&mut shell("echo x"), &mut shell("echo no space >&2; exit 2")).unwrap_err();
        assert!(error.to_string().contains("no space"), "{error}");
    }

    #[test]
    fn a_sender_is_not_waited_for_once_its_receiver_has_failed() {
        assert!(piped(&mut shell("yes"), &mut shell("exit 1")).is_err());
    }
}
