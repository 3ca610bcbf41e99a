//! A clerk: a process that gives one file its name, for one that may rename and remove no file any more.
//!
//! It is forked while that is still allowed, knows two names, and takes orders of one byte. Nothing else is to be
//! had from it. Its input ends when the process that gives the orders has ended, however that was.

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
    ptr, thread,
};

/// A clerk, and the file that it sees to. Dropping it discards the file, unless that has its name already.
pub(crate) struct Clerk {
    process: libc::pid_t,
    /// Where its orders come from.
    line: Option<File>,
}

/// What a clerk can be told.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Order {
    /// The file is worth keeping from now on, whatever happens. It gets its name at once if that is free.
    Keep = b'k',
    /// The file gets its name, and what had it before is gone.
    Place = b'p',
    /// The file is not wanted.
    Discard = b'd',
}

impl Clerk {
    /// Hires one for the file `part`, which is to be called `name`.
    ///
    /// # Errors
    ///
    /// The system gave no pipe or no process, or it is no file's path.
    pub(crate) fn hire(part: &Path, name: &Path) -> io::Result<Self> {
        let part = CString::new(part.as_os_str().as_bytes())?;
        let name = CString::new(name.as_os_str().as_bytes())?;
        let (reader, writer) = io::pipe()?;
        let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
        // SAFETY: the child does nothing but call the system, and never returns.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => serve(reader.as_raw_fd(), writer.as_raw_fd(), &part, &name),
            process => Ok(Self { process, line: Some(File::from(writer)) }),
        }
    }

    /// Has it keep the file, whatever happens to this process.
    pub(crate) fn keep(&mut self) {
        self.order(Order::Keep);
    }

    /// Has it give the file its name, and waits for that.
    ///
    /// # Errors
    ///
    /// The file could not be renamed.
    pub(crate) fn place(mut self) -> io::Result<()> {
        self.order(Order::Place);
        match self.end() {
            None | Some(0) => Ok(()),
            Some(error) => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Gives an order. A clerk that was killed takes none; [`end`](Self::end) finds that out.
    fn order(&mut self, order: Order) {
        if let Some(line) = &mut self.line {
            let _ = line.write_all(&[order as u8]);
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

impl Drop for Clerk {
    fn drop(&mut self) {
        // After a panic what was worth keeping still is.
        if !thread::panicking() {
            self.order(Order::Discard);
        }
        self.end();
    }
}

/// The clerk's life: it takes no signals, has no file open but its input, and ends with that or with the last
/// order. Its status is the number of the error that kept the file from its name.
///
/// It is the copy of one thread of a process that may have several: so there is nothing here that allocates
/// or takes a lock.
fn serve(input: c_int, others: c_int, part: &CStr, name: &CStr) -> ! {
    deafen();
    close(others..=others);
    close(0..=input - 1);
    close(input + 1..=c_int::MAX);
    // Whether the file is to be left where it is at the end of the input.
    let mut is_kept = false;
    let status = loop {
        let mut order = 0_u8;
        // SAFETY: the pointer is to one byte.
        let len = unsafe { libc::read(input, (&raw mut order).cast(), 1) };
        match (len, order) {
            (1, byte) if byte == Order::Keep as u8 => {
                is_kept = true;
                // What has the name already keeps it until the file is placed.
                if rename(part, name, libc::RENAME_NOREPLACE) == 0 {
                    break 0;
                }
            }
            (1, byte) if byte == Order::Place as u8 => break rename(part, name, 0),
            (0, _) if is_kept => break 0,
            _ => {
                // SAFETY: the path ends with a NUL.
                unsafe { libc::unlink(part.as_ptr()) };
                break 0;
            }
        }
    };
    // SAFETY: it has no preconditions, and runs nothing of the parent's.
    unsafe { libc::_exit(status) }
}

/// Renames a file; the number of the error, or 0.
fn rename(from: &CStr, to: &CStr, flags: libc::c_uint) -> c_int {
    let here = libc::AT_FDCWD;
    // SAFETY: both paths end with a NUL.
    let outcome = unsafe { libc::renameat2(here, from.as_ptr(), here, to.as_ptr(), flags) };
    if outcome == 0 { 0 } else { io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) }
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is in a folder after a clerk has had these orders, and its input has ended.
    fn after(orders: &[Order], old: Option<&str>) -> Vec<(String, String)> {
        let folder = tempfile::tempdir().expect("a folder");
        let (part, name) = (folder.path().join("x.part"), folder.path().join("x"));
        fs::write(&part, "new").expect("written");
        if let Some(old) = old {
            fs::write(&name, old).expect("written");
        }
        let mut clerk = Clerk::hire(&part, &name).expect("a clerk");
        orders.iter().for_each(|&order| clerk.order(order));
        assert_eq!(clerk.end(), Some(0));
        let entries = fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("an entry"));
        let text = |path| fs::read_to_string(path).expect("text");
        let mut files: Vec<_> =
            entries.map(|it| (it.file_name().into_string().expect("text"), text(it.path()))).collect();
        files.sort();
        files
    }

    #[track_caller]
    fn leaves(orders: &[Order], old: Option<&str>, files: &[(&str, &str)]) {
        let files: Vec<_> = files.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
        assert_eq!(after(orders, old), files, "{orders:?}, {old:?}");
    }

    #[test]
    fn a_file_has_its_name_when_it_is_placed_and_the_old_one_is_there_until_then() {
        use Order::{Discard, Keep, Place};
        for old in [None, Some("old")] {
            let untouched: &[_] = if old.is_some() { &[("x", "old")] } else { &[] };
            leaves(&[], old, untouched);
            leaves(&[Discard], old, untouched);
            leaves(&[Place], old, &[("x", "new")]);
            leaves(&[Keep, Place], old, &[("x", "new")]);
        }
        leaves(&[Keep], None, &[("x", "new")]);
        leaves(&[Keep, Discard], None, &[("x", "new")]);
        leaves(&[Keep], Some("old"), &[("x", "old"), ("x.part", "new")]);
        leaves(&[Keep, Discard], Some("old"), &[("x", "old")]);
    }

    #[test]
    fn why_a_file_cannot_be_placed_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let part = folder.path().join("x.part");
        fs::write(&part, "new").expect("written");
        fs::create_dir(folder.path().join("x")).expect("a folder");
        let clerk = Clerk::hire(&part, &folder.path().join("x")).expect("a clerk");
        assert_eq!(clerk.place().expect_err("a folder").kind(), io::ErrorKind::IsADirectory);
        assert!(part.exists());
    }
}
