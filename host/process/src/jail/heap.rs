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
