//! Sockets that an interruption of the process wakes.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::io;

use crate::signals;

#[cfg(unix)]
use unix::poll;
#[cfg(windows)]
use windows::poll;

#[cfg(unix)]
pub use unix::{Pollable, UnixListener, UnixStream};
#[cfg(windows)]
pub use windows::{Pollable, UnixListener, UnixStream};

/// Waits until a socket has something to read, a connection for example, or until the process is interrupted. `accept`
/// and `read` of the standard library do not always end then.
///
/// # Errors
///
/// The process was interrupted ([`io::ErrorKind::Interrupted`]), or the system refused.
pub fn wait(socket: &impl Pollable) -> io::Result<()> {
    // A signal that came before this thread was registered has not interrupted it.
    while signals::signal().is_none() {
        match poll(socket) {
            Ok(false) => {}
            Ok(true) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::Interrupted.into())
}
