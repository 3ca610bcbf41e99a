//! A session: the limits and the output that all machines of one run share. It turns the stop of a machine into an
//! event, an error, or the next step.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::{
    debug::runner,
    lab::{
        error::Error,
        events::{crash_event, log_event, stats_event},
        failure::{GuestError, GuestPosition},
        guest_end::GuestEnd,
        limits::Limits,
        needs::Needs,
        refused::Refused,
        vm::Vm,
    },
    output,
    process::{
        jail::Jail,
        signals,
        watchdog::{Expiry, Pause, Registration, Watchdog},
    },
    runlog::{
        event::{Console, Dropped, End, Event, Profile},
        sink::Sink,
    },
    vmm::{ConsoleOutput, Crash, Expiry as Expired, Halt, Stop, StopReason, pc},
};

/// The limits and the output of one run. The threads that run machines share it.
pub struct Session<'a> {
    limits: Limits,
    jail: Jail,
    needs: Needs,
    watchdog: Arc<Watchdog>,
    sink: Mutex<&'a mut dyn Sink>,
}

impl<'a> Session<'a> {
    /// Starts the run's clock, and opens the files of the output. The threads that run guests enter the jail
    /// ([`confine`](Self::confine)) after that.
    ///
    /// # Errors
    ///
    /// The system did not start a thread, or a file cannot be written.
    pub fn start(limits: &Limits, jail: &Jail, needs: Needs, sink: &'a mut dyn Sink) -> Result<Self, Error> {
        sink.prepare()?;
        let watchdog = Watchdog::start_in(jail, limits.timeout)
            .map_err(|source| Error::Os { what: "start the watchdog thread", source })?;
        let (limits, jail, watchdog) = (limits.clone(), *jail, Arc::new(watchdog));
        Ok(Self { limits, jail, needs, watchdog, sink: Mutex::new(sink) })
    }

    /// Moves the calling thread into the jail forever. No guest may have run before.
    ///
    /// # Errors
    ///
    /// [`Error::Jail`]: the system refused it.
    pub fn confine(&self) -> Result<(), Error> {
        self.jail.enter(&self.needs.thread()).map_err(Error::Jail)
    }

    /// Returns a session with the same limits and another output, for another run of the same threads. It starts this
    /// session's clock again, and shares it.
    pub fn once_more<'b>(&self, sink: &'b mut dyn Sink) -> Session<'b> {
        self.restart_clock();
        let (limits, watchdog) = (self.limits.clone(), Arc::clone(&self.watchdog));
        // The threads are in the jail already.
        Session { limits, jail: Jail::Open, needs: self.needs, watchdog, sink: Mutex::new(sink) }
    }

    /// Starts the clock again, for the next run of the session.
    pub fn restart_clock(&self) {
        self.watchdog.set(self.limits.timeout);
    }

    /// Stops all machines, as if the deadline had passed.
    pub fn stop(&self) {
        self.watchdog.stop(true);
    }

    /// Undoes [`stop`](Self::stop) after all machines have stopped, so that there is time to write the rest of the output.
    pub fn resume(&self) {
        self.watchdog.stop(false);
    }

    fn sink(&self) -> MutexGuard<'_, &'a mut dyn Sink> {
        // A sink that panicked has reported it, and may still work.
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an event to the output.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn event(&self, event: &Event<'_>) -> Result<(), Error> {
        self.write(|sink| sink.event(event))
    }

    /// Flushes the output.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn flush(&self) -> Result<(), Error> {
        self.write(|sink| sink.flush())
    }

    /// Writes under watch, so that a reader that does not read cannot hold the run beyond its deadline.
    fn write(&self, write: impl FnOnce(&mut dyn Sink) -> io::Result<()>) -> Result<(), Error> {
        let registration = self.watchdog.watch_this_thread(None);
        write(&mut **self.sink()).map_err(|error| self.output_error(error, registration.expiry()))
    }

    /// Returns the error for output that could not be written, after this expiry.
    fn output_error(&self, error: io::Error, expiry: Option<Expiry>) -> Error {
        let held = |limit| Error::OutputHeld { limit };
        match (expiry, self.limits.turn_timeout) {
            _ if error.kind() != io::ErrorKind::TimedOut => Error::Output(error),
            (Some(Expiry::Interrupted(signal)), _) => Error::Interrupted { signal, at: None },
            (Some(Expiry::Turn), Some(limit)) => held(limit),
            (Some(_), _) => held(self.limits.timeout),
            (None, _) => Error::Output(error),
        }
    }

    /// Writes the events of the end of a run: the crash, `end`, the amount of dropped output, a tracer's counts, and
    /// statistics if `stats` is true.
    ///
    /// # Errors
    ///
    /// The error of the outcome. If there is none, the output cannot be written.
    pub fn conclude(
        &self,
        outcome: Result<(), Error>,
        end: Option<End>,
        machines: &[Vm],
        stats: bool,
    ) -> Result<(), Error> {
        let report = || {
            if let Err(Error::Guest(error)) = &outcome {
                self.event(&Event::Crash(Box::new(crash_event(error))))?;
                mention_steps(error, machines);
            }
            if let Some(end) = end.filter(|_| matches!(outcome, Ok(()) | Err(Error::Guest(_)))) {
                self.event(&Event::End(Box::new(end)))?;
            }
            self.write_rest(machines, stats)
        };
        let reported = report();
        outcome.and(reported)
    }

    fn write_rest(&self, machines: &[Vm], stats: bool) -> Result<(), Error> {
        let limit = self.limits.max_output;
        for machine in machines {
            let (vm, name, bytes) = (machine.vm(), machine.name().into(), machine.printed().dropped());
            if bytes > 0 {
                self.event(&Event::Dropped(Dropped { vm, name, bytes, limit }))?;
            }
        }
        let vms: Vec<_> = machines.iter().filter_map(Vm::profile).collect();
        if !vms.is_empty() {
            self.event(&Event::Profile(Profile { vms }))?;
        }
        if stats {
            self.event(&stats_event(machines))?;
        }
        self.flush()
    }

    /// Does work for which the caller drives machines itself, with the limits of a turn.
    pub fn watched<T>(&self, work: impl FnOnce(&Watched<'_>) -> T) -> T {
        let registration = self.watchdog.watch_this_thread(self.limits.turn_timeout);
        work(&Watched(&registration))
    }

    /// Runs a machine until its guest has attached its mailbox. Returns the size of the mailbox in bytes.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), or the guest exited.
    pub fn attach(&self, machine: &mut Vm) -> Result<u32, Error> {
        match (self.run(machine, None)?, machine.mailbox_size()) {
            (StopReason::Attached, Some(size)) => Ok(size),
            _ => Err(refuse(machine, None, Refused::LeftExchange)),
        }
    }

    /// Runs turn number `turn` of a machine: copies `mailbox` into the guest's mailbox, which must be attached and of that
    /// size, runs the guest, and copies the mailbox back.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), or the guest attached another mailbox.
    pub fn turn(&self, machine: &mut Vm, turn: u64, mailbox: &mut [u8]) -> Result<TurnEnd, Error> {
        let bug = |error| Error::Bug(format!("a mailbox that was checked when it was attached: {error}"));
        let before = machine.stats().total();
        machine.write_mailbox(mailbox).map_err(bug)?;
        let left = match self.run(machine, Some(turn))? {
            StopReason::TurnEnded => false,
            StopReason::Attached => {
                return Err(guest_error(machine, Some(turn), GuestEnd::Crashed(Crash::MailboxTwice)));
            }
            StopReason::Exited(_)
            | StopReason::Panicked(_)
            | StopReason::Halted
            | StopReason::Device(_)
            | StopReason::OutputClosed => true,
        };
        machine.read_mailbox(mailbox).map_err(bug)?;
        Ok(TurnEnd { exits: machine.stats().total() - before, left })
    }

    /// Runs a machine until its guest stops by itself. An error has the number of the turn.
    ///
    /// # Errors
    ///
    /// The guest crashed, panicked, exited with a status that is not 0, or reached a limit; the process was interrupted;
    /// or the engine or the output failed.
    pub fn run(&self, machine: &mut Vm, turn: Option<u64>) -> Result<StopReason, Error> {
        let (vm, name) = (machine.vm(), machine.shared_name());
        let mut written = Ok(());
        let registration = self.watchdog.watch_this_thread(self.limits.turn_timeout);
        let watched = Watched(&registration);
        let halt = machine.run(&watched, &self.limits, &mut |said| {
            written = self.sink().event(&match said {
                ConsoleOutput::Text(text) => {
                    Event::Console(Console { vm, name: (&*name).into(), text: text.into() })
                }
                ConsoleOutput::Record(record) => Event::Log(log_event(vm, &name, record)),
                // The VM has printed these notices.
                ConsoleOutput::InvalidAddress | ConsoleOutput::HvaDenied => return true,
            });
            written.is_ok()
        });
        written.map_err(|error| self.output_error(error, registration.expiry()))?;
        drop(registration);
        let end = match halt? {
            Halt::Stop(StopReason::Panicked(report)) => GuestEnd::Panicked(report),
            Halt::Stop(StopReason::Exited(status @ 1..)) => GuestEnd::Exited(status),
            Halt::Stop(StopReason::Device(pc::End::Exit { value, is_success: false })) => {
                GuestEnd::ExitPort(value)
            }
            Halt::Stop(stop) => return Ok(stop),
            Halt::Crash(crash) => GuestEnd::Crashed(crash),
            Halt::Interruption(_) => return Err(Error::Bug("an interruption without a diagnosis".into())),
            Halt::Killed => return Err(Error::Killed),
            Halt::Expired(expired) => match (expired, signals::signal(), self.limits.turn_timeout) {
                (Expired::Process, Some(signal), _) => {
                    return Err(Error::Interrupted { signal, at: Some(place(machine, turn)) });
                }
                (Expired::Turn, _, Some(limit)) => GuestEnd::TurnTimeout(limit),
                _ => GuestEnd::Deadline(self.limits.timeout),
            },
            Halt::Exits(max) => GuestEnd::Exits(max),
        };
        Err(guest_error(machine, turn, end))
    }
}

/// The watchdog's registration of a thread, for the machine that it runs.
pub struct Watched<'a>(pub &'a Registration<'a>);

impl Stop for Watched<'_> {
    fn expiry(&self) -> Option<Expired> {
        Some(match self.0.expiry()? {
            Expiry::Interrupted(_) => Expired::Process,
            Expiry::Run => Expired::Run,
            Expiry::Turn => Expired::Turn,
        })
    }

    fn set_alarm(&self, alarm: Option<Instant>) {
        self.0.set_alarm(alarm);
    }

    fn sleep_until(&self, then: Instant) {
        self.0.sleep_until(then);
    }
}

/// The stopped clock of a run and of a turn.
struct Stopped<'a>(#[expect(dead_code, reason = "it stands still until it is dropped")] Pause<'a>);

impl runner::Pause for Stopped<'_> {}

impl runner::Watch for Watched<'_> {
    fn pause(&self) -> Box<dyn runner::Pause + '_> {
        Box::new(Stopped(self.0.pause()))
    }
}

/// The end of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnEnd {
    /// The number of exits during the turn.
    pub exits: u64,
    /// True if the guest exited with status 0. Otherwise it waits for its next turn.
    pub left: bool,
}

/// Returns the error for a guest that failed in this way.
pub fn guest_error(machine: &mut Vm, turn: Option<u64>, end: GuestEnd) -> Error {
    let trap = match &end {
        GuestEnd::Crashed(Crash::Trap(report)) => Some(&report.record),
        _ => None,
    };
    let evidence = Some(machine.evidence(trap));
    Error::Guest(Box::new(GuestError { at: place(machine, turn), end, evidence }))
}

fn place(machine: &Vm, turn: Option<u64>) -> GuestPosition {
    GuestPosition { vm: machine.vm(), name: machine.name().into(), turn }
}

/// Returns the error for an act of a guest that its experiment refuses.
pub fn refuse(machine: &mut Vm, turn: Option<u64>, refused: Refused) -> Error {
    guest_error(machine, turn, GuestEnd::Refused(refused))
}

/// Prints a note if a guest whose time was up was stepped, because it may only have been slow.
fn mention_steps(error: &GuestError, machines: &[Vm]) {
    let machine = machines.iter().find(|machine| machine.vm() == error.at.vm);
    if let Some(stepped) = machine.filter(|_| error.end.is_time_dependent()).and_then(Vm::stepped) {
        let GuestPosition { vm, name, .. } = &error.at;
        output::warn(&format!(
            "VM {vm}, {name} was stepped, which is slow: it executed {stepped} instructions; --timeout SECONDS gives it more time"
        ));
    }
}
