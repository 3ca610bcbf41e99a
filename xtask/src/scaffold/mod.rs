//! New packages: guests in a folder at the workspace's root, which the workspace finds by itself; and guests and
//! hypervisors in any other folder.

mod name;
mod place;
mod template;

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) use template::{CRATES, FIRST as HELLO, Template, c_package};

use place::{Place, path_between};
use template::Package;

use crate::base::files::create_folder;
use crate::{error::Error, workspace::Workspace};

#[derive(Debug)]
pub(crate) struct Scaffold {
    /// The folder, as it is shown.
    pub(crate) folder: String,
    pub(crate) files: Vec<PathBuf>,
    /// The command that runs it.
    pub(crate) run: String,
}

impl Scaffold {
    /// Makes a package at a path, or with a name in the workspace's folder. A bad name is refused before anything is
    /// written.
    pub(crate) fn create(workspace: &Workspace, typed: &str, template: Template) -> Result<Scaffold, Error> {
        let place = Place::parse(&workspace.root, typed)?;
        name::check(workspace, &place)?;
        if template == Template::Host && place.elsewhere.is_none() {
            return Err(Error::bad_input(format_args!(
                "a hypervisor of your own is not a part of Guestlab: make it in another folder\n\
                 nothing was written: cargo xtask new ../{} --template host",
                place.name
            )));
        }
        create_folder(&place.parent)?;
        let package = package(workspace, &place);
        let mut files = template.files(&package);
        if place.elsewhere.is_some() {
            files.extend(elsewhere(workspace)?);
        }
        write(&place.parent, &place.name, &files)?;
        let folder = place.shown().to_owned();
        let files = files.into_iter().map(|(path, _)| Path::new(&folder).join(path)).collect();
        Ok(Scaffold { run: template.run(&package), folder, files })
    }
}

fn package<'a>(workspace: &Workspace, place: &'a Place) -> Package<'a> {
    let guestlab = || path_between(&place.parent.join(&place.name), &workspace.root);
    let elsewhere = place.elsewhere.as_deref().map(|typed| (typed, guestlab()));
    Package { name: &place.name, elsewhere }
}

/// The files of a package that is a workspace of its own. With the versions of this lock file, and with this compiler,
/// nothing has to be downloaded.
fn elsewhere(workspace: &Workspace) -> Result<Vec<(PathBuf, String)>, Error> {
    let copy = |name: &str| {
        let path = workspace.root.join(name);
        match path.exists() {
            true => fs::read_to_string(&path)
                .map_err(Error::file("read", &path))
                .map(|text| Some((name.into(), text))),
            false => Ok(None),
        }
    };
    let copies = [copy("Cargo.lock")?, copy("rust-toolchain.toml")?];
    let ignored = (".gitignore".into(), "/target\n".into());
    Ok(copies.into_iter().flatten().chain([ignored]).collect())
}

/// Writes all files or none: they are written into a folder that is no member of the workspace, and moved in one step.
fn write(root: &Path, name: &str, files: &[(PathBuf, String)]) -> Result<(), Error> {
    let aside = root.join(format!(".new-{name}-{}", std::process::id()));
    let written = write_files(&aside.join(name), files).and_then(|()| {
        let folder = root.join(name);
        fs::rename(aside.join(name), &folder).map_err(Error::file("make", &folder))
    });
    let removed = fs::remove_dir_all(&aside).map_err(Error::file("remove", &aside));
    written.and(removed)
}

fn write_files(folder: &Path, files: &[(PathBuf, String)]) -> Result<(), Error> {
    for (path, text) in files {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(Error::file("make", parent))?;
        fs::write(&path, text).map_err(Error::file("write", &path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
