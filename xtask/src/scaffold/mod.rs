//! New guests: a folder at the workspace's root, which the workspace finds by itself.

mod name;
mod template;

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) use template::Template;

use crate::{error::Error, workspace::Workspace};

#[derive(Debug)]
pub(crate) struct Scaffold {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) run: String,
}

impl Scaffold {
    /// Makes a guest. A bad name is refused before anything is written.
    pub(crate) fn create(workspace: &Workspace, name: &str, template: Template) -> Result<Scaffold, Error> {
        name::check(workspace, name)?;
        let files = template.files(name);
        write(&workspace.root, name, &files)?;
        let files = files.into_iter().map(|(path, _)| Path::new(name).join(path)).collect();
        Ok(Scaffold { files, run: template.run(name) })
    }
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
