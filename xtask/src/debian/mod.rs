//! Private copies of Debian's packages, without root and without a change of the system.
//!
//! apt reads its package lists into our folders, and downloads and checks the packages as always. They are unpacked
//! into the user's cache. A copy that was interrupted is never used.

mod apt;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::{fs, process::Command};

pub(crate) use apt::{Apt, Download, installed, is_shared_library};

use crate::base::process::{self, indented};
use crate::{base::files, base::output::note, base::store::Store, error::Error};

const PROGRAMS: [&str; 5] = ["apt-get", "apt-cache", "dpkg-deb", "dpkg-query", "tar"];

pub(crate) const WITHOUT_DOCUMENTATION: [&str; 3] =
    ["--exclude=./usr/share/doc", "--exclude=./usr/share/man", "--exclude=./usr/share/lintian"];

/// The packages of a private copy, and its checks.
pub(crate) trait Recipe {
    /// The copy's name, for people and for its folder.
    fn name(&self) -> &'static str;

    fn choose(&self, apt: &Apt) -> Result<Vec<String>, Error>;

    /// Refuses a download of no use, with the reason.
    fn admit(&self, _downloads: &[Download]) -> Result<(), String> {
        Ok(())
    }

    /// tar's arguments that select files of a package.
    fn selection(&self, _package: &str) -> &'static [&'static str] {
        &WITHOUT_DOCUMENTATION
    }

    /// Completes the unpacked tree, once.
    fn complete(&self, _tree: &Path) -> Result<(), Error> {
        Ok(())
    }

    /// Returns the reason if a copy cannot be used.
    fn check(&self, copy: &Path) -> Result<(), String>;
}

/// Finds a copy that works, or makes one.
pub(crate) fn obtain(recipe: &impl Recipe) -> Result<PathBuf, Error> {
    find(recipe).or_else(|_| {
        can_fetch().map_err(Error::cannot_run)?;
        fetch(recipe)
    })
}

pub(crate) fn find(recipe: &impl Recipe) -> Result<PathBuf, String> {
    let store = Store::new(recipe.name()).map_err(|error| error.to_string())?;
    let (copy, _) = store.find()?;
    recipe.check(&copy)?;
    Ok(copy)
}

/// Makes the copy, unless another xtask has made it meanwhile, and returns its folder.
pub(crate) fn fetch(recipe: &impl Recipe) -> Result<PathBuf, Error> {
    let store = Store::new(recipe.name())?;
    let _lock = store.lock()?;
    if let Ok(copy) = find(recipe) {
        return Ok(copy);
    }
    note(format_args!(
        "{}: fetching a private copy from Debian's archive; this is done once, and nothing on the system changes",
        recipe.name()
    ));
    let made = make(recipe, &store);
    show_progress("");
    made
}

fn make(recipe: &impl Recipe, store: &Store) -> Result<PathBuf, Error> {
    let begin = |step: u32, text: &str| {
        show_progress("");
        note(format_args!("{}: [{step}/4] {text}", recipe.name()));
    };
    let unfinished = store.begin()?;
    let (work, tree) = (&unfinished.work, &unfinished.tree);
    begin(1, "reading the package lists");
    let apt = Apt::new(work)?;
    let (chosen, downloads) = look_up(recipe, &apt)?;
    begin(2, "downloading");
    let total = apt::total_size(&downloads);
    apt.download(&chosen, |bytes| {
        let percent = bytes.min(total) * 100 / total.max(1);
        show_progress(&format!("{percent}% of {} MB", total / 1_000_000));
    })?;
    begin(3, "unpacking");
    for (index, download) in downloads.iter().enumerate() {
        let package = download.package();
        show_progress(&format!("{} of {}, {package}", index + 1, downloads.len()));
        unpack(&work.join(&download.file), recipe.selection(package), tree)?;
    }
    begin(4, "checking it");
    recipe.complete(tree)?;
    recipe.check(tree).map_err(does_not_work)?;
    let stamp = downloads.iter().map(|download| format!("{}={}\n", download.package(), download.version()));
    unfinished.finish(&stamp.collect::<String>())
}

/// Returns the error of a copy that cannot be used.
pub(crate) fn does_not_work(reason: impl std::fmt::Display) -> Error {
    Error::cannot_run(format_args!("the copy does not work here:\n{}", indented(&reason.to_string())))
}

pub(crate) fn can_fetch() -> Result<(), String> {
    let missing: Vec<_> = PROGRAMS.into_iter().filter(|it| process::on_path(it).is_none()).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("not on PATH: {}", missing.join(", "))) }
}

/// Tries [`fetch`] up to the download, and returns the size of the download in bytes.
pub(crate) fn download_size(recipe: &impl Recipe) -> Result<u64, Error> {
    let store = Store::new(recipe.name())?;
    let _lock = store.lock()?;
    let unfinished = store.begin()?;
    let (_, downloads) = look_up(recipe, &Apt::new(&unfinished.work)?)?;
    Ok(apt::total_size(&downloads))
}

/// Returns the packages of a copy, and their files.
fn look_up(recipe: &impl Recipe, apt: &Apt) -> Result<(Vec<String>, Vec<Download>), Error> {
    let messages = apt.update()?;
    let chosen = recipe.choose(apt).map_err(|error| {
        // The messages of the update often have the reason.
        let messages = format!("{}\n{error}", messages.trim());
        Error::cannot_run(format_args!(
            "apt does not find the packages; is there a network? It says:\n{}",
            indented(messages.trim_start())
        ))
    })?;
    let downloads = apt.downloads(&chosen)?;
    recipe.admit(&downloads).map_err(Error::cannot_run)?;
    Ok((chosen, downloads))
}

fn unpack(package: &Path, selection: &[&str], tree: &Path) -> Result<(), Error> {
    let archive = package.with_extension("tar");
    let mut contents = Command::new("dpkg-deb");
    process::output(contents.arg("--fsys-tarfile").arg(package).stdout(files::create(&archive)?))?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--no-same-owner", "--directory"]).arg(tree).arg("--file").arg(&archive);
    process::output(tar.args(selection))?;
    fs::remove_file(&archive).map_err(Error::file("remove", &archive))
}

/// Replaces the last line on a terminal.
fn show_progress(text: &str) {
    let mut stderr = io::stderr();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush());
    }
}
