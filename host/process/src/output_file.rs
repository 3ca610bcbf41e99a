//! The files that commands leave: a recording, a page, a trace, a picture.
//!
//! Each is written beside its name, as `NAME.part`, and gets its name when it is whole. So a command that fails or
//! is killed leaves the user's earlier file of that name as it was. A `Clerk` does the renaming, because a
//! process that runs guests may not.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::{self, File, Metadata, Permissions},
    io::{self, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    },
    path::{Path, PathBuf},
};

use crate::{
    lab::error::Error,
    process::{clerk::Clerk, files},
};

/// The end of the name under which a file is written.
const PART: &str = ".part";

/// The most bytes of a file's name that are kept in front of [`PART`]: file systems take 255.
const LONGEST_STEM: usize = 240;

/// The number of names for a file's beginning that are tried.
const MOST_PARTS: u32 = 1000;

/// The most symbolic links that are followed, as the kernel has it.
const MOST_LINKS: u32 = 40;

/// A file that a command is to leave. Dropping it discards it.
pub struct OutputFile {
    file: File,
    part: PathBuf,
    clerk: Clerk,
    form: Form,
    /// Whether something was written.
    is_begun: bool,
}

/// What a file is worth before it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Nothing: it is written at once.
    Whole,
    /// As much as there is of it: it is written while a run goes on.
    Stream,
}

impl OutputFile {
    /// Begins a file that is of use as a whole only. If this process is killed nothing of it is left.
    ///
    /// # Errors
    ///
    /// It cannot be written; or something else than a regular file has its name.
    pub fn whole(path: &Path) -> io::Result<Self> {
        Self::create(path, Form::Whole, MOST_PARTS)
    }

    /// Begins a file of which every line counts. Its first bytes give it its name at once where no file has that.
    /// If this process is killed the file is left, as `NAME.part` where it was to replace another.
    ///
    /// # Errors
    ///
    /// As [`whole`](Self::whole).
    pub fn stream(path: &Path) -> io::Result<Self> {
        Self::create(path, Form::Stream, MOST_PARTS)
    }

    /// Begins a file as [`whole`](Self::whole) does, unless another process is at the same file.
    ///
    /// # Errors
    ///
    /// As [`whole`](Self::whole); [`io::ErrorKind::AlreadyExists`] if another process is at it.
    pub fn alone(path: &Path) -> io::Result<Self> {
        Self::create(path, Form::Whole, 1)
    }

    fn create(path: &Path, form: Form, parts: u32) -> io::Result<Self> {
        // Before links are followed: /dev/stdout, for example, is one to a name that no file has.
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(files::not_regular());
        }
        let path = target(path)?;
        let before = before(&path)?;
        let (file, part) = create_beside(&path, parts)?;
        let clerk = before
            .map_or(Ok(()), |before| be_like(&file, &before))
            .and_then(|()| Clerk::hire(&part, &path))
            .inspect_err(|_| drop(fs::remove_file(&part)))?;
        Ok(Self { file, part, clerk, form, is_begun: false })
    }

    /// Writes all of the file, and gives it its name.
    ///
    /// # Errors
    ///
    /// As for [`write_all`](Write::write_all), and [`place`](Self::place).
    pub fn write_and_place(mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)?;
        self.place()
    }

    /// Gives the file its name, now that it is whole.
    ///
    /// # Errors
    ///
    /// It cannot be renamed; it is left under the name that it has, which the error says.
    pub fn place(self) -> io::Result<()> {
        let Self { clerk, part, .. } = self;
        clerk.place().map_err(|source| {
            io::Error::new(source.kind(), format!("{source}; what was to be there is in {}", part.display()))
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

/// The file that a name stands for: symbolic links are followed, also to what is not there yet.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(link) => path = folder(&path).join(link),
            Err(_) if path.as_os_str().as_bytes().ends_with(b"/") => {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::from_raw_os_error(libc::ELOOP))
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// What a file is before it is replaced, if it is there. It must be one that could be written to.
fn before(path: &Path) -> io::Result<Option<Metadata>> {
    // Before it is opened: to open a device can do something.
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(files::not_regular()),
        Ok(_) => {
            let file =
                File::options().write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
            file.metadata().map(Some)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates a file beside one that is to be, under one of so many names.
fn create_beside(path: &Path, parts: u32) -> io::Result<(File, PathBuf)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.as_bytes();
    let stem = OsStr::from_bytes(&name[..name.len().min(LONGEST_STEM)]);
    for number in 1..=parts {
        let mut name = OsString::from(stem);
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

/// Gives a new file the mode of an earlier one, and its owner where that is allowed.
fn be_like(file: &File, before: &Metadata) -> io::Result<()> {
    let now = file.metadata()?;
    if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
        // Who may write to a file of another's need not be allowed to make one.
        let _ = fchown(file, Some(before.uid()), Some(before.gid()));
    }
    file.set_permissions(Permissions::from_mode(before.mode() & 0o777))
}

/// A file that a command reads or leaves, with what the user calls it.
#[derive(Clone, Debug)]
pub struct Named {
    /// Such as `--report`.
    pub what: String,
    /// The file.
    pub path: PathBuf,
}

impl Named {
    /// A file that a command reads or leaves.
    pub fn new(what: impl Into<String>, path: &Path) -> Self {
        Self { what: what.into(), path: path.into() }
    }
}

/// Refuses to leave a file in the place of one that is read, or two files of one name.
///
/// # Errors
///
/// [`Error::Usage`] names both.
pub fn check_distinct(inputs: Vec<Named>, outputs: Vec<Named>) -> Result<(), Error> {
    let of_process = [("standard output", "/dev/stdout"), ("standard error", "/dev/stderr")];
    let of_process = of_process.map(|(what, path)| Named::new(what, Path::new(path)));
    let program = Named::new("this program", Path::new("/proc/self/exe"));
    let mut taken: BTreeMap<Identity, Named> = BTreeMap::new();
    for named in inputs.into_iter().chain([program]).chain(of_process) {
        identity(&named.path).map(|identity| taken.entry(identity).or_insert(named));
    }
    for named in outputs {
        let Some(identity) = identity(&named.path) else { continue };
        if let Some(other) = taken.get(&identity) {
            let (path, what, other) = (named.path.display(), &named.what, &other.what);
            return Err(Error::Usage(format!(
                "{path}: {what} would take the place of {other}; name another file for {what}"
            )));
        }
        taken.insert(identity, named);
    }
    Ok(())
}

/// What tells a regular file from all others, whatever its names.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identity {
    /// One that is there, by device and inode.
    Old(u64, u64),
    /// One that is not there yet: its folder's device and inode, and its name.
    New(u64, u64, OsString),
}

fn identity(path: &Path) -> Option<Identity> {
    if let Ok(metadata) = fs::metadata(path) {
        return metadata.is_file().then(|| Identity::Old(metadata.dev(), metadata.ino()));
    }
    let path = target(path).ok()?;
    let folder = fs::metadata(Path::new(".").join(folder(&path))).ok()?;
    Some(Identity::New(folder.dev(), folder.ino(), path.file_name()?.to_owned()))
}

#[cfg(test)]
mod tests;
