//! The ways in which a command can fail. `cli/status.rs` has the exit status of each.

use std::{io, path::PathBuf, time::Duration};

use crate::{
    cpu::EngineError,
    debug::gdb::GdbError,
    kvm::OpenError,
    lab::ram::{RamError, check_size},
    lab::{
        experiment_file::FileError,
        failure::{Difference, GuestError, GuestPosition},
        schedule::ScheduleError,
    },
    process::{output_file::SameFile, signals::Signal},
    runlog::{self, error::WriteError, event::Finding},
    vmm::{BootError, image::ImageError},
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
    /// An image does not fit into the memory that was asked for.
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
    /// The output was not read, and the run could not wait any longer.
    #[error(
        "the output is not read: after {} s, the time that there is, it could not be written on\n  try: look at what the output goes to, or give the run more time with --timeout",
        limit.as_secs_f64()
    )]
    OutputHeld {
        /// The time that there was.
        limit: Duration,
    },
    /// A signal asked the program to end.
    #[error("interrupted by {signal}{}", at.as_ref().map_or(String::new(), |at| format!(": {at}")))]
    Interrupted {
        /// The signal.
        signal: Signal,
        /// What ran at that time, if a guest did.
        at: Option<GuestPosition>,
    },
    /// Guests broke no rule, and left nothing to chance where the task asks for it.
    #[error(
        "{}\n  try: draw numbers of items with guest_rt::ring::Turn::share, and items with guest_rt::entropy",
        .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    )]
    Findings(Vec<Finding>),
    /// A guest failed.
    #[error(transparent)]
    Guest(Box<GuestError>),
    /// A file does not hold a run, or not the recording of one.
    #[error(transparent)]
    Log(#[from] runlog::error::Error),
    /// A file that the run was to leave cannot be written.
    #[error("cannot write the {what} {}: {source}", path.display())]
    Write {
        /// What the file is.
        what: &'static str,
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
    Unrepeatable(Box<GuestError>),
    /// gdb cannot be awaited.
    #[error(transparent)]
    Gdb(#[from] GdbError),
    /// gdb's user ended the run.
    #[error("the run was ended from gdb")]
    Killed,
    /// The view of a run was closed, and the run ended with it.
    #[error("the view was closed, and the run ended{}", at.as_ref().map_or(String::new(), |at| format!(": {at}")))]
    ViewClosed {
        /// What ran at that time, if a guest did.
        at: Option<GuestPosition>,
    },
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
    /// Tests of a guest failed; their report has said how.
    #[error("{0} of the tests failed: see above")]
    Tests(usize),
    /// `doctor` found something that does not work; it has said what.
    #[error("this machine cannot run guests: see the lines above that say FAIL")]
    Doctor,
    /// The system does not let us confine ourselves.
    #[error("cannot enter the jail, in which guests run: {0}; --no-seccomp runs them without it")]
    Jail(#[source] io::Error),
    /// What must not happen.
    #[error("a bug of guestlab's, please report it: {0}")]
    Bug(String),
}

/// What to do about an image that ends at `end`, beyond its memory.
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
                | Self::OutputHeld { .. }
        )
    }
    /// Returns true if the reader of the output has closed it, which needs no message.
    pub fn is_closed_output(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
