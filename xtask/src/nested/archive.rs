//! What goes into the nested machine's archive: each path once, folders before what is in them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::Error;

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

/// Types and permissions, as `stat` has them.
const FOLDER: u32 = 0o040_755;
const EXECUTABLE: u32 = 0o100_755;

/// Marks the end.
const TRAILER: &[u8] = b"TRAILER!!!";

/// An archive that is being written; the paths in it have no leading slash.
#[derive(Debug)]
pub(crate) struct Archive<W> {
    to: W,
    entries: u32,
}

impl<W: Write> Archive<W> {
    /// Begins an archive.
    pub(crate) fn new(to: W) -> Archive<W> {
        Archive { to, entries: 0 }
    }

    /// Adds a folder, which must come before what is in it.
    pub(crate) fn folder(&mut self, path: &[u8]) -> io::Result<()> {
        self.entry(path, FOLDER, 0)
    }

    /// Adds a file, which anybody may run, of `size` bytes.
    pub(crate) fn file(&mut self, path: &[u8], size: u64, contents: impl Read) -> io::Result<()> {
        let size = u32::try_from(size).map_err(|_| io::Error::other("it is bigger than 4 GiB"))?;
        self.entry(path, EXECUTABLE, size)?;
        let copied = io::copy(&mut contents.take(size.into()), &mut self.to)?;
        if copied < size.into() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.pad(size as usize)
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.entry(TRAILER, 0, 0)?;
        self.to.flush()?;
        Ok(self.to)
    }

    /// Writes a header: a magic number, then thirteen numbers of eight hexadecimal digits each.
    fn entry(&mut self, path: &[u8], mode: u32, size: u32) -> io::Result<()> {
        self.entries += 1;
        let length = u32::try_from(path.len() + 1).map_err(io::Error::other)?;
        let (inode, links) = (self.entries, 1);
        // Inode, mode, user, group, links, time, size; major and minor number of the device it is
        // on, and of the device it is; the length of the path with its NUL; a checksum unused.
        let numbers = [inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, length, 0];
        write!(self.to, "070701")?;
        numbers.iter().try_for_each(|number| write!(self.to, "{number:08X}"))?;
        self.to.write_all(path)?;
        self.to.write_all(&[0])?;
        self.pad(6 + 8 * numbers.len() + path.len() + 1)
    }

    /// Headers and contents each end at a multiple of four.
    fn pad(&mut self, written: usize) -> io::Result<()> {
        self.to.write_all(&[0; 3][..written.next_multiple_of(4) - written])
    }
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

#[cfg(test)]
mod cpio_tests {
    use super::*;

    fn archive() -> Vec<u8> {
        let mut archive = Archive::new(Vec::new());
        archive.folder(b"bin").unwrap();
        archive.file(b"bin/sh", 5, &b"hello"[..]).unwrap();
        archive.finish().unwrap()
    }

    #[test]
    fn an_entry_is_a_header_a_path_and_the_contents_each_padded() {
        let header = "0707010000000100 0041ED0000000000 0000000000000100 0000000000000000 \
                      0000000000000000 0000000000000000 0000040000 0000"
            .replace(' ', "");
        let archive = archive();
        assert_eq!(archive.len() % 4, 0);
        assert_eq!(header.len(), 110);
        assert_eq!(&archive[..110], header.as_bytes());
        assert_eq!(&archive[110..116], b"bin\0\0\0");
        assert_eq!(&archive[116..122], b"070701");
        assert_eq!(&archive[116 + 110..116 + 120], b"bin/sh\0\0\0\0");
        assert!(archive.windows(9).any(|it| it == b"hello\0\0\x000"));
    }

    #[test]
    fn it_ends_with_the_trailer() {
        assert!(archive().ends_with(b"TRAILER!!!\0\0\0\0"));
    }

    #[test]
    fn a_file_that_is_shorter_than_announced_is_an_error() {
        let error = Archive::new(Vec::new()).file(b"x", 5, &b"hell"[..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
