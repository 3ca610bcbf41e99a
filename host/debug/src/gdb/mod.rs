//! A debugger: gdb's remote protocol (gdb manual, appendix E "gdb Remote Serial Protocol") for one VM, over
//! `KVM_SET_GUEST_DEBUG`.
//!
//! The guest's thread serves gdb: it waits for requests while the guest is stopped, and looks for an interrupt every few
//! milliseconds while the guest runs. Hypercalls are served as always, so that gdb sees a guest that runs from turn to
//! turn. The other VMs of an exchange wait, as in any turn that is not theirs. While gdb has stopped the guest, the run's
//! deadline is paused.
//!
//! After `detach` or a broken connection the guest continues without gdb; `kill` ends the run.

mod address;
mod arch;
mod breakpoints;
mod host_files;
mod line;
mod packet;
mod past;
mod target;

use std::{
    io,
    ops::ControlFlow,
    time::{Duration, Instant},
};

pub use address::Address;
use gdbstub::{
    common::Signal,
    stub::{
        DisconnectReason, GdbStub, GdbStubError, SingleThreadStopReason,
        state_machine::GdbStubStateMachine as Stub,
    },
    target::ext::base::reverse_exec::ReplayLogPosition,
};
use gdbstub_arch::x86::{X86_64_SSE, X86_SSE};
use guest_abi::mode::CpuMode;
use guestlab_cpu::{DebugFeatures, EngineError, Exit, Stepped, Until};
use guestlab_process::{signals, sockets::UnixStream, stderr::warn};
use guestlab_vmm::{Console, Expiry, Halt, Machine, StopReason};

use crate::gdb::{
    address::Listener,
    arch::GuestArch,
    breakpoints::{Break, Pace},
    line::Line,
    past::{Past, Point},
    target::{Back, Guest, Resume},
};
use crate::runner::{Runner, Watch};

/// The time between two looks for gdb's interrupt while the guest runs.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The VM to debug, and the address for gdb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GdbConfig {
    /// The address that gdb connects to.
    pub address: Address,
    /// The VM's number.
    pub vm: u32,
}

/// The error of an address that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot wait for gdb at {address}: {source}; another program may use the address, or a socket's file may be left over"
)]
pub struct GdbError {
    /// The address.
    pub address: String,
    /// The system's own error.
    pub source: io::Error,
}

/// Returns a runner that puts a machine under gdb. It waits for gdb when the guest is about to begin. `file` is the
/// image's file, if gdb can read it.
///
/// # Errors
///
/// The address cannot be had.
pub fn debugger(
    config: &GdbConfig,
    machine: &Machine,
    features: DebugFeatures,
    file: Option<&std::path::Path>,
) -> Result<Box<dyn Runner>, GdbError> {
    let failed = |source| GdbError { address: config.address.to_string(), source };
    let listener = Listener::bind(&config.address).map_err(failed)?;
    let address = listener.address().map_err(failed)?;
    let file = file.map_or(String::new(), |file| format!("{} ", file.display()));
    warn(&format!(
        "VM {}, {}, waits for gdb: gdb {file}-ex 'target remote {address}'",
        machine.vm(),
        machine.name(),
    ));
    if features.breakpoints == 0 || features.watchpoints == 0 {
        let what = if features.breakpoints > 0 { "watchpoints" } else { "breakpoints and watchpoints" };
        warn(&format!(
            "KVM here has no {what} in debug registers: with one set the guest is stepped, which is slow"
        ));
    }
    Ok(runner(machine.mode(), listener, features))
}

/// Returns a runner for a gdb that is connected already, as in tests.
pub fn connected(mode: CpuMode, gdb: UnixStream, features: DebugFeatures) -> Box<dyn Runner> {
    runner(mode, Listener::Connected(gdb), features)
}

fn runner(mode: CpuMode, listener: Listener, features: DebugFeatures) -> Box<dyn Runner> {
    match mode {
        CpuMode::Long => Box::new(Debugger::<X86_64_SSE>::new(listener, features)),
        _ => Box::new(Debugger::<X86_SSE>::new(listener, features)),
    }
}

/// A VM under gdb.
struct Debugger<A: GuestArch> {
    guest: Guest<A>,
    features: DebugFeatures,
    session: Session<A>,
    /// The last pace of the vCPU.
    pace: Pace,
    /// The kind of the last exit.
    last: Last,
    /// The time of the next look for gdb's interrupt.
    next_poll: Instant,
    /// The stop reason for gdb when the run is over.
    end: Reason<A>,
    past: Past,
    /// gdb's user went back from the guest's end: the next run goes on from there.
    goes_on: bool,
}

/// The state of the connection to gdb.
enum Session<A: GuestArch> {
    /// gdb has not connected yet.
    Waiting(Listener),
    /// gdb is connected. The listener keeps the socket's file.
    Open(Stub<'static, Guest<A>, Line>, Listener),
    /// gdb is gone.
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Served,
    Points(u64),
}

type Reason<A> = SingleThreadStopReason<<A as gdbstub::arch::Arch>::Usize>;

/// The reason why a session broke.
#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error(transparent)]
    Line(#[from] io::Error),
    #[error(transparent)]
    Stub(#[from] GdbStubError<EngineError, io::Error>),
}

/// gdb's request that ends a stop.
enum Request<A: GuestArch> {
    /// Run the guest.
    Go(Stub<'static, Guest<A>, Line>),
    /// Continue without gdb.
    Left,
    /// End the run.
    Kill,
}

impl<A: GuestArch> Debugger<A> {
    fn new(listener: Listener, features: DebugFeatures) -> Self {
        Self {
            guest: Guest::new(),
            features,
            session: Session::Waiting(listener),
            pace: Pace::Free,
            last: Last::Nothing,
            next_poll: Instant::now(),
            end: SingleThreadStopReason::Exited(0),
            past: Past::new(),
            goes_on: false,
        }
    }

    /// Returns the reason to stop for gdb, if the guest's last entry ended with one.
    fn stop_reason(&mut self, machine: &mut Machine) -> Result<Option<Reason<A>>, EngineError> {
        let last = std::mem::replace(&mut self.last, Last::Nothing);
        let cpu = machine.cpu_mut();
        if self.pace != Pace::Step {
            return match last {
                Last::Points(bits) => self.met(machine, bits).map(Some),
                Last::Served => cpu.complete().map(|()| None),
                Last::Nothing => Ok(None),
            };
        }
        cpu.complete()?;
        match cpu.stepped() {
            Stepped::Nothing => return Ok(None),
            Stepped::Delivery(_) => {}
            Stepped::Instructions(all) => {
                if let Some(watch) = self.guest.points.watch_met(all) {
                    return Ok(Some(watched::<A>(watch)));
                }
            }
        }
        let at = cpu.registers()?.instruction();
        let is_over = match self.guest.resume {
            Resume::Continue => false,
            Resume::Step => true,
            Resume::Range(start, end) => !(start..end).contains(&at),
        };
        Ok(self.break_at(at).or(is_over.then_some(SingleThreadStopReason::DoneStep)))
    }

    /// Returns the breakpoint or watchpoint at which debug registers stopped the guest.
    fn met(&self, machine: &mut Machine, bits: u64) -> Result<Reason<A>, EngineError> {
        if let Some(watch) = self.guest.points.watch_of(bits) {
            return Ok(watched::<A>(watch));
        }
        let at = machine.cpu_mut().registers()?.instruction();
        Ok(self.break_at(at).unwrap_or(SingleThreadStopReason::Signal(Signal::SIGTRAP)))
    }

    fn break_at(&self, at: u64) -> Option<Reason<A>> {
        self.guest.points.break_at(at).map(broken::<A>)
    }

    /// Reports a stop to gdb, if there is one, and handles requests until gdb lets the guest run forwards. The guest's vCPU
    /// is gdb's meanwhile. Returns false if gdb ends the run.
    fn talk(
        &mut self,
        machine: &mut Machine,
        mut reason: Option<Reason<A>>,
        watch: &dyn Watch,
    ) -> Result<bool, EngineError> {
        self.guest.goes_back = machine.cpu().instructions().is_some();
        (self.guest.files.name, self.guest.files.plan) = (machine.name().into(), machine.layout().plan());
        loop {
            machine.swap_cpu(&mut self.guest.cpu);
            let outcome = self.talk_with_cpu(reason, watch);
            machine.swap_cpu(&mut self.guest.cpu);
            if std::mem::take(&mut self.guest.is_changed) {
                self.past.forget();
            }
            match outcome? {
                Outcome::Go => match self.go_back(machine, watch)? {
                    Some(arrival) => reason = Some(arrival),
                    None => return Ok(true),
                },
                Outcome::Kill => return Ok(false),
                Outcome::Left => break,
            }
        }
        self.session = Session::Closed;
        self.pace = Pace::Free;
        machine.cpu_mut().set_breakpoints(&[])?;
        Ok(true)
    }

    /// Goes back if gdb asks for it. Returns the reason to stop there.
    fn go_back(
        &mut self,
        machine: &mut Machine,
        watch: &dyn Watch,
    ) -> Result<Option<Reason<A>>, EngineError> {
        let Some(back) = self.guest.back.take() else { return Ok(None) };
        let _pause = watch.pause();
        // The last step may have held them back, but what is repeated took them.
        machine.hold_interrupts(false);
        let arrival = match back {
            Back::Step => self.past.step_back(machine, watch)?.then_some(SingleThreadStopReason::DoneStep),
            Back::Continue => {
                let pace = self.guest.points.pace(self.features);
                self.past.go_back(&self.guest.points, &pace, machine, watch)?.map(|met| match met.point {
                    Point::Break(point) => broken::<A>(point),
                    Point::Watch(watch) => watched::<A>(watch),
                })
            }
        };
        // The vCPU has no breakpoints now.
        (self.pace, self.last) = (Pace::Free, Last::Nothing);
        (self.goes_on, self.end) = (true, SingleThreadStopReason::Exited(0));
        let begin = SingleThreadStopReason::ReplayLog { tid: None, pos: ReplayLogPosition::Begin };
        Ok(Some(arrival.unwrap_or(begin)))
    }

    fn talk_with_cpu(
        &mut self,
        reason: Option<Reason<A>>,
        watch: &dyn Watch,
    ) -> Result<Outcome, EngineError> {
        let (stub, listener) = match std::mem::replace(&mut self.session, Session::Closed) {
            Session::Closed => return Ok(Outcome::Go),
            Session::Open(stub, listener) => (Ok(stub), listener),
            Session::Waiting(listener) => {
                let _pause = watch.pause();
                (self.begin(&listener), listener)
            }
        };
        match stub.and_then(|stub| self.run_stub(stub, reason, watch)) {
            Ok(Request::Go(stub)) => {
                self.session = Session::Open(stub, listener);
                Ok(Outcome::Go)
            }
            Ok(Request::Left) => Ok(Outcome::Left),
            Ok(Request::Kill) => Ok(Outcome::Kill),
            Err(broken) => broken_session(broken),
        }
    }

    /// Waits for gdb.
    fn begin(&mut self, listener: &Listener) -> Result<Stub<'static, Guest<A>, Line>, SessionError> {
        Ok(GdbStub::new(listener.accept()?).run_state_machine(&mut self.guest)?)
    }

    fn run_stub(
        &mut self,
        mut stub: Stub<'static, Guest<A>, Line>,
        mut reason: Option<Reason<A>>,
        watch: &dyn Watch,
    ) -> Result<Request<A>, SessionError> {
        let guest = &mut self.guest;
        let mut pause = None;
        loop {
            stub = match stub {
                Stub::Running(running) if reason.is_some() => {
                    let reason = reason.take().unwrap_or(SingleThreadStopReason::DoneStep);
                    running.report_stop(guest, reason)?
                }
                Stub::Running(mut running) => match running.borrow_conn().next_if_there() {
                    Ok(None) => return Ok(Request::Go(running.into())),
                    Ok(Some(byte)) => running.incoming_data(guest, byte)?,
                    Err(error) => return Err(error.into()),
                },
                Stub::Idle(mut idle) => {
                    pause.get_or_insert_with(|| watch.pause());
                    let byte = idle.borrow_conn().next()?;
                    idle.incoming_data(guest, byte)?
                }
                Stub::CtrlCInterrupt(interrupted) => {
                    let reason = Some(SingleThreadStopReason::Signal(Signal::SIGINT));
                    interrupted.interrupt_handled(guest, reason)?
                }
                Stub::Disconnected(gone) => {
                    return Ok(match gone.get_reason() {
                        DisconnectReason::Kill => Request::Kill,
                        _ => Request::Left,
                    });
                }
            };
        }
    }

    /// Returns the stop reason for a signal that ends the guest. gdb's user can still inspect it, but the run ends then.
    fn fatal(&mut self, signal: Signal) -> Reason<A> {
        self.end = SingleThreadStopReason::Terminated(signal);
        SingleThreadStopReason::Signal(signal)
    }

    /// Sets breakpoints for the next entry, and returns how far it goes.
    fn until(&mut self, machine: &mut Machine) -> Result<Until, EngineError> {
        let fresh = std::mem::replace(&mut self.guest.fresh, false);
        let pace = match self.guest.resume {
            Resume::Step | Resume::Range(..) => Pace::Step,
            Resume::Continue => self.guest.points.pace(self.features),
        };
        // A breakpoint at the next instruction would stop the guest before it executes one.
        let stands_on = matches!(pace, Pace::To(_)) && fresh && {
            let at = machine.cpu_mut().registers()?.instruction();
            self.guest.points.break_at(at).is_some()
        };
        let pace = if stands_on { Pace::Step } else { pace };
        if pace != self.pace {
            match &pace {
                Pace::Step => {}
                Pace::Free => machine.cpu_mut().set_breakpoints(&[])?,
                Pace::To(points) => machine.cpu_mut().set_breakpoints(points)?,
            }
        }
        self.pace = pace;
        Ok(if self.pace == Pace::Step { Until::Step } else { Until::Exit })
    }

    /// Returns true if interrupts must wait: a step that gdb's user asked for takes none, as in other debuggers.
    fn holds_interrupts(&self) -> bool {
        let is_asked_for =
            self.guest.resume != Resume::Continue || self.guest.points.pace(self.features) != Pace::Step;
        matches!(self.session, Session::Open(..)) && self.pace == Pace::Step && is_asked_for
    }

    /// Returns true if it is time to look for gdb's interrupt.
    fn is_time_to_poll(&mut self) -> bool {
        let now = Instant::now();
        let is_time = now >= self.next_poll;
        if is_time {
            self.next_poll = now + POLL_INTERVAL;
        }
        is_time
    }
}

impl<A: GuestArch> Runner for Debugger<A> {
    fn run(
        &mut self,
        machine: &mut Machine,
        watch: &dyn Watch,
        console: &mut Console<'_>,
    ) -> Result<Halt, EngineError> {
        machine.begin();
        // Between two turns the host writes the mailbox: there is no way back over that.
        if !std::mem::take(&mut self.goes_on) {
            self.past.forget();
        }
        let halt = loop {
            let mut until = Until::Exit;
            if !matches!(self.session, Session::Closed) && watch.expiry().is_none() {
                // The statistics must not charge the guest for gdb's time.
                machine.is_served(Instant::now());
                let polls = self.is_time_to_poll() || matches!(self.session, Session::Waiting(_));
                let reason = self.stop_reason(machine)?;
                self.past.note(machine);
                if (polls || reason.is_some()) && !self.talk(machine, reason, watch)? {
                    break Halt::Killed;
                }
                if matches!(self.session, Session::Open(..)) {
                    until = self.until(machine)?;
                }
            }
            machine.set_wake(matches!(self.session, Session::Open(..)).then_some(self.next_poll));
            let holds = self.holds_interrupts();
            machine.hold_interrupts(holds);
            if holds && machine.has_interrupt() {
                // A repetition would let it come.
                self.past.forget();
            }
            let repeats = self.past.repeats(machine);
            let until = repeats.filter(|_| until == Until::Exit).map_or(until, Until::Count);
            // What is repeated was printed already.
            match machine.enter(until, watch, &mut |output| repeats.is_some() || console(output))? {
                ControlFlow::Break(halt) => break halt,
                ControlFlow::Continue(exit) => {
                    self.last = match exit {
                        Exit::Debug { points: 0 } if matches!(until, Until::Count(_)) => Last::Nothing,
                        Exit::Debug { points } => Last::Points(points),
                        Exit::Interrupted | Exit::InterruptWindow => Last::Nothing,
                        _ => Last::Served,
                    };
                }
            }
        };
        machine.set_wake(None);
        machine.hold_interrupts(false);
        self.goes_on = false;
        Ok(halt)
    }

    /// Reports the guest's end to gdb. gdb's user can inspect the guest until the run continues.
    fn halted(
        &mut self,
        machine: &mut Machine,
        halt: Halt,
        watch: &dyn Watch,
    ) -> Result<ControlFlow<Halt>, EngineError> {
        let reason = match &halt {
            Halt::Stop(StopReason::Exited(status)) => {
                SingleThreadStopReason::Exited(u8::try_from(*status).unwrap_or(u8::MAX))
            }
            Halt::Stop(StopReason::Device(end)) => {
                SingleThreadStopReason::Exited(u8::from(!end.is_success()))
            }
            Halt::Stop(StopReason::Halted) => SingleThreadStopReason::Exited(0),
            Halt::Expired(Expiry::Process) => SingleThreadStopReason::Terminated(Signal::SIGINT),
            Halt::Expired(_) => SingleThreadStopReason::Terminated(Signal::SIGALRM),
            Halt::Exits(_) => SingleThreadStopReason::Terminated(Signal::SIGXCPU),
            Halt::Stop(StopReason::Panicked(_)) => self.fatal(Signal::SIGABRT),
            Halt::Crash(_) | Halt::Interruption(_) => self.fatal(Signal::SIGSEGV),
            Halt::Stop(_) | Halt::Killed => return Ok(ControlFlow::Break(halt)),
        };
        if matches!(self.session, Session::Waiting(_)) {
            return Ok(ControlFlow::Break(halt));
        }
        self.goes_on = false;
        Ok(match self.talk(machine, Some(reason), watch)? {
            true if self.goes_on => ControlFlow::Continue(()),
            true => ControlFlow::Break(halt),
            false => ControlFlow::Break(Halt::Killed),
        })
    }
}

/// Returns the reason of a stop at a breakpoint.
fn broken<A: GuestArch>(point: Break) -> Reason<A> {
    match point.hardware {
        true => SingleThreadStopReason::HwBreak(()),
        false => SingleThreadStopReason::SwBreak(()),
    }
}

/// Returns the reason of a stop at a watchpoint.
fn watched<A: GuestArch>(watch: breakpoints::Watch) -> Reason<A> {
    let addr = A::to_usize(watch.address);
    SingleThreadStopReason::Watch { tid: (), kind: watch.kind, addr }
}

/// The outcome of a session with gdb.
enum Outcome {
    /// The guest continues under gdb.
    Go,
    /// gdb is gone, and the guest continues without it.
    Left,
    /// gdb ends the run.
    Kill,
}

/// Handles a broken session: the guest continues without gdb, unless the engine failed.
fn broken_session(broken: SessionError) -> Result<Outcome, EngineError> {
    if signals::signal().is_some() {
        return Ok(Outcome::Left);
    }
    warn(&format!("the conversation with gdb broke off ({broken}); the guest runs on"));
    match broken {
        SessionError::Stub(error) if error.is_target_error() => match error.into_target_error() {
            Some(error) => Err(error),
            None => Ok(Outcome::Left),
        },
        _ => Ok(Outcome::Left),
    }
}

/// Reports the end of the run to gdb, if the guest was still waiting for its next turn.
impl<A: GuestArch> Drop for Debugger<A> {
    fn drop(&mut self) {
        if let Session::Open(Stub::Running(mut running), _) =
            std::mem::replace(&mut self.session, Session::Closed)
            && running.borrow_conn().part().is_ok()
        {
            // An error means that gdb has closed the connection: then no report is needed.
            let _ = running.report_stop(&mut self.guest, self.end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::Shutdown,
    };

    use guest_abi::layout::PAGE_SIZE;

    use std::sync::Arc;

    use guestlab_soft::Soft;
    use guestlab_vmm::{Image, ImageFormat, Never, Parameters, Request, Setup};

    use super::*;
    use crate::runner::Pause;

    /// A watch without limits, and without a clock.
    struct Unlimited;

    impl guestlab_vmm::Stop for Unlimited {
        fn expiry(&self) -> Option<Expiry> {
            None
        }

        fn set_alarm(&self, _: Option<Instant>) {}

        fn sleep_until(&self, then: Instant) {
            Never.sleep_until(then);
        }
    }

    impl Watch for Unlimited {
        fn pause(&self) -> Box<dyn Pause + '_> {
            struct Clockless;
            impl Pause for Clockless {}
            Box::new(Clockless)
        }
    }

    /// A guest in long mode whose last page is the first of its memory, too.
    fn guest_at_the_end() -> Machine {
        let request = Request {
            format: Some(ImageFormat::Flat),
            load: Some(0),
            mode: Some(CpuMode::Long),
            entry: None,
        };
        let image = Image::parse("x", b"\xF4guest".into(), request).expect("an image");
        let parameters = Parameters { vm: 1, seed: 1, memory: PAGE_SIZE, arguments: &[] };
        let mut machine = Machine::new(&Setup::new(Arc::new(Soft)), &image, parameters).expect("a machine");
        // The last entries of all levels. The last of the directories becomes the table of 4 KiB pages. The tables lie behind
        // the page of the host's.
        const LAST: u32 = PAGE_SIZE - 8;
        let top = 2 * PAGE_SIZE;
        let table = top + 5 * PAGE_SIZE;
        for (level, entry) in [(0, top + PAGE_SIZE), (1, top + 2 * PAGE_SIZE), (2, table), (5, 0)] {
            let entry = u64::from(entry | 0b11).to_le_bytes();
            let address = u64::from(top + level * PAGE_SIZE + LAST);
            machine.cpu_mut().memory_mut().write(address, &entry).expect("memory");
        }
        machine
    }

    /// Returns gdb's answers to these packets, after which gdb closes the connection.
    fn answers(mut machine: Machine, packets: &[&str]) -> Vec<String> {
        let (ours, mut gdb) = UnixStream::pair().expect("sockets");
        let words: String = packets
            .iter()
            .map(|body| format!("${body}#{:02x}", body.bytes().fold(0_u8, u8::wrapping_add)))
            .collect();
        gdb.write_all(words.as_bytes()).expect("room");
        gdb.shutdown(Shutdown::Write).expect("a connection");
        let mut runner = connected(CpuMode::Long, ours, DebugFeatures::default());
        // gdb reads at the same time: a socket has room for few answers.
        let reader = std::thread::spawn(move || {
            let mut heard = String::new();
            gdb.read_to_string(&mut heard).expect("text");
            heard
        });
        runner.run(&mut machine, &Unlimited, &mut |_| true).expect("an engine that works");
        drop(runner);
        let heard = reader.join().expect("an end");
        heard.split('$').skip(1).map(|answer| answer.split('#').next().unwrap_or_default().into()).collect()
    }

    #[test]
    fn memory_is_read_at_the_end_of_the_address_space() {
        let machine = guest_at_the_end();
        let packets = ["mfffffffffffff000,6", "mffffffffffffffff,2", "mfffffffffffff000,2000", "m7fff,800"];
        let answers = answers(machine, &packets);
        assert_eq!(answers[0], "f46775657374");
        // A byte behind the end is the first.
        assert_eq!(answers[1], "00f4");
        assert!(answers[2].starts_with("f46775657374"), "{answers:?}");
        // There are no more bytes: a part is the answer.
        assert_eq!(answers[3].len(), 2, "{answers:?}");
    }

    #[test]
    fn more_points_than_there_may_be_are_refused() {
        let machine = guest_at_the_end();
        let packets: Vec<String> =
            (0..1026).map(|address| format!("Z{},{address:x},1", address % 3)).collect();
        let packets: Vec<&str> = packets.iter().map(String::as_str).collect();
        let taken = answers(machine, &packets);
        assert_eq!(taken.iter().filter(|answer| *answer == "OK").count(), 1024);
        assert_eq!(taken[1025], "E16");
    }
}
