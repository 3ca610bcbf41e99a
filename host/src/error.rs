//! Every way in which a command can fail, and the exit status of each.

use std::{fmt, io, path::PathBuf, time::Duration};

use crate::{
    crash::Crash,
    hypercall::PanicReport,
    image::ImageError,
    kvm::{SystemError, VcpuError},
    memory::MemoryError,
    output::visible,
    recording::RecordingError,
    relay::FileError,
    replay::Difference,
    schedule::ScheduleError,
};

/// The exit status of the program. The numbers are a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// All went well.
    Success = 0,
    /// A guest reported failure: a panic, or an exit status that is not 0.
    GuestFailed = 1,
    /// Bad usage or bad input.
    BadInput = 2,
    /// A guest crashed or broke the protocol.
    GuestCrashed = 3,
    /// The deadline passed.
    Deadline = 4,
    /// This machine cannot run it.
    Machine = 5,
    /// A bug of ours.
    Bug = 70,
}

/// A command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Options that do not go together.
    #[error("{0}")]
    Usage(String),
    /// A schedule cannot be used.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// An experiment's file cannot be used.
    #[error(transparent)]
    Experiment(#[from] FileError),
    /// An image cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// An image does not fit into the memory that was asked for.
    #[error(
        "guest {name} does not fit into its memory of {memory:#x} bytes: it ends at {end:#x}; give it more with --memory"
    )]
    ImageTooLarge {
        /// The guest's name.
        name: String,
        /// The memory in bytes.
        memory: u32,
        /// One past the image's last address.
        end: u64,
    },
    /// This machine's KVM does not have the guest's mode.
    #[error(
        "KVM here is {module}, which cannot run guests in {mode} mode: that needs hardware KVM (kvm_intel, kvm_amd); the other modes work"
    )]
    ModeMissing {
        /// The mode.
        mode: &'static str,
        /// The module behind KVM.
        module: String,
    },
    /// This machine has no KVM for us.
    #[error(transparent)]
    System(#[from] SystemError),
    /// KVM failed.
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
    /// The operating system failed us.
    #[error("cannot {what}: {source}")]
    Os {
        /// What was wanted.
        what: &'static str,
        /// The system's own error.
        source: io::Error,
    },
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[source] io::Error),
    /// A guest failed.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// A recording cannot be used.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// A recording cannot be made.
    #[error("cannot write the recording {}: {source}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// A replay went another way than its recording.
    #[error("the replay differs from the recording: {0}")]
    Differs(Difference),
    /// A guest failed in one run and not in the same run again.
    #[error(
        "{0}\n  but the same run again, with the same schedule, capacity and seed, goes well: the guest depends on something else, a clock perhaps"
    )]
    Unrepeatable(GuestError),
    /// gdb cannot be awaited.
    #[error("cannot wait for gdb at {address}: {source}; is another there, or a socket's file left over?")]
    Gdb {
        /// Where.
        address: String,
        /// The system's own error.
        source: io::Error,
    },
    /// gdb's user ended the run.
    #[error("the run was ended from gdb")]
    Killed,
    /// This machine's KVM does not step guests.
    #[error(
        "KVM here is {module}, which does not step guests in {mode} mode (KVM_SET_GUEST_DEBUG): there is no debugger and no trace without that"
    )]
    NoSteps {
        /// The mode.
        mode: &'static str,
        /// The module behind KVM.
        module: String,
    },
    /// `doctor` found something that does not work; it has said what.
    #[error("this machine cannot run guests: see the lines above that say FAIL")]
    Doctor,
    /// What must not happen.
    #[error("a bug of guestlab's, please report it: {0}")]
    Bug(String),
}

impl Error {
    /// The exit status that stands for this error.
    pub fn status(&self) -> Status {
        match self {
            Self::Usage(_)
            | Self::Gdb { .. }
            | Self::Record { .. }
            | Self::Recording(_)
            | Self::Schedule(_)
            | Self::Experiment(_)
            | Self::Image(_)
            | Self::ImageTooLarge { .. } => Status::BadInput,
            Self::Vcpu(VcpuError::Memory(
                MemoryError::Size { .. }
                | MemoryError::Ram { .. }
                | MemoryError::OutOfReach { .. }
                | MemoryError::Arguments { .. },
            )) => Status::BadInput,
            Self::Vcpu(VcpuError::Memory(MemoryError::Range { .. })) => Status::Bug,
            Self::System(_)
            | Self::NoSteps { .. }
            | Self::ModeMissing { .. }
            | Self::Vcpu(_)
            | Self::Os { .. }
            | Self::Doctor => Status::Machine,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Status::Success,
            Self::Output(_) => Status::Machine,
            Self::Differs(_) => Status::GuestCrashed,
            Self::Guest(error) | Self::Unrepeatable(error) => error.end.status(),
            Self::Killed => Status::Success,
            Self::Bug(_) => Status::Bug,
        }
    }

    /// Whether the reader of the output has gone: nothing to speak of.
    pub fn is_closed_output(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// A guest ended other than it should.
#[derive(Debug)]
pub struct GuestError {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    pub name: String,
    /// The turn in which it ended, from 1; `None` outside of one.
    pub turn: Option<u64>,
    /// How.
    pub end: GuestEnd,
}

/// How a guest ended other than it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestEnd {
    /// With an exit status that is not 0.
    Exited(u32),
    /// With a panic.
    Panicked(PanicReport),
    /// With a crash; and the instruction pointer, where it means something.
    Crashed(Crash, Option<u64>),
    /// Not at all, until this much time had passed.
    Deadline(Duration),
}

impl GuestEnd {
    /// The exit status that stands for this end.
    pub fn status(&self) -> Status {
        match self {
            Self::Exited(_) | Self::Panicked(_) => Status::GuestFailed,
            Self::Crashed(..) => Status::GuestCrashed,
            Self::Deadline(_) => Status::Deadline,
        }
    }

    /// The end's name for machines.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exited(_) => "exit",
            Self::Panicked(_) => "panic",
            Self::Crashed(crash, _) => crash.name(),
            Self::Deadline(_) => "deadline",
        }
    }

    /// What to try next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Exited(_) => "look at what the guest printed; its status is its own",
            Self::Panicked(_) => "look at that line of the guest",
            Self::Crashed(crash, _) => crash.hint(),
            Self::Deadline(_) => "look for an endless loop, or give the run more time with --timeout",
        }
    }
}

impl fmt::Display for GuestEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited with status {status}"),
            Self::Panicked(PanicReport { message, file, line, column }) => {
                let (message, file) = (String::from_utf8_lossy(message), String::from_utf8_lossy(file));
                let (message, file) = (quoted(&message, 4096), quoted(&file, 256));
                write!(f, "panicked at {file}:{line}:{column}: {message}")
            }
            Self::Crashed(crash, None) => write!(f, "{crash}"),
            Self::Crashed(crash, Some(address)) => write!(f, "{crash} (near instruction {address:#x})"),
            Self::Deadline(timeout) => {
                write!(f, "still running after {} s, the deadline", timeout.as_secs_f64())
            }
        }
    }
}

/// A guest's text in a report of ours: of limited length, and indented where it has several lines, so
/// that none of them looks like one of ours.
fn quoted(text: &str, limit: usize) -> String {
    let mut shown: String = text.chars().take(limit).collect();
    if shown.len() < text.len() {
        shown.push_str(" [cut off]");
    }
    visible(&shown).to_string().replace('\n', "\n    | ")
}

impl std::error::Error for GuestError {}

impl fmt::Display for GuestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vm, name, turn, end } = self;
        write!(f, "VM {vm}, {}", visible(name))?;
        if let Some(turn) = turn {
            write!(f, ", turn {turn}")?;
        }
        write!(f, ": {end}\n  try: {}", end.hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_cannot_forge_our_lines() {
        let report = PanicReport {
            message: b"oops\nguestlab: all is well\x1b[2J".into(),
            file: vec![b'f'; 70_000],
            line: 1,
            column: 2,
        };
        let text = GuestEnd::Panicked(report).to_string();
        assert!(text.contains(" [cut off]:1:2: oops\n    | guestlab: all is well\\x1b[2J"), "{text}");
        assert!(text.len() < 400);
    }

    #[test]
    fn statuses_are_the_contracts() {
        let guest =
            |end| Error::Guest(GuestError { vm: 1, name: "g".into(), turn: None, end }).status() as u8;
        assert_eq!(guest(GuestEnd::Exited(7)), 1);
        assert_eq!(guest(GuestEnd::Crashed(Crash::TripleFault, None)), 3);
        assert_eq!(guest(GuestEnd::Deadline(Duration::from_secs(1))), 4);
        assert_eq!(Error::Usage(String::new()).status() as u8, 2);
        assert_eq!(Error::Doctor.status() as u8, 5);
        assert_eq!(Error::Bug(String::new()).status() as u8, 70);
        assert_eq!(Error::Output(io::ErrorKind::BrokenPipe.into()).status() as u8, 0);
    }
}
