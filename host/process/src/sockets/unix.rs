//! Sockets of Unix.

use std::{io, os::fd::AsRawFd};

pub use std::os::{
    fd::AsFd as Pollable,
    unix::net::{UnixListener, UnixStream},
};

/// Waits until a socket has something to read, or a signal comes.
pub(super) fn poll(socket: &impl Pollable) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: socket.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: it is one structure, and its file is open.
    match unsafe { libc::poll(&raw mut poll, 1, -1) } {
        -1 => Err(io::Error::last_os_error()),
        ready => Ok(ready > 0),
    }
}
