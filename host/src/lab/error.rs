//! The ways in which a command can fail. `cli/status.rs` has the exit status of each.

use std::{io, path::PathBuf, time::Duration};

use crate::{
    cpu::EngineError,
    debug::gdb::GdbError,
    kvm::OpenError,
    lab::ram::{RamError, check_size},
    lab::{
        coverage::CoverageError,
        experiment_file::FileError,
        failure::{Difference, GuestError, GuestPosition},
        schedule::ScheduleError,
    },
    process::{output_file::SameFile, signals::Signal},
    runlog::{
        self,
        error::WriteError,
        event::{self, Finding},
    },
    vmm::{BootError, ImageError},
};

pub use crate::runlog::status::Status;

/// A command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Options that do not go together.
    #[error("{0}")]
    Usage(String),
    /// Two files of the command are one file.
    #[error(transparent)]
    SameFile(#[from] SameFile),
    /// A schedule cannot be used.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// An experiment's file cannot be used.
    #[error(transparent)]
    Experiment(#[from] FileError),
    /// An image cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// An image has no coverage.
    #[error(transparent)]
    Coverage(#[from] CoverageError),
    /// An image does not fit into the guest's memory.
    #[error(
        "guest {name} does not fit into its memory of {memory:#x} bytes: it ends at {end:#x}; {}",
        more_memory(*end)
    )]
    ImageTooLarge {
        /// The guest's name.
        name: String,
        /// The memory in bytes.
        memory: u32,
        /// One past the image's last address.
        end: u64,
    },
    /// KVM on this machine does not have the guest's mode.
    #[error(
        "KVM here is {module}, which cannot run guests in {mode} mode: that needs hardware KVM (kvm_intel, kvm_amd); --engine auto runs it on the interpreter"
    )]
    ModeMissing {
        /// The mode.
        mode: &'static str,
        /// The module behind KVM.
        module: String,
    },
    /// This machine has no usable KVM.
    #[error("{0}\n  or run guests without KVM: --engine soft")]
    Platform(#[from] OpenError),
    /// A guest could not be started.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// This machine does not have the memory that a guest is to have.
    #[error(transparent)]
    Ram(#[from] RamError),
    /// The operating system refused a request.
    #[error("cannot {what}: {source}")]
    Os {
        /// The request, after "cannot".
        what: &'static str,
        /// The system's own error.
        source: io::Error,
    },
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[source] io::Error),
    /// The output was not read in time.
    #[error(
        "the output is not read: it could not be written within {} s, the time limit\n  try: check the program that reads the output, or give the run more time with --timeout",
        limit.as_secs_f64()
    )]
    OutputHeld {
        /// The time limit.
        limit: Duration,
    },
    /// A signal interrupted the program.
    #[error("interrupted by {signal}{}", at.as_ref().map_or(String::new(), |at| format!(": {at}")))]
    Interrupted {
        /// The signal.
        signal: Signal,
        /// The guest that was running, if any.
        at: Option<GuestPosition>,
    },
    /// Guests broke no rule, but were not random where they must be.
    #[error(
        "{}\n  try: draw numbers of items with guest_rt::ring::Turn::share, and items with guest_rt::entropy",
        .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    )]
    Findings(Vec<Finding>),
    /// A guest failed in a part of a search, which another process made.
    #[error("VM {}, {}{}: {}", .0.vm, .0.name, .0.turn.map_or(String::new(), |turn| format!(", turn {turn}")), .0.headline())]
    Found(Box<event::Crash>),
    /// A guest failed.
    #[error(transparent)]
    Guest(Box<GuestError>),
    /// A file does not hold a run, or not the recording of one.
    #[error(transparent)]
    Log(Box<runlog::error::Error>),
    /// An output file cannot be written.
    #[error("cannot write the {what} {}: {source}", path.display())]
    Write {
        /// The kind of file.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// A replay differs from its recording.
    #[error("the replay differs from the recording: {0}")]
    Differs(Difference),
    /// Two runs of the same guests, started alike, differ.
    #[error(
        "not deterministic: {0}\n  try: look for what the guest reads that its seed does not decide, such as a clock; on the interpreter time is counted, and repeats (--engine soft)"
    )]
    NotDeterministic(String),
    /// A guest failed in one run but not in its repetition.
    #[error(
        "{0}\n  but the same run succeeds when it is repeated with the same schedule, capacity and seed: the guest depends on something else, perhaps a clock, which only the interpreter repeats (--engine soft)"
    )]
    Unrepeatable(Box<GuestError>),
    /// gdb's address is not available.
    #[error(transparent)]
    Gdb(#[from] GdbError),
    /// gdb's user ended the run.
    #[error("the run was ended from gdb")]
    Killed,
    /// The view of a run was closed, and the run ended with it.
    #[error("the view was closed, and the run ended{}", at.as_ref().map_or(String::new(), |at| format!(": {at}")))]
    ViewClosed {
        /// The guest that was running, if any.
        at: Option<GuestPosition>,
    },
    /// KVM on this machine does not step guests.
    #[error(
        "KVM here is {module}, which does not step guests in {mode} mode (KVM_SET_GUEST_DEBUG); the debugger and the tracer need that"
    )]
    NoSteps {
        /// The mode.
        mode: &'static str,
        /// The module behind KVM.
        module: String,
    },
    /// Tests of a guest failed. Their report has the details.
    #[error("{0} of the tests failed: see above")]
    Tests(usize),
    /// `doctor` found a problem. Its output has the details.
    #[error("this machine cannot run guests: see the lines above that say FAIL")]
    Doctor,
    /// The system refused the jail.
    #[error("cannot enter the jail, in which guests run: {0}; --no-seccomp runs them without it")]
    Jail(#[source] io::Error),
    /// A bug of the host.
    #[error("a bug of guestlab's, please report it: {0}")]
    Bug(String),
}

/// Returns advice about an image that ends at `end`, beyond its memory.
fn more_memory(end: u64) -> String {
    const MIB: u64 = 1 << 20;
    match check_size(end.next_multiple_of(MIB)) {
        Ok(size) => format!("give it more: --memory {}M", u64::from(size) / MIB),
        Err(_) => "link it lower: no guest can have so much memory here".into(),
    }
}

impl From<WriteError> for Error {
    fn from(WriteError { what, path, source }: WriteError) -> Self {
        Self::Write { what, path, source }
    }
}

impl From<runlog::error::Error> for Error {
    fn from(error: runlog::error::Error) -> Self {
        Self::Log(Box::new(error))
    }
}

impl Error {
    /// Returns true if its text has several lines: a guest's report, the two sides of a turn. The others have one line,
    /// and no text of a file in it may look like another line.
    pub fn has_lines(&self) -> bool {
        matches!(
            self,
            Self::Guest(_)
                | Self::Unrepeatable(_)
                | Self::Findings(_)
                | Self::Differs(_)
                | Self::NotDeterministic(_)
                | Self::OutputHeld { .. }
        )
    }
    /// Returns true if the reader of the output has closed it, which needs no message.
    pub fn is_closed_output(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
