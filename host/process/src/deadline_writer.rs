//! A writer whose patience with a reader that does not read ends with the run.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

/// How long a write goes on while the watchdog interrupts it: the reader may only be slow.
const GRACE: Duration = Duration::from_secs(1);

/// A file that is written to. Once a run is to end, the watchdog interrupts system calls again and again
/// (see [`Registration`](crate::process::watchdog::Registration)): a write that does not come about in spite of
/// that is given up, and so is everything after it.
pub(crate) struct Patient<W> {
    writer: W,
    given_up: bool,
}

impl<W: Write> Patient<W> {
    pub(crate) fn new(writer: W) -> Self {
        Self { writer, given_up: false }
    }

    /// Does a system call, and does it again if it is interrupted, but not without end.
    fn insist<T>(&mut self, mut call: impl FnMut(&mut W) -> io::Result<T>) -> io::Result<T> {
        let mut interrupted: Option<Instant> = None;
        while !self.given_up {
            match call(&mut self.writer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    self.given_up = interrupted.get_or_insert_with(Instant::now).elapsed() >= GRACE;
                }
                outcome => return outcome,
            }
        }
        // No `Interrupted`, after which others would try again.
        Err(io::Error::new(io::ErrorKind::TimedOut, "whoever reads it does not read"))
    }
}

impl<W: Write> Write for Patient<W> {
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

    /// A file whose calls are interrupted so many times.
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
        assert_eq!(Patient::new(Interrupted(3)).write(b"abc").expect("in the end"), 3);
    }

    #[test]
    fn a_reader_that_does_not_read_is_given_up_for_good() {
        let mut patient = Patient::new(Interrupted(u32::MAX));
        let gone = |outcome: io::Result<()>| outcome.expect_err("nobody reads").kind();
        assert_eq!(gone(patient.write_all(b"abc")), io::ErrorKind::TimedOut);
        patient.writer.0 = 0;
        assert_eq!(gone(patient.write_all(b"abc")), io::ErrorKind::TimedOut);
        assert_eq!(gone(patient.flush()), io::ErrorKind::TimedOut);
    }
}
