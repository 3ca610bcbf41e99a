//! Sockets of Windows. The standard library has no Unix sockets for it, so their types here have no values.

use std::{
    convert::Infallible,
    io::{self, Read, Write},
    os::windows::io::AsRawSocket,
    path::Path,
    time::Duration,
};

use windows_sys::Win32::Networking::WinSock::{POLLRDNORM, SOCKET_ERROR, WSAPOLLFD, WSAPoll};

pub use std::os::windows::io::AsSocket as Pollable;

/// The time between two looks for an interruption, in milliseconds. No signal ends the wait for a socket here.
const LOOK: i32 = 20;

/// Waits for a short time until a socket has something to read.
pub(super) fn poll(socket: &impl Pollable) -> io::Result<bool> {
    let fd = socket.as_socket().as_raw_socket() as usize;
    let mut poll = WSAPOLLFD { fd, events: POLLRDNORM, revents: 0 };
    // SAFETY: it is one structure, and its socket is open.
    match unsafe { WSAPoll(&raw mut poll, 1, LOOK) } {
        SOCKET_ERROR => Err(io::Error::last_os_error()),
        ready => Ok(ready > 0),
    }
}

/// A Unix socket that waits for connections.
#[derive(Debug)]
pub struct UnixListener(Infallible);

/// A connection to a Unix socket.
#[derive(Debug)]
pub struct UnixStream(Infallible);

impl UnixListener {
    /// Refuses: there are no Unix sockets here.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn bind(_path: &Path) -> io::Result<Self> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "Unix sockets do not work on this system; give a port",
        ))
    }

    /// Never called.
    ///
    /// # Errors
    ///
    /// None.
    pub fn accept(&self) -> io::Result<(UnixStream, ())> {
        match self.0 {}
    }
}

impl UnixStream {
    /// Never called.
    ///
    /// # Errors
    ///
    /// None.
    pub fn try_clone(&self) -> io::Result<Self> {
        match self.0 {}
    }

    /// Never called.
    ///
    /// # Errors
    ///
    /// None.
    pub fn set_nonblocking(&self, _nonblocking: bool) -> io::Result<()> {
        match self.0 {}
    }

    /// Never called.
    ///
    /// # Errors
    ///
    /// None.
    pub fn set_write_timeout(&self, _timeout: Option<Duration>) -> io::Result<()> {
        match self.0 {}
    }
}

impl Pollable for UnixListener {
    fn as_socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
        match self.0 {}
    }
}

impl Pollable for UnixStream {
    fn as_socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
        match self.0 {}
    }
}

impl Read for UnixStream {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }
}

impl Write for UnixStream {
    fn write(&mut self, _buffer: &[u8]) -> io::Result<usize> {
        match self.0 {}
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0 {}
    }
}
