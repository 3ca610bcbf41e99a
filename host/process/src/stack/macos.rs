//! The stack of a thread of macOS.

pub(super) fn find() -> Option<usize> {
    // SAFETY: it has no preconditions.
    let thread = unsafe { libc::pthread_self() };
    // SAFETY: the thread is this one.
    let highest = unsafe { libc::pthread_get_stackaddr_np(thread) }.addr();
    // SAFETY: likewise.
    highest.checked_sub(unsafe { libc::pthread_get_stacksize_np(thread) })
}
