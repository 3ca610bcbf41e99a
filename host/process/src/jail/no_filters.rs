//! The items of `calls.rs`, `filter.rs` and `sigsys.rs` for systems without lists of system calls. [`absence`] says that
//! there are none, so that no thread asks for one.

use std::io;

use super::thread::Thread;

/// The system calls that threads in the jail may make: none is listed.
pub mod calls {
    /// A system call that is allowed. There is none.
    #[derive(Debug)]
    pub enum Call {}
}

/// Installs nothing.
pub(super) fn install(_report: fn(&str)) -> io::Result<()> {
    Ok(())
}

/// Refuses to confine the calling thread.
pub(super) fn confine(_thread: &Thread) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Returns the sentence that says why there are no filters.
#[expect(clippy::unnecessary_wraps, reason = "other systems may have filters")]
pub(super) fn absence() -> Option<&'static str> {
    Some(match cfg!(target_os = "linux") {
        true => "the jail's lists of system calls are for x86-64: guests run without them",
        false => "the jail needs Linux on x86-64: guests run without it",
    })
}
