//! A clerk: a process that writes one file, for one that may open none any more.
//!
//! It is made while files may still be opened, and makes the file when the first bytes come: a file of which
//! nothing came is not there. What comes is copied; nothing else is to be had from it.

use std::{
    ffi::{CStr, CString, c_int},
    fs::File,
    io::{self, Write},
    mem::MaybeUninit,
    ops::RangeInclusive,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    ptr,
};

/// A clerk, and the file that it writes.
pub struct Clerk {
    process: libc::pid_t,
    /// Where its input comes from; with the end of that it ends.
    line: Option<File>,
}

impl Clerk {
    /// Hires one, to write this file, or to write it anew.
    ///
    /// # Errors
    ///
    /// The system gave no pipe or no process, or it is no file's path.
    pub fn hire(path: &Path) -> io::Result<Self> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let (reader, writer) = io::pipe()?;
        let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
        // SAFETY: the child does nothing but call the system, and never returns.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => serve(reader.as_raw_fd(), writer.as_raw_fd(), &path),
            process => Ok(Self { process, line: Some(File::from(writer)) }),
        }
    }

    /// Waits until all is written.
    ///
    /// # Errors
    ///
    /// The file could not be written.
    pub fn dismiss(mut self) -> io::Result<()> {
        match self.end() {
            None | Some(0) => Ok(()),
            Some(error) => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Ends its life, if that is still to be done; returns the status.
    fn end(&mut self) -> Option<c_int> {
        // Its input ends.
        self.line.take()?;
        let mut status = 0;
        loop {
            // SAFETY: it is our child, which nobody else waits for, and the pointer is to a number.
            let outcome = unsafe { libc::waitpid(self.process, &raw mut status, 0) };
            if outcome == self.process {
                return Some(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { libc::EIO });
            }
            if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                return Some(libc::ECHILD);
            }
        }
    }
}

impl Write for Clerk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.as_mut().map_or(Err(io::ErrorKind::BrokenPipe.into()), |line| line.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        self.end();
    }
}

/// The clerk's life: it takes no signals, has no file open but its input, and ends with that. Its status is
/// the number of the error that kept it from writing.
///
/// It is the copy of one thread of a process that may have several: so there is nothing here that allocates
/// or takes a lock.
fn serve(input: c_int, others: c_int, path: &CStr) -> ! {
    deafen();
    close(others..=others);
    close(0..=input - 1);
    close(input + 1..=c_int::MAX);
    let mut buffer = [0; 4096];
    let mut file = None;
    let status = loop {
        // SAFETY: the pointer and the length are the buffer's.
        let len = unsafe { libc::read(input, buffer.as_mut_ptr().cast(), buffer.len()) };
        let outcome = match usize::try_from(len) {
            Ok(0) => break 0,
            Ok(len) => open_once(&mut file, path).and_then(|file| write_all(file, &buffer[..len])),
            Err(_) => Err(errno()),
        };
        if let Err(error) = outcome {
            break error;
        }
    };
    // SAFETY: it has no preconditions, and runs nothing of the parent's.
    unsafe { libc::_exit(status) }
}

fn deafen() {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the pointer is to a set.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: the set has been filled.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, all.as_ptr(), ptr::null_mut()) };
}

/// Closes a range of files. A kernel that cannot (before 5.9) leaves them open for as long as the clerk lives.
fn close(files: RangeInclusive<c_int>) {
    if files.start() == files.end() {
        // SAFETY: the file is this process's copy, which nobody uses.
        unsafe { libc::close(*files.start()) };
    } else if !files.is_empty() {
        // SAFETY: likewise.
        unsafe { libc::syscall(libc::SYS_close_range, *files.start(), *files.end(), 0) };
    }
}

fn open_once(file: &mut Option<c_int>, path: &CStr) -> Result<c_int, c_int> {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC;
    let mode: libc::c_uint = 0o666;
    let open = || {
        // SAFETY: the path ends with a NUL.
        match unsafe { libc::open(path.as_ptr(), flags, mode) } {
            -1 => Err(errno()),
            file => Ok(file),
        }
    };
    match *file {
        Some(file) => Ok(file),
        None => open().inspect(|opened| *file = Some(*opened)),
    }
}

fn write_all(file: c_int, mut bytes: &[u8]) -> Result<(), c_int> {
    while !bytes.is_empty() {
        // SAFETY: the pointer and the length are the slice's.
        let len = unsafe { libc::write(file, bytes.as_ptr().cast(), bytes.len()) };
        bytes = &bytes[usize::try_from(len).map_err(|_| errno())?..];
    }
    Ok(())
}

/// The number of the last call's error.
fn errno() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_there_when_something_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        drop(Clerk::hire(&path).expect("a clerk"));
        assert!(!path.exists());
        let mut clerk = Clerk::hire(&path).expect("a clerk");
        let text = vec![b'x'; 100_000];
        clerk.write_all(&text).expect("a line to the clerk");
        clerk.dismiss().expect("written");
        assert_eq!(fs::read(&path).expect("a file"), text);
    }

    #[test]
    fn why_a_file_cannot_be_written_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut clerk = Clerk::hire(folder.path()).expect("a clerk");
        clerk.write_all(b"x").expect("a line to the clerk");
        assert_eq!(clerk.dismiss().expect_err("a folder").kind(), io::ErrorKind::IsADirectory);
    }
}
