//! The connection to gdb, byte by byte, with bounded buffers.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use gdbstub::conn::Connection;

use super::packet::Packet;
use guestlab_process::{
    deadline_writer::DeadlineWriter,
    signals,
    sockets::{self, UnixStream},
};

/// The most bytes of answers that are buffered.
const MAX_WRITTEN: usize = 4096;

/// The most time for the last message to gdb.
const FAREWELL: Duration = Duration::from_secs(1);

/// A stream that can be read without waiting.
pub(super) trait Stream: Read + Write + Send {
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;
    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()>;
    /// Waits until there is something to read, or the process is interrupted.
    fn wait(&self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        TcpStream::set_nonblocking(self, nonblocking)
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        TcpStream::set_write_timeout(self, Some(timeout))
    }

    fn wait(&self) -> io::Result<()> {
        sockets::wait(self)
    }
}

impl Stream for UnixStream {
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        UnixStream::set_nonblocking(self, nonblocking)
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        UnixStream::set_write_timeout(self, Some(timeout))
    }

    fn wait(&self) -> io::Result<()> {
        sockets::wait(self)
    }
}

/// A connection to gdb.
pub(super) struct Line {
    stream: Box<dyn Stream>,
    /// In a box, so that types that contain a line stay small.
    input: Box<Input>,
    written: Vec<u8>,
}

/// The input from gdb.
#[derive(Default)]
struct Input {
    /// The bytes that are not processed yet.
    read: VecDeque<u8>,
    /// The packet that is being read.
    packet: Packet,
    /// The bytes of complete packets.
    whole: VecDeque<u8>,
}

impl Input {
    /// Returns the next byte of a complete packet.
    fn take(&mut self) -> io::Result<Option<u8>> {
        while self.whole.is_empty() {
            let Some(byte) = self.read.pop_front() else { return Ok(None) };
            self.whole.extend(self.packet.push(byte)?.into_iter().flatten());
        }
        Ok(self.whole.pop_front())
    }
}

impl Line {
    pub(super) fn new(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), input: Box::default(), written: Vec::new() }
    }

    /// Waits for the next byte, or for an interruption of the process.
    pub(super) fn next(&mut self) -> io::Result<u8> {
        loop {
            if let Some(byte) = self.input.take()? {
                return Ok(byte);
            }
            match self.stream.wait().and_then(|()| self.fill()) {
                Err(error) if error.kind() == ErrorKind::Interrupted && signals::signal().is_none() => {}
                outcome => outcome?,
            }
        }
    }

    /// Returns the next byte, if there is one.
    pub(super) fn next_if_there(&mut self) -> io::Result<Option<u8>> {
        loop {
            if let Some(byte) = self.input.take()? {
                return Ok(Some(byte));
            }
            self.stream.set_nonblocking(true)?;
            let outcome = self.fill();
            self.stream.set_nonblocking(false)?;
            match outcome {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    return Ok(None);
                }
                outcome => outcome?,
            }
        }
    }

    /// Limits later writes to a second: no deadline of the run interrupts them any more.
    pub(super) fn part(&self) -> io::Result<()> {
        self.stream.set_write_timeout(FAREWELL)
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            len => {
                self.input.read.extend(&buffer[..len]);
                Ok(())
            }
        }
    }
}

impl Connection for Line {
    type Error = io::Error;

    fn write(&mut self, byte: u8) -> io::Result<()> {
        self.written.push(byte);
        if self.written.len() >= MAX_WRITTEN { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        // A gdb that does not read must not block the end of a run.
        let outcome = DeadlineWriter::new(&mut self.stream).write_all(&self.written);
        self.written.clear();
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection, and the other end of it.
    fn pair() -> (Line, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        (Line::new(ours), theirs)
    }

    fn read_all(line: &mut Line) -> io::Result<usize> {
        let mut count = 0;
        while line.next_if_there()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    #[test]
    fn a_packet_has_a_bounded_size() {
        const MAX_PACKET: usize = 8192;
        let (mut line, mut gdb) = pair();
        let packets = [&b"$"[..], &vec![b'm'; MAX_PACKET - 4], b"#00"].concat().repeat(2);
        Write::write_all(&mut gdb, &packets).expect("room");
        assert_eq!(read_all(&mut line).expect("two packets"), packets.len());
        Write::write_all(&mut gdb, &[&b"$"[..], &vec![b'm'; MAX_PACKET]].concat()).expect("room");
        let error = read_all(&mut line).expect_err("too much");
        assert!(error.to_string().contains("more than 8192 bytes"), "{error}");
    }

    #[test]
    fn a_packet_comes_when_it_is_complete() {
        let (mut line, mut gdb) = pair();
        Write::write_all(&mut gdb, b"+$g#6").expect("room");
        assert_eq!(read_all(&mut line).expect("a byte"), 1);
        Write::write_all(&mut gdb, b"7").expect("room");
        assert_eq!(read_all(&mut line).expect("a packet"), 5);
    }

    #[test]
    fn answers_are_sent_before_they_are_long() {
        let (mut line, mut gdb) = pair();
        for _ in 0..3 * MAX_WRITTEN {
            line.write(b'0').expect("room");
            assert!(line.written.len() < MAX_WRITTEN);
        }
        let mut sent = vec![0; 3 * MAX_WRITTEN];
        gdb.read_exact(&mut sent).expect("all of it");
    }
}
