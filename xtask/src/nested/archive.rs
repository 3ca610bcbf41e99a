//! The archive with all files of the nested machine, in cpio's format, which Linux unpacks at boot.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use cpio::newc::{Builder, trailer};

use crate::error::Error;

const FOLDER: u32 = 0o040_755;
const EXECUTABLE: u32 = 0o100_755;

/// The files of the machine, by their absolute paths there, with the folders around them.
#[derive(Debug, Default)]
pub(crate) struct Contents(BTreeMap<PathBuf, Item>);

/// A folder, a text, or a copy of a file.
#[derive(Debug)]
pub(crate) enum Item {
    Folder,
    Text(String),
    CopyOf(PathBuf),
}

impl Contents {
    /// Adds copies of all files below a folder, at their own paths.
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

    pub(crate) fn file(&mut self, path: &Path, original: &Path) {
        self.add(path, Item::CopyOf(original.to_path_buf()));
    }

    /// Adds an item, and the folders around it.
    pub(crate) fn add(&mut self, path: &Path, item: Item) {
        for folder in path.ancestors().skip(1).filter(|folder| folder.parent().is_some()) {
            self.0.entry(folder.to_path_buf()).or_insert(Item::Folder);
        }
        self.0.insert(path.to_path_buf(), item);
    }

    /// Writes the archive. `name` is its file, for errors.
    pub(crate) fn pack(&self, mut to: impl Write, name: &Path) -> Result<(), Error> {
        // A path sorts before the paths below it.
        for ((path, item), number) in self.0.iter().zip(1..) {
            let path = path.to_string_lossy();
            let entry = Builder::new(path.trim_start_matches('/')).ino(number);
            let packed = match item {
                Item::Folder => entry.mode(FOLDER).write(&mut to, 0).finish().map(drop),
                Item::Text(text) => pack_file(entry, text.len() as u64, text.as_bytes(), &mut to),
                Item::CopyOf(original) => {
                    let (size, file) = open(original).map_err(Error::file("read", original))?;
                    pack_file(entry, size, file, &mut to)
                }
            };
            packed.map_err(Error::file("write", name))?;
        }
        trailer(to).and_then(|mut to| to.flush()).map_err(Error::file("write", name))
    }
}

fn open(path: &Path) -> io::Result<(u64, File)> {
    let file = File::open(path)?;
    Ok((file.metadata()?.len(), file))
}

fn pack_file(entry: Builder, size: u64, contents: impl Read, to: impl Write) -> io::Result<()> {
    let short_size = u32::try_from(size).map_err(|_| io::Error::other("it is bigger than 4 GiB"))?;
    let mut file = entry.mode(EXECUTABLE).write(to, short_size);
    if io::copy(&mut contents.take(size), &mut file)? < size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    file.finish().map(drop)
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
        let mut contents = Contents::default();
        for path in ["/a/b/two", "/a/b/one", "/a-b"] {
            contents.add(Path::new(path), Item::Text("1".into()));
        }
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
        let mut contents = Contents::default();
        contents.tree(folder.path()).unwrap();
        let place = folder.path().join("images/a.c");
        let place = place.strip_prefix("/").unwrap().display();
        assert!(packed(&contents).contains(&format!("{place}\0")));
    }

    #[test]
    fn a_file_that_is_gone_is_named() {
        let mut contents = Contents::default();
        contents.file(Path::new("/a"), Path::new("/no/such/file"));
        let error = contents.pack(Vec::new(), Path::new("x")).unwrap_err();
        assert!(error.to_string().contains("cannot read /no/such/file"), "{error}");
    }

    #[test]
    fn files_are_executable_padded_and_followed_by_the_trailer() {
        let mut contents = Contents::default();
        contents.add(Path::new("/bin/sh"), Item::Text("hello".into()));
        let packed = packed(&contents);
        assert_eq!(packed.len() % 4, 0);
        assert!(packed.starts_with("07070100000001000041ed") && packed.contains("07070100000002000081ed"));
        assert!(packed.contains("bin/sh\0\0\0\0hello\0\0\x00070701") && packed.contains("TRAILER!!!"));
    }
}
