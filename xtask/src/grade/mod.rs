//! Grading a class: finds the submissions in a folder, builds those with sources in a sandbox, and lists their images for
//! `guestlab grade`, which judges them.
//!
//! A submission is a stranger's program. Its build script, its macros and its manifest are read and run in the sandbox only.

mod build;
mod package;
mod problem;
mod sandbox;
mod submission;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::base::files;
use crate::base::output::note;
use crate::guests::Mode;
use crate::toolchain::Toolchain;
use crate::{error::Error, workspace::Workspace};
use build::Builder;
use problem::Problem;
use sandbox::Sandbox;
use submission::Submission;

pub(crate) use submission::Role;

/// What to prepare, and how.
#[derive(Debug)]
pub(crate) struct Options<'a> {
    /// The folder of the submissions.
    pub(crate) folder: &'a Path,
    /// The folder for the grades.
    pub(crate) out: &'a Path,
    /// The side of guests whose names do not tell it.
    pub(crate) role: Option<Role>,
    pub(crate) mode: Mode,
    /// The time that the build of one guest may take.
    pub(crate) limit: Duration,
}

/// A line of the list.
#[derive(Debug, Default, Serialize)]
struct Line {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<String>,
}

/// Prepares a class, and returns the list of its submissions. A submission with a problem is a line of the list, too.
pub(crate) fn prepare(
    workspace: &Workspace,
    toolchain: &Toolchain,
    options: &Options<'_>,
) -> Result<PathBuf, Error> {
    let submissions = submission::find(options.folder)?;
    files::create_folder(options.out)?;
    let sandbox = Sandbox::find(workspace, toolchain, options.mode)?;
    if let Err(reason) = &sandbox {
        note(format_args!("sources are not built, images only are graded: {reason}"));
    }
    let out = &files::absolute(options.out)?;
    let mut builder = Builder {
        seed: None,
        workspace,
        toolchain,
        sandbox: &sandbox,
        out,
        mode: options.mode,
        limit: options.limit,
    };
    builder.sow(&submissions)?;
    let mut lines = String::new();
    for (number, submission) in (1..).zip(&submissions) {
        for line in lines_of(number, submission, options.role, &builder)? {
            lines += &serde_json::to_string(&line).map_err(Error::bug)?;
            lines.push('\n');
        }
    }
    builder.clear()?;
    let list = options.out.join("submissions.jsonl");
    files::replace(&list, lines.as_bytes())?;
    Ok(list)
}

/// The lines of a submission: one for each of its guests, or for its problem.
fn lines_of(
    number: usize,
    submission: &Submission,
    role: Option<Role>,
    builder: &Builder<'_>,
) -> Result<Vec<Line>, Error> {
    let has_sandbox = builder.sandbox.is_ok();
    let guests = submission::choose(&submission.guests, has_sandbox);
    if guests.is_empty() {
        let problem = submission.problem.clone().unwrap_or_else(|| {
            "there is nothing to grade: no image, no package with a Cargo.toml, no C file".into()
        });
        return Ok(vec![Line { name: submission.name.clone(), problem: Some(problem), ..Line::default() }]);
    }
    let images = builder.images(number, submission, &guests)?;
    let roles: Vec<Option<Role>> = guests.iter().map(|guest| guest.role.or(role)).collect();
    let lines = guests.iter().zip(images).zip(&roles).map(|((guest, image), role)| {
        let is_alone = roles.iter().filter(|other| *other == role).count() == 1;
        let name = match is_alone {
            true => submission.name.clone(),
            false => format!("{}/{}", submission.name, guest.name),
        };
        line(name, *role, image)
    });
    Ok(lines.collect())
}

fn line(name: String, role: Option<Role>, image: Result<PathBuf, Problem>) -> Line {
    let line = Line { name, role: role.map(Role::name), ..Line::default() };
    match (image, role) {
        (Err(problem), _) => Line { problem: Some(problem.reason), details: problem.details, ..line },
        (Ok(_), None) => Line {
            problem: Some(
                "no name in it says producer or consumer; --role says the side of all such guests".into(),
            ),
            ..line
        },
        (Ok(image), Some(_)) => Line { image: Some(image), ..line },
    }
}
