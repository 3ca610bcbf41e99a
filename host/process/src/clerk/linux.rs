//! A clerk that is a helper process. It is forked before the jail, knows two names, and takes orders of one byte. It can
//! do nothing else. Its input ends when the process that gives the orders ends, for any reason.

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

/// A clerk and its file. Dropping it removes the file, unless the file already has its name.
pub(crate) struct Clerk {
    process: libc::pid_t,
    /// The pipe for its orders.
    orders: Option<File>,
}

/// An order to a clerk.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Order {
    /// Keep the file from now on, whatever happens. Rename it at once if no file has the name.
    Keep = b'k',
    /// Rename the file, and replace a file of that name.
    Place = b'p',
    /// Remove the file.
    Discard = b'd',
}

impl Clerk {
    /// Starts a clerk for the file `part`, whose final name is `name`.
    ///
    /// # Errors
    ///
    /// The system did not create a pipe or a process, or a path has a NUL.
    pub(crate) fn spawn(part: &Path, name: &Path) -> io::Result<Self> {
        let part = CString::new(part.as_os_str().as_bytes())?;
        let name = CString::new(name.as_os_str().as_bytes())?;
        let (reader, writer) = io::pipe()?;
        let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
        // SAFETY: the child only makes system calls, and never returns.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => serve(reader.as_raw_fd(), writer.as_raw_fd(), &part, &name),
            process => Ok(Self { process, orders: Some(File::from(writer)) }),
        }
    }

    /// Keeps the file, even if this process is killed.
    pub(crate) fn keep(&mut self) {
        self.order(Order::Keep);
    }

    /// Renames the file, and waits for the outcome.
    ///
    /// # Errors
    ///
    /// The file could not be renamed.
    pub(crate) fn place(mut self) -> io::Result<()> {
        self.order(Order::Place);
        match self.stop() {
            None | Some(0) => Ok(()),
            Some(error) => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Sends an order. If the clerk was killed, [`stop`](Self::stop) finds that out.
    fn order(&mut self, order: Order) {
        if let Some(orders) = &mut self.orders {
            let _ = orders.write_all(&[order as u8]);
        }
    }

    /// Stops the clerk, unless it has been stopped. Returns its exit status.
    fn stop(&mut self) -> Option<c_int> {
        // This ends its input.
        self.orders.take()?;
        let mut status = 0;
        loop {
            // SAFETY: it is our child, for which only this function waits, and the pointer is to a number.
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
        // After a panic the file is kept if it was worth keeping.
        if !thread::panicking() {
            self.order(Order::Discard);
        }
        self.stop();
    }
}

/// Runs the clerk: without signals, with its input as the only open file, until the last order or the end of its
/// input. Its exit status is the number of the error of the renaming, or 0.
///
/// The clerk is a copy of one thread of a process that may have several, so this code may not allocate or take a lock.
fn serve(input: c_int, others: c_int, part: &CStr, name: &CStr) -> ! {
    block_signals();
    close(others..=others);
    close(0..=input - 1);
    close(input + 1..=c_int::MAX);
    // True if the file stays at the end of the input.
    let mut is_kept = false;
    let status = loop {
        let mut order = 0_u8;
        // SAFETY: the pointer is to one byte.
        let len = unsafe { libc::read(input, (&raw mut order).cast(), 1) };
        match (len, order) {
            (1, byte) if byte == Order::Keep as u8 => {
                is_kept = true;
                // Another file of the name keeps it until the order to replace it.
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
    // SAFETY: it has no preconditions, and runs none of the parent's handlers.
    unsafe { libc::_exit(status) }
}

/// Renames a file. Returns the number of the error, or 0.
fn rename(from: &CStr, to: &CStr, flags: libc::c_uint) -> c_int {
    let here = libc::AT_FDCWD;
    // SAFETY: both paths end with a NUL.
    let outcome = unsafe { libc::renameat2(here, from.as_ptr(), here, to.as_ptr(), flags) };
    if outcome == 0 { 0 } else { io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) }
}

fn block_signals() {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the pointer is to a set.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: the set has been filled.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, all.as_ptr(), ptr::null_mut()) };
}

/// Closes a range of files. A kernel before 5.9 cannot, and leaves them open until the clerk ends.
fn close(files: RangeInclusive<c_int>) {
    if files.start() == files.end() {
        // SAFETY: the file is this process's copy, which no other code uses.
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

    /// Returns the files of a folder after these orders to a clerk and the end of its input.
    fn after(orders: &[Order], old: Option<&str>) -> Vec<(String, String)> {
        let folder = tempfile::tempdir().expect("a folder");
        let (part, name) = (folder.path().join("x.part"), folder.path().join("x"));
        fs::write(&part, "new").expect("written");
        if let Some(old) = old {
            fs::write(&name, old).expect("written");
        }
        let mut clerk = Clerk::spawn(&part, &name).expect("a clerk");
        orders.iter().for_each(|&order| clerk.order(order));
        assert_eq!(clerk.stop(), Some(0));
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
        let clerk = Clerk::spawn(&part, &folder.path().join("x")).expect("a clerk");
        assert_eq!(clerk.place().expect_err("a folder").kind(), io::ErrorKind::IsADirectory);
        assert!(part.exists());
    }
}
