//! Files and paths of Unix.

use std::{
    ffi::OsString,
    fs::{File, Metadata, OpenOptions, Permissions},
    io::{self, Write},
    os::{
        fd::AsFd,
        unix::{
            ffi::OsStringExt,
            fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
        },
    },
    path::{Path, PathBuf},
};

/// Makes the opening of a pipe without a writer not wait for one.
pub(crate) fn without_waiting(options: &mut OpenOptions) -> &mut OpenOptions {
    options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
}

/// The identity of an existing file or folder, whatever its names: device and inode.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity(u64, u64);

impl Identity {
    /// Returns the identity of the file with this metadata.
    pub(crate) fn of(_path: &Path, metadata: &Metadata) -> Option<Self> {
        Some(Self(metadata.dev(), metadata.ino()))
    }
}

/// Returns the files that the process has open from its beginning, each with a name for people.
pub(crate) fn of_process() -> Vec<(&'static str, PathBuf)> {
    let program = std::env::current_exe().map(|path| ("this program", path));
    let outputs = [("standard output", "/dev/stdout"), ("standard error", "/dev/stderr")];
    program.into_iter().chain(outputs.map(|(what, path)| (what, path.into()))).collect()
}

/// Gives a new file the mode of an earlier one, and its owner if that is allowed.
pub(crate) fn be_like(file: &File, before: &Metadata) -> io::Result<()> {
    let now = file.metadata()?;
    if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
        // A user who may write to another's file may not be allowed to create one for that owner.
        let _ = fchown(file, Some(before.uid()), Some(before.gid()));
    }
    file.set_permissions(Permissions::from_mode(before.mode() & 0o777))
}

/// Returns the path of these bytes.
pub fn path_of_bytes(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

/// Returns a writer to standard output that makes one system call for each write. The buffer of `io::Stdout` retries an
/// interrupted write forever.
///
/// # Errors
///
/// Standard output is closed.
pub fn standard_output() -> io::Result<Box<dyn Write + Send>> {
    let file = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(Box::new(File::from(file)))
}
