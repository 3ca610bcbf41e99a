//! The connection to gdb, byte by byte.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
};

use gdbstub::conn::Connection;

use crate::interrupt;

/// A stream that can be asked without waiting.
pub(super) trait Stream: Read + Write + Send {
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        TcpStream::set_nonblocking(self, nonblocking)
    }
}

impl Stream for UnixStream {
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        UnixStream::set_nonblocking(self, nonblocking)
    }
}

/// A connection to gdb.
pub(super) struct Line {
    stream: Box<dyn Stream>,
    read: VecDeque<u8>,
    written: Vec<u8>,
}

impl Line {
    pub(super) fn new(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), read: VecDeque::new(), written: Vec::new() }
    }

    /// Waits for the next byte, or for an interruption of the process.
    pub(super) fn next(&mut self) -> io::Result<u8> {
        while self.read.is_empty() {
            match self.fill() {
                Err(error) if error.kind() == ErrorKind::Interrupted && interrupt::signal().is_none() => {}
                outcome => outcome?,
            }
        }
        self.read.pop_front().ok_or_else(|| ErrorKind::UnexpectedEof.into())
    }

    /// The next byte, if there is one.
    pub(super) fn next_if_there(&mut self) -> io::Result<Option<u8>> {
        if self.read.is_empty() {
            self.stream.set_nonblocking(true)?;
            let outcome = self.fill();
            self.stream.set_nonblocking(false)?;
            match outcome {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                outcome => outcome?,
            }
        }
        Ok(self.read.pop_front())
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            len => {
                self.read.extend(&buffer[..len]);
                Ok(())
            }
        }
    }
}

impl Connection for Line {
    type Error = io::Error;

    fn write(&mut self, byte: u8) -> io::Result<()> {
        self.written.push(byte);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let outcome = self.stream.write_all(&self.written);
        self.written.clear();
        outcome
    }
}
