//! The place of a new package: a folder in Guestlab's own, or any other.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::error::Error;

/// The place of a new package.
#[derive(Debug)]
pub(super) struct Place {
    /// The folder that contains the package's.
    pub(super) parent: PathBuf,
    /// The name of the package and of its folder.
    pub(super) name: String,
    /// The package's folder as it was typed, if the package is not a member of Guestlab's workspace.
    pub(super) elsewhere: Option<String>,
}

impl Place {
    /// Reads a name, which is that of a folder in `root`, or a path.
    pub(super) fn parse(root: &Path, typed: &str) -> Result<Place, Error> {
        let path = Path::new(typed);
        let is_name = !typed.contains('/') && !matches!(typed, "" | "." | "..");
        let member = |name: &str| Place { parent: root.into(), name: name.into(), elsewhere: None };
        if is_name {
            return Ok(member(typed));
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
        else {
            return Err(Error::bad_input(format_args!(
                "{typed:?} does not end with the name of a new folder: cargo xtask new PATH/NAME"
            )));
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        match canonical(parent) == canonical(root) {
            true => Ok(member(name)),
            false => {
                let typed = typed.trim_end_matches('/');
                Ok(Place { parent: parent.into(), name: name.into(), elsewhere: Some(typed.into()) })
            }
        }
    }

    /// Returns a folder of another name beside this one.
    pub(super) fn renamed(&self, name: &str) -> Place {
        let elsewhere =
            self.elsewhere.as_ref().map(|_| self.parent.join(name).to_string_lossy().into_owned());
        Place { parent: self.parent.clone(), name: name.into(), elsewhere }
    }

    /// Returns the folder as it is shown.
    pub(super) fn shown(&self) -> &str {
        self.elsewhere.as_deref().unwrap_or(&self.name)
    }
}

/// Returns the path from the folder `from` to `to`; without a common folder the path of `to` itself.
pub(super) fn path_between(from: &Path, to: &Path) -> PathBuf {
    let (from, to) = (canonical(from), canonical(to));
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    if from.components().take(common).all(|it| it == Component::RootDir) {
        return to;
    }
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    up.chain(to.components().skip(common)).collect()
}

/// A path without links and without `..`, as far as it exists.
fn canonical(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let existing = path.ancestors().find_map(|it| Some((it, fs::canonicalize(it).ok()?)));
    existing.map_or_else(
        || path.clone(),
        |(it, real)| path.strip_prefix(it).map_or_else(|_| path.clone(), |rest| real.join(rest)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(typed: &str) -> Option<(String, Option<String>)> {
        let place = Place::parse(Path::new("/"), typed).ok()?;
        Some((place.name, place.elsewhere))
    }

    #[test]
    fn a_name_is_a_folder_here_and_a_path_is_elsewhere() {
        let here = |name: &str| Some((name.to_owned(), None));
        let elsewhere = |name: &str, typed: &str| Some((name.to_owned(), Some(typed.to_owned())));
        assert_eq!(parse("demo"), here("demo"));
        assert_eq!(parse("/demo"), here("demo"));
        assert_eq!(parse("/usr/../demo/"), here("demo"));
        assert_eq!(parse("/usr/demo/"), elsewhere("demo", "/usr/demo"));
        assert_eq!(parse("../demo"), elsewhere("demo", "../demo"));
        for typed in ["", ".", "..", "/", "../.."] {
            assert_eq!(parse(typed), None, "{typed}");
        }
    }

    #[test]
    fn the_path_from_a_folder_that_is_not_there_yet_is_right() {
        let folder = tempfile::tempdir().unwrap();
        let guestlab = folder.path().join("guestlab");
        fs::create_dir(&guestlab).unwrap();
        assert_eq!(path_between(&guestlab.join("../demo"), &guestlab), Path::new("../guestlab"));
        assert_eq!(path_between(&guestlab.join("../labs/demo"), &guestlab), Path::new("../../guestlab"));
    }

    #[test]
    fn a_path_between_folders_is_relative_where_they_have_one_in_common() {
        let between = |from, to| path_between(Path::new(from), Path::new(to));
        assert_eq!(between("/home/me/work/demo", "/home/me/guestlab"), Path::new("../../guestlab"));
        assert_eq!(between("/home/me/guestlab/labs/demo", "/home/me/guestlab"), Path::new("../.."));
        assert_eq!(between("/tmp/demo", "/home/me/guestlab"), Path::new("/home/me/guestlab"));
    }
}
