//! Archives that Linux unpacks at boot: cpio in its "newc" form.

use std::io::{self, Read, Write};

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
