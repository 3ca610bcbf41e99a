//! Private copies of Debian's packages, without root and without a change of the system.
//!
//! apt reads its package lists into our folders, and downloads and checks the packages as always. They are unpacked
//! into the user's cache. A copy that was interrupted is never used.

mod apt;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) use apt::{Apt, Download, installed, is_shared_library};

use crate::base::files;
use crate::base::output::note;
use crate::base::process::{self, indented};
use crate::base::store::Store;
use crate::error::Error;

/// The programs that make a copy.
const PROGRAMS: [&str; 5] = ["apt-get", "apt-cache", "dpkg-deb", "dpkg-query", "tar"];

/// tar's arguments for a package without its documentation.
pub(crate) const WITHOUT_DOCUMENTATION: [&str; 3] =
    ["--exclude=./usr/share/doc", "--exclude=./usr/share/man", "--exclude=./usr/share/lintian"];

/// The packages of a private copy, and its checks.
pub(crate) trait Recipe {
    /// The copy's name, for people and for its folder.
    fn name(&self) -> &'static str;

    /// Chooses the packages.
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

/// Finds a copy that works.
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
    let mut progress = Progress::start(recipe.name());
    let unfinished = store.begin()?;
    let (work, tree) = (unfinished.work(), unfinished.tree());
    progress.step("reading the package lists");
    let apt = Apt::new(&work)?;
    let (chosen, downloads) = look_up(recipe, &apt)?;
    progress.step("downloading");
    let total = apt::total_size(&downloads);
    apt.download(&chosen, |bytes| progress.detail(&percentage(bytes, total)))?;
    progress.step("unpacking");
    for (index, download) in downloads.iter().enumerate() {
        let package = download.package();
        progress.detail(&format!(": {} of {}, {package}", index + 1, downloads.len()));
        unpack(&work.join(&download.file), recipe.selection(package), &tree)?;
    }
    progress.step("checking it");
    recipe.complete(&tree)?;
    recipe.check(&tree).map_err(does_not_work)?;
    let stamp = downloads.iter().map(|download| format!("{}={}\n", download.package(), download.version()));
    unfinished.finish(&stamp.collect::<String>())
}

/// Returns the error of a copy that cannot be used.
pub(crate) fn does_not_work(reason: impl std::fmt::Display) -> Error {
    Error::cannot_run(format_args!("the copy does not work here:\n{}", indented(&reason.to_string())))
}

/// Names the programs that are missing to make a copy.
pub(crate) fn can_fetch() -> Result<(), String> {
    let missing: Vec<_> = PROGRAMS.into_iter().filter(|it| process::on_path(it).is_none()).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("not on PATH: {}", missing.join(", "))) }
}

/// Tries [`fetch`] up to the download, and returns the size of the download in bytes.
pub(crate) fn download_size(recipe: &impl Recipe) -> Result<u64, Error> {
    let store = Store::new(recipe.name())?;
    let _lock = store.lock()?;
    let unfinished = store.begin()?;
    let (_, downloads) = look_up(recipe, &Apt::new(&unfinished.work())?)?;
    Ok(apt::total_size(&downloads))
}

/// Returns the packages of a copy, and their files.
fn look_up(recipe: &impl Recipe, apt: &Apt) -> Result<(Vec<String>, Vec<Download>), Error> {
    let messages = apt.update()?;
    let chosen = recipe.choose(apt).map_err(|error| {
        // The messages of the update often have the reason.
        let messages = format!("{}\n{error}", messages.trim());
        Error::cannot_run(format_args!(
            "apt knows no such packages; is there a network? It says:\n{}",
            indented(messages.trim_start())
        ))
    })?;
    let downloads = apt.downloads(&chosen)?;
    recipe.admit(&downloads).map_err(Error::cannot_run)?;
    Ok((chosen, downloads))
}

/// Unpacks the selected files of a package into `tree`.
fn unpack(package: &Path, selection: &[&str], tree: &Path) -> Result<(), Error> {
    let archive = package.with_extension("tar");
    let mut contents = Command::new("dpkg-deb");
    process::output(contents.arg("--fsys-tarfile").arg(package).stdout(files::create(&archive)?))?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--no-same-owner", "--directory"]).arg(tree).arg("--file").arg(&archive);
    process::output(tar.args(selection))?;
    fs::remove_file(&archive).map_err(Error::file("remove", &archive))
}

const STEPS: u32 = 4;

/// Clears the cursor's line.
const CLEAR_LINE: &str = "\r\x1b[K";

/// The display of a fetch on stderr.
struct Progress {
    is_terminal: bool,
    step: u32,
    name: &'static str,
    text: String,
}

impl Progress {
    fn start(name: &'static str) -> Progress {
        note(format_args!(
            "{name}: fetching a private copy from Debian's archive; this is done once, and nothing on the system changes"
        ));
        Progress { is_terminal: io::stderr().is_terminal(), step: 0, name, text: String::new() }
    }

    fn step(&mut self, text: &str) {
        self.step += 1;
        self.text = format!("{}: [{}/{STEPS}] {text}", self.name, self.step);
        if self.is_terminal {
            self.detail("");
        } else {
            note(&self.text);
        }
    }

    /// Shows a detail of this step, on terminals only.
    fn detail(&self, detail: &str) {
        if self.is_terminal {
            let mut stderr = io::stderr();
            let _ = write!(stderr, "{CLEAR_LINE}{}{detail}", self.text).and_then(|()| stderr.flush());
        }
    }
}

impl Drop for Progress {
    /// Leaves an empty line for the next output.
    fn drop(&mut self) {
        if self.is_terminal {
            let _ = write!(io::stderr(), "{CLEAR_LINE}");
        }
    }
}

fn percentage(bytes: u64, total: u64) -> String {
    format!(": {}% of {} MB", bytes.min(total) * 100 / total.max(1), total / 1_000_000)
}
