//! A session: what all machines of one run share, and how a machine's stop becomes an event, an
//! error, or the next step.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    crash::Crash,
    error::{Error, GuestEnd, GuestError},
    event::{Console, CrashEvent, Event, Exits, Location, StatsEvent, VmStats},
    hypercall::Stop,
    machine::{Halt, Machine},
    output::Sink,
    stats::ExitStats,
    watchdog::Watchdog,
};

/// The deadline and the output of one run. Threads that run machines share it.
pub struct Session<'a> {
    timeout: Duration,
    watchdog: Watchdog,
    sink: Mutex<&'a mut dyn Sink>,
}

impl<'a> Session<'a> {
    /// Starts the run's clock.
    ///
    /// # Errors
    ///
    /// The system gave no thread.
    pub fn start(timeout: Duration, sink: &'a mut dyn Sink) -> Result<Self, Error> {
        let watchdog = Watchdog::start(timeout)
            .map_err(|source| Error::Os { what: "start the watchdog thread", source })?;
        Ok(Self { timeout, watchdog, sink: Mutex::new(sink) })
    }

    /// Starts the clock anew, for the next run of a session that has many.
    pub fn restart_clock(&self) {
        self.watchdog.set(self.timeout);
    }

    /// Gets all machines to stop, as if the deadline had passed.
    pub fn stop(&self) {
        self.watchdog.set(Duration::ZERO);
    }

    fn sink(&self) -> MutexGuard<'_, &'a mut dyn Sink> {
        // A sink that panicked has said so, and takes what it still can.
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands an event to the output.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn event(&self, event: &Event<'_>) -> Result<(), Error> {
        self.sink().event(event).map_err(Error::Output)
    }

    /// Brings the output to its reader.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn flush(&self) -> Result<(), Error> {
        self.sink().flush().map_err(Error::Output)
    }

    /// Runs a machine until its guest has attached its mailbox, and says how many bytes that has.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run); or the guest exited.
    pub fn attach(&self, machine: &mut Machine) -> Result<u32, Error> {
        match (self.run(machine, None)?, machine.mailbox_size()) {
            (Stop::Attached, Some(size)) => Ok(size),
            _ => Err(refuse(machine, None, Crash::LeftExchange)),
        }
    }

    /// Gives a machine turn number `turn`: the guest finds `mailbox` in its own, which must be attached
    /// and of that size, and what it leaves there is `mailbox` then.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run); or the guest attached another mailbox.
    pub fn turn(&self, machine: &mut Machine, turn: u64, mailbox: &mut [u8]) -> Result<TurnEnd, Error> {
        let bug = |error| Error::Bug(format!("a mailbox that was checked when it was attached: {error}"));
        let before = machine.stats().total();
        machine.write_mailbox(mailbox).map_err(bug)?;
        let left = match self.run(machine, Some(turn))? {
            Stop::TurnEnded => false,
            Stop::Attached => return Err(refuse(machine, Some(turn), Crash::MailboxTwice)),
            Stop::Exited(_) | Stop::Panicked(_) | Stop::Halted | Stop::Unheard => true,
        };
        machine.read_mailbox(mailbox).map_err(bug)?;
        Ok(TurnEnd { exits: machine.stats().total() - before, left })
    }

    /// Runs a machine until its guest stops of its own will; `turn` is for the report otherwise.
    ///
    /// # Errors
    ///
    /// The guest crashed, panicked, exited with a status that is not 0, or ran past the deadline;
    /// or KVM or the output failed.
    pub fn run(&self, machine: &mut Machine, turn: Option<u64>) -> Result<Stop, Error> {
        let (vm, name) = (machine.vm(), machine.name().to_owned());
        let mut written = Ok(());
        let registration = self.watchdog.watch_this_thread();
        let halt = machine.run(&self.watchdog, &mut |text| {
            written = self.sink().event(&Event::Console(Console { vm, name: &name, text }));
            written.is_ok()
        });
        drop(registration);
        written.map_err(Error::Output)?;
        let end = match halt? {
            Halt::Stop(Stop::Panicked(report)) => GuestEnd::Panicked(report),
            Halt::Stop(Stop::Exited(status @ 1..)) => GuestEnd::Exited(status),
            Halt::Stop(stop) => return Ok(stop),
            Halt::Crash(crash, address) => GuestEnd::Crashed(crash, address),
            Halt::Killed => return Err(Error::Killed),
            Halt::Deadline => GuestEnd::Deadline(self.timeout),
        };
        Err(guest_error(machine, turn, end))
    }
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnEnd {
    /// The number of exits that it cost.
    pub exits: u64,
    /// Whether the guest exited, with status 0; otherwise it waits for its next turn.
    pub left: bool,
}

/// The error that a machine's guest ended this way.
pub fn guest_error(machine: &Machine, turn: Option<u64>, end: GuestEnd) -> Error {
    Error::Guest(GuestError { vm: machine.vm(), name: machine.name().into(), turn, end })
}

/// The error that a machine's guest did what the experiment does not allow.
pub fn refuse(machine: &Machine, turn: Option<u64>, crash: Crash) -> Error {
    guest_error(machine, turn, GuestEnd::Crashed(crash, None))
}

/// The event of a guest's end.
pub fn crash_event(error: &GuestError) -> CrashEvent<'_> {
    let (address, location) = match &error.end {
        GuestEnd::Crashed(_, address) => (*address, None),
        GuestEnd::Panicked(report) => {
            let file = String::from_utf8_lossy(&report.file).into_owned();
            (None, Some(Location { file, line: report.line, column: report.column }))
        }
        GuestEnd::Exited(_) | GuestEnd::Deadline(_) => (None, None),
    };
    CrashEvent {
        vm: error.vm,
        name: &error.name,
        turn: error.turn,
        reason: error.end.name(),
        message: error.end.to_string(),
        address,
        location,
        hint: error.end.hint(),
        states: match &error.end {
            GuestEnd::Crashed(Crash::Violation(refusal), _) => Some(&refusal.states),
            _ => None,
        },
    }
}

/// A machine's exits, for an event.
pub fn exits(stats: &ExitStats) -> Exits {
    Exits { by_kind: stats.by_kind(), total: stats.total() }
}

/// The event with the statistics of all machines.
pub fn stats_event(machines: &[Machine]) -> Event<'_> {
    let vms = machines.iter().map(|machine| VmStats {
        vm: machine.vm(),
        name: machine.name(),
        stats: machine.stats(),
    });
    Event::Stats(StatsEvent { vms: vms.collect() })
}
