//! Every way in which a command can fail, and the exit status of each.

use std::{borrow::Cow, fmt, io, path::PathBuf, time::Duration};

use crate::{
    debug::crash_report::{Evidence, Report, Wanted, is_a_librarys},
    kvm::{SystemError, VcpuError},
    lab::{pipeline::FileError, replay::Difference, schedule::ScheduleError},
    output::{visible, visible_line},
    process::signals::Signal,
    runlog::{self, error::WriteError, event::Finding, ring_check::Refusal},
    vmm::{
        fault::Crash,
        foreign,
        hypercall::PanicReport,
        image::ImageError,
        memory::{MemoryError, check_size},
        pc::{Device, device_at},
    },
};

pub use crate::runlog::status::Status;

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
        at: Option<Place>,
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
    /// The view of a run was closed, and the run ended with it.
    #[error("the view was closed, and the run ended{}", at.as_ref().map_or(String::new(), |at| format!(": {at}")))]
    ViewClosed {
        /// What ran at that time, if a guest did.
        at: Option<Place>,
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
    /// The exit status that stands for this error.
    pub fn status(&self) -> Status {
        match self {
            Self::Usage(_)
            | Self::Gdb { .. }
            | Self::Write { .. }
            | Self::Log(_)
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
            | Self::Jail(_)
            | Self::Doctor => Status::Machine,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Status::Success,
            Self::Output(_) => Status::Machine,
            // The program itself has no status then: see `interrupt::die`.
            Self::OutputHeld { .. } | Self::Interrupted { .. } => Status::Limit,
            Self::Differs(_) | Self::Findings(_) => Status::GuestCrashed,
            Self::Guest(error) | Self::Unrepeatable(error) => error.end.status(),
            Self::Tests(_) => Status::GuestFailed,
            Self::Killed | Self::ViewClosed { .. } => Status::Success,
            Self::Bug(_) => Status::Bug,
        }
    }

    /// Whether its text has several lines of ours: a guest's report, a turn's two sides. All others have
    /// one, and whatever text of files is in them is not to look like another.
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

    /// The signal that the program is to die by, if one interrupted it.
    pub fn signal(&self) -> Option<Signal> {
        match self {
            Self::Interrupted { signal, .. } => Some(*signal),
            _ => None,
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
    /// Which, and when.
    pub at: Place,
    /// How.
    pub end: GuestEnd,
    /// What was taken from its machine.
    pub evidence: Option<Evidence>,
}

/// What to try where the time was up at an instruction that may never have been carried out.
const REPEATED: &str = "look for an endless loop; or this is it: where KVM interprets guests (kvm_pvm), it repeats `vmcall` without end, and `int` of a vector from 0x80 on in real mode; do without the instruction, or run it on hardware KVM";

impl GuestError {
    /// What to try next.
    pub fn hint(&self) -> Cow<'static, str> {
        let timed_out = self.evidence.as_ref().filter(|_| self.end.is_the_clocks());
        if timed_out.is_some_and(Evidence::is_deaf) {
            return "let the timer's interrupt in, which waits: guest_rt::interrupts::enable, or wait".into();
        }
        let awaited = timed_out.and_then(Evidence::last_read).and_then(device_at);
        if let Some(advice) = awaited.and_then(Device::advice) {
            return advice.into();
        }
        let foreign = self.evidence.as_ref().filter(|evidence| evidence.origin().is_foreign());
        let other = match (&self.end, foreign) {
            (GuestEnd::Crashed(crash), Some(_)) => foreign::hint(crash),
            (GuestEnd::Deadline(_) | GuestEnd::Exits(_), Some(evidence)) if evidence.is_in_zeros() => {
                Some(foreign::EMPTY_MEMORY.into())
            }
            (GuestEnd::Deadline(_), _) if timed_out.is_some_and(Evidence::may_be_repeated) => Some(REPEATED.into()),
            (_, Some(_)) if timed_out.is_some_and(Evidence::takes_interrupts) => {
                Some("look for an endless loop; if the guest waits for an interrupt, such as a timer's: none comes here".into())
            }
            _ => None,
        };
        other.unwrap_or_else(|| self.end.hint())
    }

    /// What can be said of it beyond how it ended.
    pub fn report(&self) -> Option<Report> {
        let file;
        let wanted = match &self.end {
            GuestEnd::Panicked(report) => {
                file = String::from_utf8_lossy(&report.file);
                Wanted::CallsTo(&file, report.line)
            }
            GuestEnd::Crashed(crash) if !crash.is_the_cpus() => Wanted::Calls,
            GuestEnd::Exited(_) | GuestEnd::ExitPort(_) | GuestEnd::Exits(_) => Wanted::Calls,
            GuestEnd::Crashed(_) | GuestEnd::Deadline(_) | GuestEnd::TurnTimeout(_) => Wanted::All,
        };
        self.evidence.as_ref().map(|evidence| Report::of(evidence, wanted))
    }
}

/// A place in a run: a guest, and its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    pub name: String,
    /// The turn, from 1; `None` outside of one.
    pub turn: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vm, name, turn } = self;
        write!(f, "VM {vm}, {}", visible_line(name))?;
        turn.map_or(Ok(()), |turn| write!(f, ", turn {turn}"))
    }
}

/// How a guest ended other than it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestEnd {
    /// With an exit status that is not 0.
    Exited(u32),
    /// With a value at the exit port of `--pc` that means failure.
    ExitPort(u32),
    /// With a panic.
    Panicked(PanicReport),
    /// With a crash.
    Crashed(Crash),
    /// Not at all, until this much time had passed.
    Deadline(Duration),
    /// Not at all, until it had run for this much time at a stretch.
    TurnTimeout(Duration),
    /// Not at all, until it had caused this many exits.
    Exits(u64),
}

impl GuestEnd {
    /// The turn that was refused, if the guest broke a rule of the ring.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Crashed(Crash::Violation(refusal)) => Some(refusal),
            _ => None,
        }
    }

    /// Whether it was the clock that ended it.
    pub fn is_the_clocks(&self) -> bool {
        matches!(self, Self::Deadline(_) | Self::TurnTimeout(_))
    }

    /// The exit status that stands for this end.
    pub fn status(&self) -> Status {
        Status::of_end(self.name())
    }

    /// The end's name for machines.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exited(_) | Self::ExitPort(_) => "exit",
            Self::Panicked(_) => "panic",
            Self::Crashed(crash) => crash.name(),
            Self::Deadline(_) => "deadline",
            Self::TurnTimeout(_) => "turn-timeout",
            Self::Exits(_) => "max-exits",
        }
    }

    /// What to try next, as far as the end alone says it.
    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::ExitPort(_) => {
                "look at what the guest printed; 0 and 0x10 mean success at port 0xF4, and --pc-exit-ok names another value"
                    .into()
            }
            Self::Crashed(crash) => crash.hint(),
            Self::Exited(_) => "look at what the guest printed; its status is its own".into(),
            Self::Panicked(report) if is_a_librarys(&String::from_utf8_lossy(&report.file)) => {
                "look at the first of the calls that is the guest's own".into()
            }
            Self::Panicked(_) => "look at that line of the guest".into(),
            Self::Deadline(_) => "look for an endless loop, or give the run more time with --timeout".into(),
            Self::TurnTimeout(_) => {
                "look for an endless loop, or give a turn more time with --turn-timeout".into()
            }
            Self::Exits(_) => {
                "look for a loop of hypercalls (--stats counts them), or allow more with --max-exits".into()
            }
        }
    }
}

impl fmt::Display for GuestEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited with status {status}"),
            Self::ExitPort(value) => {
                write!(f, "exited with status {value}, written to the exit port 0xf4")
            }
            Self::Panicked(PanicReport { message, file, line, column }) => {
                let (message, file) = (String::from_utf8_lossy(message), String::from_utf8_lossy(file));
                let (message, file) = (quoted(&message, 4096), visible_line(&cut_off(&file, 256)));
                write!(f, "panicked at {file}:{line}:{column}: {message}")
            }
            Self::Crashed(crash) => write!(f, "{crash}"),
            Self::Deadline(timeout) => {
                write!(f, "still running after {} s, the deadline", timeout.as_secs_f64())
            }
            Self::TurnTimeout(timeout) => {
                write!(f, "still running after {} s, the time that a turn may take", timeout.as_secs_f64())
            }
            Self::Exits(exits) => {
                write!(f, "still running after {exits} exits, the most that a VM may cause")
            }
        }
    }
}

/// A guest's text in a report of ours: of limited length, and indented where it has several lines, so
/// that none of them looks like one of ours.
fn quoted(text: &str, limit: usize) -> String {
    visible(&cut_off(text, limit)).to_string().replace('\n', "\n    | ")
}

fn cut_off(text: &str, limit: usize) -> String {
    let mut shown: String = text.chars().take(limit).collect();
    if shown.len() < text.len() {
        shown.push_str(" [cut off]");
    }
    shown
}

impl std::error::Error for GuestError {}

impl fmt::Display for GuestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, end, .. } = self;
        write!(f, "{at}: {end}\n  try: {}", self.hint())?;
        self.report().map_or(Ok(()), |report| write!(f, "{report}"))
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
    fn a_panic_in_a_library_sends_to_the_guests_own_line() {
        let hint = |file: &str| {
            let report = PanicReport { message: Vec::new(), file: file.into(), line: 1, column: 1 };
            GuestEnd::Panicked(report).hint()
        };
        for file in ["guest-rt/src/heap.rs", "/guestlab/guest-rt/src/heap.rs", "/rust/library/core/src/x.rs"]
        {
            assert!(hint(file).contains("the first of the calls that is the guest's own"), "{file}");
        }
        assert_eq!(hint("demo/src/main.rs"), "look at that line of the guest");
        assert_eq!(hint("/home/me/kernel.rs"), "look at that line of the guest");
        assert_eq!(hint("guest-rt/examples/dice.rs"), "look at that line of the guest");
    }

    #[test]
    fn statuses_are_the_contracts() {
        let at = Place { vm: 1, name: "g".into(), turn: None };
        let guest =
            |end| Error::Guest(Box::new(GuestError { at: at.clone(), end, evidence: None })).status() as u8;
        assert_eq!(guest(GuestEnd::Exited(7)), 1);
        assert_eq!(guest(GuestEnd::Crashed(Crash::TripleFault)), 3);
        assert_eq!(guest(GuestEnd::Deadline(Duration::from_secs(1))), 4);
        assert_eq!(guest(GuestEnd::TurnTimeout(Duration::from_secs(1))), 4);
        assert_eq!(guest(GuestEnd::Exits(1)), 4);
        assert_eq!(Status::of_end("violation") as u8, 3);
        assert_eq!(Error::OutputHeld { limit: Duration::from_secs(1) }.status() as u8, 4);
        assert_eq!(Error::Usage(String::new()).status() as u8, 2);
        assert_eq!(Error::Doctor.status() as u8, 5);
        assert_eq!(Error::Bug(String::new()).status() as u8, 70);
        assert_eq!(Error::Output(io::ErrorKind::BrokenPipe.into()).status() as u8, 0);
    }
}
