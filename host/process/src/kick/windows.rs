//! Interruptions by the cancellation of a thread's reads and writes.

use std::{
    io,
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    ptr,
};

use windows_sys::Win32::{
    Foundation::ERROR_OPERATION_ABORTED,
    System::{
        IO::CancelSynchronousIo,
        Threading::{GetCurrentThreadId, OpenThread, THREAD_TERMINATE},
    },
};

/// A thread that can be interrupted; nothing if the system has no handle left.
#[derive(Debug)]
pub(crate) struct Target(Option<OwnedHandle>);

impl Target {
    pub(crate) fn this_thread() -> Self {
        // SAFETY: it has no preconditions.
        let thread = unsafe { GetCurrentThreadId() };
        // CancelSynchronousIo asks for this right.
        // SAFETY: it takes numbers.
        let handle = unsafe { OpenThread(THREAD_TERMINATE, 0, thread) };
        // SAFETY: the handle is new, and nothing else owns it.
        Self((handle != ptr::null_mut()).then(|| unsafe { OwnedHandle::from_raw_handle(handle) }))
    }

    /// Interrupts the thread's read or write, if there is one.
    pub(crate) fn interrupt(&self) {
        if let Some(handle) = &self.0 {
            // SAFETY: the handle is open.
            unsafe { CancelSynchronousIo(handle.as_raw_handle()) };
        }
    }
}

/// Returns true if this is the error of a system call that was interrupted.
pub(crate) fn is_kick(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted
        || error.raw_os_error() == Some(ERROR_OPERATION_ABORTED.cast_signed())
}

/// Prepares nothing: a cancellation needs no handler.
pub(crate) fn prepare() -> io::Result<()> {
    Ok(())
}
