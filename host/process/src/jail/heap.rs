//! The heap of a process whose threads are in the jail.

/// Makes all threads share one arena of the C library's heap. Call this before a second thread starts.
///
/// Without this each thread gets an arena of its own. When such an arena shrinks, or when there are many of
/// them, the library reads files of the kernel's (`/proc/sys/vm/overcommit_memory`, the number of CPUs). A
/// thread in the jail cannot open a file.
pub fn share_one_arena() {
    // Other C libraries have no arenas.
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes two numbers. A refusal changes nothing.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1)
    };
}

/// Gives threads that allocate much an arena each, so that they do not wait for one another: at most `arenas` in all. Call
/// this before a second thread starts.
///
/// Arenas do not shrink then, so that the library reads no file for that.
pub fn share_arenas(arenas: usize) {
    #[cfg(target_env = "gnu")]
    for (option, value) in [
        (libc::M_TRIM_THRESHOLD, libc::c_int::MAX),
        (libc::M_ARENA_MAX, libc::c_int::try_from(arenas).unwrap_or(libc::c_int::MAX)),
    ] {
        // SAFETY: as above.
        unsafe { libc::mallopt(option, value) };
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = arenas;
}
