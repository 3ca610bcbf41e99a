//! Terminals of Unix: their keys, as bytes.

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
    os::fd::{AsFd, AsRawFd, RawFd},
    time::Duration,
};

use super::{decoder::Decoder, input::Input, signals};

pub(super) use signals::{given_back, has_resumed, is_resumed};

/// The keys of the terminal.
pub(super) struct Keyboard {
    input: File,
    decoder: Decoder,
}

impl Keyboard {
    /// Opens the terminal for reading: standard input, or the terminal of the process.
    pub(super) fn open() -> io::Result<Self> {
        let input = match io::stdin().is_terminal() {
            true => File::from(io::stdin().as_fd().try_clone_to_owned()?),
            false => File::open("/dev/tty")?,
        };
        Ok(Self { input, decoder: Decoder::default() })
    }

    /// Waits for keys, at most this long. A signal ends the wait.
    pub(super) fn wait(&mut self, most: Duration) -> io::Result<Input> {
        match poll(self.input.as_raw_fd(), libc::POLLIN, most)? {
            0 => Ok(Input::Keys(self.decoder.pause().into_iter().collect())),
            events if events & libc::POLLIN == 0 => Ok(Input::Gone),
            _ => self.read(),
        }
    }

    fn read(&mut self) -> io::Result<Input> {
        let mut bytes = [0; 1024];
        match self.input.read(&mut bytes) {
            // A terminal ends only when it is gone; a background process that reads also gets EIO.
            Ok(0) => Ok(Input::Gone),
            Ok(length) => Ok(Input::Keys(self.decoder.push(&bytes[..length]))),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Input::Keys(Vec::new())),
            Err(error) if is_gone(&error) => Ok(Input::Gone),
            Err(error) => Err(error),
        }
    }
}

/// Takes the terminal, and installs the handlers of signals.
///
/// # Errors
///
/// The terminal cannot be taken.
pub(super) fn taking(keyboard: &Keyboard, take: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    signals::taking(&keyboard.input, take)
}

/// Returns true if this is the error of a terminal that is gone.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EIO)
}

/// Waits until standard output takes something, at most this long, or until a signal comes. Returns true if it does.
pub(super) fn can_write(most: Duration) -> io::Result<bool> {
    Ok(poll(io::stdout().as_raw_fd(), libc::POLLOUT, most)? != 0)
}

/// Waits until one of the events occurs, the time is over, or a signal comes; returns the events.
fn poll(fd: RawFd, events: libc::c_short, most: Duration) -> io::Result<libc::c_short> {
    let mut file = libc::pollfd { fd, events, revents: 0 };
    let wait = libc::c_int::try_from(most.as_millis()).unwrap_or(libc::c_int::MAX);
    // SAFETY: the pointer is to one pollfd, and its file is open.
    match unsafe { libc::poll(&raw mut file, 1, wait) } {
        -1 => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            error => Err(error),
        },
        _ => Ok(file.revents),
    }
}
