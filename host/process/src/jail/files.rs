//! The files that the process was started with. A guest that took over a thread could use them.

use std::{
    ffi::c_int,
    fs,
    sync::{Mutex, PoisonError},
};

/// The files, until they are closed.
static INHERITED: Mutex<Vec<c_int>> = Mutex::new(Vec::new());

/// Takes note of the open files beyond standard input, output and error. To be called before one is opened.
///
/// They stay open until a guest runs: an option may name one, as `/dev/fd/63`.
pub fn note_inherited_files() {
    let Ok(folder) = fs::read_dir("/proc/self/fd") else { return };
    let names = folder.filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok());
    let mut files: Vec<c_int> = names.filter(|file| *file > libc::STDERR_FILENO).collect();
    // One was the folder's.
    files.retain(|&file| is_open(file));
    *INHERITED.lock().unwrap_or_else(PoisonError::into_inner) = files;
}

/// Closes those files.
pub(super) fn close_inherited() {
    let files = std::mem::take(&mut *INHERITED.lock().unwrap_or_else(PoisonError::into_inner));
    for file in files {
        // SAFETY: it was open when the process started, so that no part of the program has it.
        unsafe { libc::close(file) };
    }
}

fn is_open(file: c_int) -> bool {
    // SAFETY: this command only asks.
    unsafe { libc::fcntl(file, libc::F_GETFD) != -1 }
}
