//! A finished image: its place and its size.

use std::fs;
use std::path::{Path, PathBuf};

use object::{Object, ObjectSegment};

use super::mode::Mode;
use crate::{base::files, base::output::short, error::Error};

#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) path: PathBuf,
    pub(crate) mode: Mode,
    pub(crate) size: Size,
}

#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Size {
    /// The part that the host copies into guest memory.
    pub(crate) loaded: u64,
    /// The occupied guest memory, zeroed memory included.
    pub(crate) memory: u64,
    pub(crate) file: usize,
}

impl Image {
    /// Copies a built file to `path` in one step, if it differs: a host that reads an image sees the old one or the
    /// new one.
    pub(crate) fn place(built: &Path, path: PathBuf, mode: Mode) -> Result<Image, Error> {
        let content = fs::read(built).map_err(Error::file("read", built))?;
        let size = measure(&content).map_err(|reason| {
            Error::bad_input(format_args!(
                "the image {} is not a readable ELF file: {reason}; does its target's JSON file fit?",
                short(built)
            ))
        })?;
        if fs::read(&path).ok().as_deref() != Some(&content) {
            files::replace(&path, &content)?;
        }
        Ok(Image { path, mode, size })
    }
}

/// Adds up the program headers of type `PT_LOAD`, which `object` lists as segments.
fn measure(content: &[u8]) -> object::Result<Size> {
    let elf = object::File::parse(content)?;
    let mut size = Size { loaded: 0, memory: 0, file: content.len() };
    for segment in elf.segments() {
        size.loaded += segment.file_range().1;
        size.memory += segment.size();
    }
    Ok(size)
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kib = |bytes| format!("{:.1} KiB", bytes as f64 / 1024.0);
        let (loaded, memory, file) = (kib(self.loaded), kib(self.memory), kib(self.file as u64));
        write!(f, "{loaded} loaded, {memory} in memory (file {file})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 32-bit ELF file of a header and these program headers: type, file size, memory size.
    fn elf(headers: &[(u32, u32, u32)]) -> Vec<u8> {
        let mut file = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let halves = |values: &[u16]| values.iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<_>>();
        let words = |values: &[u32]| values.iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<_>>();
        let count = u16::try_from(headers.len()).unwrap();
        file.extend(halves(&[2, 3]));
        file.extend(words(&[1, 0x1000, 52, 0, 0]));
        file.extend(halves(&[52, 32, count, 40, 0, 0]));
        for &(kind, in_file, in_memory) in headers {
            file.extend(words(&[kind, 0, 0, 0, in_file, in_memory, 0, 0]));
        }
        file
    }

    #[test]
    fn only_loaded_segments_count() {
        let (load, note) = (1, 4);
        let file = elf(&[(load, 10, 10), (note, 20, 20), (load, 30, 4096)]);
        let expected = Size { loaded: 40, memory: 4106, file: file.len() };
        assert_eq!(measure(&file).unwrap(), expected);
    }

    #[test]
    fn a_file_that_is_not_elf_is_refused() {
        assert!(measure(b"#!/bin/sh").is_err());
    }

    #[test]
    fn an_image_that_is_there_already_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let (built, path) = (folder.path().join("built"), folder.path().join("a.elf"));
        fs::write(&built, elf(&[(1, 1, 1)])).unwrap();
        let modified = || fs::metadata(&path).unwrap().modified().unwrap();
        let place = || Image::place(&built, path.clone(), Mode::Protected).unwrap();
        place();
        let first = modified();
        place();
        assert_eq!(modified(), first);
        fs::write(&built, elf(&[(1, 2, 2)])).unwrap();
        assert_eq!(place().size.loaded, 2);
        assert_eq!(fs::read(&path).unwrap(), fs::read(&built).unwrap());
    }
}
