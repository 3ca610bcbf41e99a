//! A writer that gives up when its reader does not read and the deadline has passed.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use crate::kick;

/// The time for which a write continues after the first interruption, since the reader may only be slow.
const GRACE: Duration = Duration::from_secs(1);

/// A writer that gives up at the deadline.
///
/// After a deadline the watchdog interrupts system calls repeatedly (see
/// [`Registration`](crate::watchdog::Registration)). A write that does not succeed within a second after that fails
/// with [`io::ErrorKind::TimedOut`], and so do all later writes.
#[derive(Debug)]
pub struct DeadlineWriter<W> {
    writer: W,
    given_up: bool,
}

impl<W: Write> DeadlineWriter<W> {
    /// Wraps a writer that makes one system call for each write.
    pub fn new(writer: W) -> Self {
        Self { writer, given_up: false }
    }

    /// Makes a system call, and repeats it after interruptions for a limited time.
    fn insist<T>(&mut self, mut call: impl FnMut(&mut W) -> io::Result<T>) -> io::Result<T> {
        let mut interrupted: Option<Instant> = None;
        while !self.given_up {
            match call(&mut self.writer) {
                Err(error) if kick::is_kick(&error) => {
                    self.given_up = interrupted.get_or_insert_with(Instant::now).elapsed() >= GRACE;
                }
                outcome => return outcome,
            }
        }
        // After the kind `Interrupted` callers would try again.
        Err(io::Error::new(io::ErrorKind::TimedOut, "its reader does not read"))
    }
}

impl<W: Write> Write for DeadlineWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.insist(|writer| writer.write(buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.insist(Write::flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer that is interrupted this number of times.
    struct Interrupted(u32);

    impl Write for Interrupted {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            match self.0 {
                0 => Ok(buffer.len()),
                _ => {
                    self.0 -= 1;
                    std::thread::sleep(Duration::from_millis(2));
                    Err(io::ErrorKind::Interrupted.into())
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_slow_reader_gets_everything() {
        assert_eq!(DeadlineWriter::new(Interrupted(3)).write(b"abc").expect("in the end"), 3);
    }

    #[test]
    fn a_reader_that_does_not_read_is_given_up_for_good() {
        let mut writer = DeadlineWriter::new(Interrupted(u32::MAX));
        let gone = |outcome: io::Result<()>| outcome.expect_err("nobody reads").kind();
        assert_eq!(gone(writer.write_all(b"abc")), io::ErrorKind::TimedOut);
        writer.writer.0 = 0;
        assert_eq!(gone(writer.write_all(b"abc")), io::ErrorKind::TimedOut);
        assert_eq!(gone(writer.flush()), io::ErrorKind::TimedOut);
    }
}
