//! The images of a submission: those that were handed in, or those that are built of its sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::package::{self, Layout};
use super::problem::{Failed, Problem};
use super::sandbox::{Ended, Sandbox};
use super::submission::{Found, Guest, Submission};
use crate::base::output::note;
use crate::base::{files, process};
use crate::guests::{Build, Catalog, Guest as Built, Mode};
use crate::toolchain::Toolchain;
use crate::{cargo, error::Error, workspace::Workspace};

/// The most lines of a compiler's messages in a row.
const LINES: usize = 40;

/// The time that the build for all submissions may take.
const SEED_LIMIT: Duration = Duration::from_secs(1200);

/// The largest image that `guestlab` reads, in bytes.
const MAX_IMAGE: u64 = 256 << 20;

/// Builds submissions.
pub(super) struct Builder<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) toolchain: &'a Toolchain,
    /// The sandbox, or the reason why there is none.
    pub(super) sandbox: &'a Result<Sandbox, String>,
    /// The target folder with all that guests depend on, compiled once. A submission gets a copy: none can change what
    /// another one is built with.
    pub(super) seed: Option<PathBuf>,
    /// The folder of the grades, an absolute path.
    pub(super) out: &'a Path,
    pub(super) mode: Mode,
    /// The time that the build of one guest may take.
    pub(super) limit: Duration,
}

impl Builder<'_> {
    /// Returns the image of each guest, as a path from the folder of the grades or an absolute one.
    pub(super) fn images(
        &self,
        number: usize,
        submission: &Submission,
        guests: &[Guest],
    ) -> Result<Vec<Result<PathBuf, Problem>>, Error> {
        if guests.iter().all(|guest| guest.found.is_image()) {
            return guests.iter().map(handed_in).collect();
        }
        let sandbox = match self.sandbox {
            Ok(sandbox) => sandbox,
            Err(reason) => {
                let problem = || Problem::new(format!("it has sources, which are not built here: {reason}"));
                return Ok(guests.iter().map(|_| Err(problem())).collect());
            }
        };
        note(format_args!("building {}", submission.name.escape_debug()));
        let name = plain(&submission.name);
        // Names may be alike, so each submission has a number.
        let root = self.out.join("build").join(number.to_string());
        let folder = submission.folder.as_deref().unwrap_or(Path::new(""));
        let laid_out = package::lay_out(self.workspace, folder, &name, guests, &root);
        let built = laid_out.and_then(|layout| {
            self.copy_seed(&root)?;
            self.build_all(sandbox, &layout, &format!("{number}-{name}"))
        });
        // What strangers' programs leave here goes. One that was killed may still be ending, so `clear` removes the rest.
        let _ = files::remove_folder(&root);
        let built = Failed::part(built)?;
        Ok(built.unwrap_or_else(|Problem { reason, details }| {
            guests.iter().map(|_| Err(Problem { reason: reason.clone(), details: details.clone() })).collect()
        }))
    }

    /// Compiles what guests depend on, if a submission has sources that can be built.
    pub(super) fn sow(&mut self, submissions: &[Submission]) -> Result<(), Error> {
        let guests = submissions.iter().flat_map(|submission| &submission.guests);
        let Some(sandbox) =
            self.sandbox.as_ref().ok().filter(|_| guests.clone().any(|it| !it.found.is_image()))
        else {
            return Ok(());
        };
        let root = self.out.join("build/seed");
        self.clear()?;
        note("building what submissions depend on");
        let layout = package::lay_out_seed(self.workspace, &root)?;
        // It compiles more than a submission does, and it is our own.
        let limit = std::mem::replace(&mut self.limit, SEED_LIMIT);
        let built = Failed::part(self.build_all(sandbox, &layout, "seed"))?;
        self.limit = limit;
        let images: Result<Vec<PathBuf>, Problem> = built.and_then(|built| built.into_iter().collect());
        images.map_err(unsown)?;
        self.seed = Some(root.join("target"));
        files::remove_file(&self.out.join("images/seed-0.elf"))
    }

    /// Removes the folders of all builds.
    pub(super) fn clear(&self) -> Result<(), Error> {
        files::remove_folder(&self.out.join("build"))
    }

    fn copy_seed(&self, root: &Path) -> Result<(), Error> {
        let Some(seed) = &self.seed else { return Ok(()) };
        let mut copy = Command::new("cp");
        process::output(copy.args(["-a", "--reflink=auto"]).args([seed, &root.join("target")])).map(drop)
    }

    /// Builds all guests of a workspace, or finds out why none of them can be built.
    fn build_all(
        &self,
        sandbox: &Sandbox,
        layout: &Layout,
        name: &str,
    ) -> Result<Vec<Result<PathBuf, Problem>>, Failed> {
        let mut ask = cargo::for_guests(&layout.root);
        ask.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
        let printed = match sandbox.run(&layout.root, &ask, self.limit)? {
            Ended::Well(printed) => printed,
            ended => return Err(problem("cargo cannot read it", ended, self.limit).into()),
        };
        let workspace = Workspace::parse(&printed).map_err(|_| Problem::new("cargo cannot read it"))?;
        // It is where it was laid out, whatever cargo was made to print.
        let target = layout.root.join("target");
        let workspace =
            Workspace { root: layout.root.clone(), images: target.join("guests"), target, ..workspace };
        let catalog = Catalog::of(&workspace);
        let build = Build::new(&workspace, self.toolchain, self.mode);
        let images = layout.packages.iter().enumerate().map(|(at, package)| {
            let guest = catalog.guests.iter().find(|guest| guest.source.starts_with(package));
            match guest {
                None => Ok(Err(Problem::new(
                    "it is not a guest: no package with a program that depends on guest-rt",
                ))),
                Some(guest) => Failed::part(self.build(sandbox, &build, guest, &format!("{name}-{at}"))),
            }
        });
        Ok(images.collect::<Result<_, Error>>()?)
    }

    fn build(
        &self,
        sandbox: &Sandbox,
        build: &Build<'_>,
        guest: &Built,
        name: &str,
    ) -> Result<PathBuf, Failed> {
        let mut command: Command = build.command(&[guest])?;
        command.args(["--offline", "--quiet"]);
        let ended = sandbox.run(&build.workspace.root, &command, self.limit)?;
        if !matches!(ended, Ended::Well(_)) {
            return Err(problem("it does not compile", ended, self.limit).into());
        }
        let image = inside(&build.executable(guest), &build.workspace.root);
        let image = image.ok_or_else(|| Problem::new("its build made no image"))?;
        let place = Path::new("images").join(format!("{name}.elf"));
        let content = fs::read(&image).map_err(Failed::unreadable(&image))?;
        files::replace(&self.out.join(&place), &content)?;
        Ok(place)
    }
}

/// The error for a guest of our own that does not compile in the sandbox.
fn unsown(Problem { reason, details }: Problem) -> Error {
    Error::cannot_run(format_args!(
        "no guest can be built in the sandbox: {reason}\n{}",
        process::indented(&details.unwrap_or_default())
    ))
}

fn handed_in(guest: &Guest) -> Result<Result<PathBuf, Problem>, Error> {
    let Found::Image(path) = &guest.found else { return Err(Error::bug("sources are no image")) };
    let path = files::absolute(path)?;
    // The list is JSON.
    Ok(match path.to_str() {
        Some(_) => Ok(path),
        None => Err(Problem::new("its path is not UTF-8 text, so it cannot be listed: rename it")),
    })
}

/// Returns a file that a build has made, if it is a file of its own folder: a link could lead anywhere.
fn inside(file: &Path, folder: &Path) -> Option<PathBuf> {
    let (file, folder) = (fs::canonicalize(file).ok()?, fs::canonicalize(folder).ok()?);
    let is_image = file.metadata().is_ok_and(|file| file.is_file() && file.len() <= MAX_IMAGE);
    (is_image && file.starts_with(&folder)).then_some(file)
}

fn problem(reason: &str, ended: Ended, limit: Duration) -> Problem {
    match ended {
        Ended::Expired => Problem::new(format!("its build was not over after {} s", limit.as_secs_f64())),
        Ended::Well(said) | Ended::Badly(said) => {
            let first = said.lines().find(|line| line.starts_with("error"));
            let reason = first.map_or(reason.to_owned(), |first| format!("{reason}: {first}"));
            Problem { reason, details: Some(process::first_lines(&said, LINES)) }
        }
    }
}

/// Returns a name of plain characters for a folder, in which a package can lie.
fn plain(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' };
    let name: String = name.chars().take(60).map(plain).collect();
    if name.is_empty() || ["target", "guest-rt"].contains(&name.as_str()) { format!("{name}_") } else { name }
}
