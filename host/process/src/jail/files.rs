//! The files that the process was started with. Work that took over a thread could use them.

use std::{
    ffi::c_int,
    fs,
    sync::{Mutex, PoisonError},
};

/// The files, until they are closed.
static INHERITED: Mutex<Vec<c_int>> = Mutex::new(Vec::new());

/// Remembers the open files beyond standard input, output and error. Call this before any file is opened.
///
/// They stay open until a worker enters the jail, since an option may name one, such as `/dev/fd/63`.
pub fn note_inherited_files() {
    let Ok(folder) = fs::read_dir("/proc/self/fd") else { return };
    let names = folder.filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok());
    let mut files: Vec<c_int> = names.filter(|file| *file > libc::STDERR_FILENO).collect();
    // One of them was the folder itself.
    files.retain(|&file| is_open(file));
    *INHERITED.lock().unwrap_or_else(PoisonError::into_inner) = files;
}

/// Closes those files.
pub(super) fn close_inherited() {
    let files = std::mem::take(&mut *INHERITED.lock().unwrap_or_else(PoisonError::into_inner));
    for file in files {
        // SAFETY: it was open when the process started, so no part of the program owns it.
        unsafe { libc::close(file) };
    }
}

fn is_open(file: c_int) -> bool {
    // SAFETY: this command only asks.
    unsafe { libc::fcntl(file, libc::F_GETFD) != -1 }
}
