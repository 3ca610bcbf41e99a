//! What goes into the nested machine's archive: each path once, folders before what is in them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::Error;

use super::cpio::Archive;

/// The machine's files, by their absolute paths there; folders come about by what is in them.
#[derive(Debug, Default)]
pub(crate) struct Contents(BTreeMap<PathBuf, Item>);

#[derive(Debug)]
enum Item {
    Folder,
    Text(String),
    CopyOf(PathBuf),
}

impl Contents {
    /// Nothing yet.
    pub(crate) fn new() -> Contents {
        Contents::default()
    }

    /// Adds a folder.
    pub(crate) fn folder(&mut self, path: impl AsRef<Path>) -> &mut Contents {
        self.add(path.as_ref(), Item::Folder)
    }

    /// Adds a file with this text.
    pub(crate) fn text(&mut self, path: impl AsRef<Path>, text: &str) -> &mut Contents {
        self.add(path.as_ref(), Item::Text(text.to_owned()))
    }

    /// Adds a copy of a file.
    pub(crate) fn file(&mut self, path: impl AsRef<Path>, original: &Path) -> &mut Contents {
        self.add(path.as_ref(), Item::CopyOf(original.to_path_buf()))
    }

    /// Adds copies of all files below a folder, at the places they have here.
    pub(crate) fn tree(&mut self, folder: &Path) -> Result<(), Error> {
        for entry in fs::read_dir(folder).map_err(Error::file("read", folder))? {
            let path = entry.map_err(Error::file("read", folder))?.path();
            if path.is_dir() {
                self.tree(&path)?;
            } else {
                self.file(&path, &path);
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, item: Item) -> &mut Contents {
        for folder in path.ancestors().skip(1) {
            self.0.entry(folder.to_path_buf()).or_insert(Item::Folder);
        }
        self.0.insert(path.to_path_buf(), item);
        self
    }

    /// Writes the archive. `name` is its file, for errors.
    pub(crate) fn pack(&self, to: impl Write, name: &Path) -> Result<(), Error> {
        let mut archive = Archive::new(to);
        // A path sorts before the paths below it.
        for (path, item) in &self.0 {
            let Ok(path) = path.strip_prefix("/") else { continue };
            if path != Path::new("") {
                item.pack(path.as_os_str().as_bytes(), &mut archive, name)?;
            }
        }
        archive.finish().map(drop).map_err(Error::file("write", name))
    }
}

impl Item {
    fn pack<W: Write>(&self, path: &[u8], archive: &mut Archive<W>, name: &Path) -> Result<(), Error> {
        let packed = match self {
            Item::Folder => archive.folder(path),
            Item::Text(text) => archive.file(path, text.len() as u64, text.as_bytes()),
            Item::CopyOf(original) => {
                let (size, file) = open(original).map_err(Error::file("read", original))?;
                archive.file(path, size, file)
            }
        };
        packed.map_err(Error::file("write", name))
    }
}

fn open(path: &Path) -> io::Result<(u64, File)> {
    let file = File::open(path)?;
    Ok((file.metadata()?.len(), file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(contents: &Contents) -> String {
        let mut bytes = Vec::new();
        contents.pack(&mut bytes, Path::new("x")).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn folders_come_about_once_and_before_what_is_in_them() {
        let mut contents = Contents::new();
        contents.text("/a/b/two", "2").text("/a/b/one", "1").text("/a-b", "3");
        let packed = packed(&contents);
        let at = |path: &str| {
            assert_eq!(packed.matches(&format!("{path}\0")).count(), 1, "{path}");
            packed.find(&format!("{path}\0")).unwrap()
        };
        assert!(at("a/b") < at("a/b/one") && at("a/b/one") < at("a/b/two"));
    }

    #[test]
    fn a_tree_keeps_its_places() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("images")).unwrap();
        fs::write(folder.path().join("images/a.c"), "int a;").unwrap();
        let mut contents = Contents::new();
        contents.tree(folder.path()).unwrap();
        let place = folder.path().join("images/a.c");
        let place = place.strip_prefix("/").unwrap().display();
        assert!(packed(&contents).contains(&format!("{place}\0")));
    }

    #[test]
    fn a_file_that_is_gone_is_named() {
        let mut contents = Contents::new();
        contents.file("/a", Path::new("/no/such/file"));
        let error = contents.pack(Vec::new(), Path::new("x")).unwrap_err();
        assert!(error.to_string().contains("cannot read /no/such/file"), "{error}");
    }
}
