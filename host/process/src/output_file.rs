//! The files that commands write.
//!
//! Each is written as `NAME.part` in the same folder, and is renamed when it is complete. So a command that fails or
//! is killed does not change an earlier file of that name. A clerk (`clerk`) renames it: on Linux a helper process,
//! because a process in the jail may not.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::{self, File, Metadata},
    io::{self, Write},
    path::{Path, PathBuf, is_separator},
};

use crate::{clerk::Clerk, files};

/// The end of a file's name until it is complete.
const PART: &str = ".part";

/// The most bytes of a file's name that are kept in front of [`PART`]: file systems take 255.
const LONGEST_STEM: usize = 240;

/// The number of names that are tried for an incomplete file.
const MOST_PARTS: u32 = 1000;

/// The number of symbolic links that are followed, as in the kernel.
const MOST_LINKS: u32 = 40;

/// A file that a command writes. Dropping it removes it, unless it is complete.
pub struct OutputFile {
    file: File,
    part: PathBuf,
    clerk: Clerk,
    form: Form,
    /// True if something was written.
    is_begun: bool,
}

/// The value of an incomplete file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// None: it is written at once.
    Whole,
    /// Every line: it is written while the work goes on.
    Stream,
}

impl OutputFile {
    /// Begins a file that is useful only when it is complete. If this process is killed, the file is removed.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or the name is that of something else than a regular file.
    pub fn whole(path: &Path) -> io::Result<Self> {
        Self::create(path, Form::Whole, MOST_PARTS)
    }

    /// Begins a file of which every line is useful. It gets its name with the first bytes if no other file has the name.
    /// If this process is killed, the file stays; its name is `NAME.part` if it was to replace another file.
    ///
    /// # Errors
    ///
    /// As [`whole`](Self::whole).
    pub fn stream(path: &Path) -> io::Result<Self> {
        Self::create(path, Form::Stream, MOST_PARTS)
    }

    /// Begins a file as [`whole`](Self::whole) does, unless another process is writing the same file.
    ///
    /// # Errors
    ///
    /// As [`whole`](Self::whole); [`io::ErrorKind::AlreadyExists`] if another process is writing the file.
    pub fn alone(path: &Path) -> io::Result<Self> {
        Self::create(path, Form::Whole, 1)
    }

    fn create(path: &Path, form: Form, parts: u32) -> io::Result<Self> {
        // The check comes before links are followed: /dev/stdout, for example, can lead to a name without a file.
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(files::not_regular());
        }
        let path = target(path)?;
        let before = before(&path)?;
        let (file, part) = create_beside(&path, parts)?;
        let clerk = before
            .map_or(Ok(()), |before| files::be_like(&file, &before))
            .and_then(|()| Clerk::spawn(&part, &path))
            .inspect_err(|_| drop(fs::remove_file(&part)))?;
        Ok(Self { file, part, clerk, form, is_begun: false })
    }

    /// Writes the whole file, and gives it its name.
    ///
    /// # Errors
    ///
    /// As for [`write_all`](Write::write_all) and [`place`](Self::place).
    pub fn write_and_place(mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)?;
        self.place()
    }

    /// Gives the complete file its name.
    ///
    /// # Errors
    ///
    /// The file cannot be renamed. It stays under its present name, which is in the error's text.
    pub fn place(self) -> io::Result<()> {
        let Self { file, clerk, part, .. } = self;
        drop(file);
        clerk.place().map_err(|source| {
            io::Error::new(source.kind(), format!("{source}; the content is in {}", part.display()))
        })
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.file.write(bytes)?;
        if len > 0 && !std::mem::replace(&mut self.is_begun, true) && self.form == Form::Stream {
            self.clerk.keep();
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the path behind symbolic links. The file need not exist.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(link) => path = folder(&path).join(link),
            Err(_) if path.to_string_lossy().ends_with(is_separator) => {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// Returns the metadata of the file that will be replaced, if it exists. It must be writable.
fn before(path: &Path) -> io::Result<Option<Metadata>> {
    // The check comes before the file is opened, because opening a device can have an effect.
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(files::not_regular()),
        Ok(_) => files::without_waiting(File::options().write(true)).open(path)?.metadata().map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates a file in the folder of `path`, under one of `parts` names.
fn create_beside(path: &Path, parts: u32) -> io::Result<(File, PathBuf)> {
    let stem = stem(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    for number in 1..=parts {
        let mut name = stem.clone();
        if number > 1 {
            name.push(format!(".{number}"));
        }
        name.push(PART);
        let part = path.with_file_name(name);
        match File::create_new(&part) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            outcome => return outcome.map(|file| (file, part)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Returns the part of a file's name that is kept.
fn stem(name: &OsStr) -> OsString {
    match name.len() <= LONGEST_STEM {
        true => name.into(),
        false => {
            let name = name.to_string_lossy();
            name[..name.floor_char_boundary(LONGEST_STEM)].into()
        }
    }
}

/// A file that a command reads or writes, with the user's name for it.
#[derive(Clone, Debug)]
pub struct Named {
    /// The option, such as `--report`.
    pub what: String,
    /// The file.
    pub path: PathBuf,
}

impl Named {
    /// Returns a file with the user's name for it.
    pub fn new(what: impl Into<String>, path: &Path) -> Self {
        Self { what: what.into(), path: path.into() }
    }
}

/// Two files of a command are one file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what} would replace {other}; name another file for {what}", path.display())]
pub struct SameFile {
    /// The path of the output.
    path: PathBuf,
    /// The user's name for the output.
    what: String,
    /// The user's name for the other file.
    other: String,
}

/// Checks that no output replaces an input or another output.
///
/// # Errors
///
/// An output is the same file as an input or another output.
pub fn check_distinct(inputs: Vec<Named>, outputs: Vec<Named>) -> Result<(), SameFile> {
    let of_process = files::of_process().into_iter().map(|(what, path)| Named::new(what, &path));
    let mut taken: BTreeMap<Identity, Named> = BTreeMap::new();
    for named in inputs.into_iter().chain(of_process) {
        identity(&named.path).map(|identity| taken.entry(identity).or_insert(named));
    }
    for named in outputs {
        let Some(identity) = identity(&named.path) else { continue };
        if let Some(other) = taken.get(&identity) {
            return Err(SameFile { path: named.path, what: named.what, other: other.what.clone() });
        }
        taken.insert(identity, named);
    }
    Ok(())
}

/// The identity of a regular file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identity {
    /// An existing file.
    Old(files::Identity),
    /// A new file: its folder, and its name.
    New(files::Identity, OsString),
}

fn identity(path: &Path) -> Option<Identity> {
    if let Ok(metadata) = fs::metadata(path) {
        return metadata.is_file().then(|| files::Identity::of(path, &metadata))?.map(Identity::Old);
    }
    let path = target(path).ok()?;
    let folder = Path::new(".").join(folder(&path));
    let folder = files::Identity::of(&folder, &fs::metadata(&folder).ok()?)?;
    Some(Identity::New(folder, path.file_name()?.to_owned()))
}

#[cfg(test)]
mod tests;
