//! A debugger: gdb's remote protocol (gdb manual, appendix E "gdb Remote Serial Protocol") for one VM, over
//! `KVM_SET_GUEST_DEBUG`.
//!
//! The guest's thread speaks with gdb itself: it waits for gdb's word whenever the guest is stopped, and
//! looks for an interrupt every few milliseconds while it runs. Hypercalls are served as always, so that
//! gdb sees a guest that simply runs on from turn to turn; the other VMs of an exchange wait as they do in
//! any turn that is not theirs. While gdb has the guest stopped the run's deadline stands still.
//!
//! `detach`, or a connection that breaks, lets the guest run on alone; `kill` ends the run.

mod address;
mod arch;
mod breakpoints;
mod line;
mod packet;
mod probe;
mod target;

use std::{
    io,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

pub use address::Address;
use gdbstub::{
    common::Signal,
    stub::{
        DisconnectReason, GdbStub, GdbStubError, SingleThreadStopReason,
        state_machine::GdbStubStateMachine as Stub,
    },
};
use gdbstub_arch::x86::{X86_64_SSE, X86_SSE};
use guest_abi::mode::CpuMode;

use crate::debug::gdb::{
    address::Listener,
    arch::GuestArch,
    breakpoints::Ability,
    line::Line,
    target::{Guest, Resume},
};
use crate::{
    debug::driver::{Driver, Order},
    kvm::{
        Exit, Pace, System, Vcpu, VcpuError,
        step::{Passed, SINGLE_STEP, Stepper},
    },
    lab::error::Error,
    output,
    process::{
        signals,
        watchdog::{Expiry, Registration},
    },
    vmm::{
        hypercall::Stop,
        machine::{Halt, Machine},
    },
};

/// How often a guest that runs is interrupted to look for gdb's own interrupt.
const LISTEN_INTERVAL: Duration = Duration::from_millis(20);

/// What to debug, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where gdb is awaited.
    pub address: Address,
    /// The VM's number.
    pub vm: u32,
}

/// Hands a machine to gdb, which is awaited when the guest is about to begin.
///
/// # Errors
///
/// The address cannot be had, or this machine's KVM does not step guests.
pub fn debugged(system: &System, plan: &Plan, machine: Machine) -> Result<Machine, Error> {
    let mode = machine.mode();
    let ability = probe::ability(system, mode)?;
    let listen = |source| Error::Gdb { address: plan.address.to_string(), source };
    let listener = Listener::bind(&plan.address).map_err(listen)?;
    let address = listener.address().map_err(listen)?;
    // A flat binary has no symbols, and gdb refuses to read one.
    let file = match machine.origin().is_elf() {
        true => format!("{} ", machine.file().display()),
        false => String::new(),
    };
    output::complain(&format!(
        "VM {}, {}, waits for gdb: gdb {file}-ex 'target remote {address}'",
        machine.vm(),
        machine.name(),
    ));
    if !ability.execute || !ability.data {
        let what = if ability.execute { "watchpoints" } else { "breakpoints and watchpoints" };
        output::complain(&format!(
            "KVM here has no {what} in debug registers: with one set the guest is stepped, which is slow"
        ));
    }
    Ok(machine.driven_by(|vcpu| driver(vcpu, mode, listener, ability)))
}

/// Hands a vCPU to a gdb that is connected already, as where one is tried out. `has_points` says whether
/// debug registers are used for breakpoints and watchpoints.
pub fn connected(vcpu: Vcpu, mode: CpuMode, gdb: UnixStream, has_points: bool) -> Box<dyn Driver> {
    let ability = Ability { execute: has_points, data: has_points };
    driver(vcpu, mode, Listener::Connected(gdb), ability)
}

fn driver(vcpu: Vcpu, mode: CpuMode, listener: Listener, ability: Ability) -> Box<dyn Driver> {
    match mode {
        CpuMode::Long => Box::new(Debugger::<X86_64_SSE>::new(vcpu, listener, ability)),
        _ => Box::new(Debugger::<X86_SSE>::new(vcpu, listener, ability)),
    }
}

/// A VM under gdb.
struct Debugger<A: GuestArch> {
    guest: Guest<A>,
    ability: Ability,
    talk: Talk<A>,
    stepper: Stepper,
    /// The pace that the vCPU was given last.
    pace: Pace,
    /// What the last exit was, as far as it matters.
    last: Last,
    /// When gdb is to be listened to again.
    listens: Instant,
    /// What gdb is told when the run is over.
    end: Reason<A>,
}

/// How the conversation with gdb stands.
enum Talk<A: GuestArch> {
    /// gdb has not come yet.
    Awaited(Listener),
    /// It is there; the listener keeps the socket's file.
    On(Stub<'static, Guest<A>, Line>, Listener),
    /// It is gone.
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Served,
    Points(u8),
}

type Reason<A> = SingleThreadStopReason<<A as gdbstub::arch::Arch>::Usize>;

/// Why a conversation could not go on.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Line(#[from] io::Error),
    #[error(transparent)]
    Stub(#[from] GdbStubError<VcpuError, io::Error>),
}

/// What a conversation ended with.
enum Word<A: GuestArch> {
    /// gdb wants the guest to run.
    Go(Stub<'static, Guest<A>, Line>),
    /// gdb has gone and leaves the guest alone.
    Left,
    /// gdb wants the run to end.
    Kill,
}

impl<A: GuestArch> Debugger<A> {
    fn new(vcpu: Vcpu, listener: Listener, ability: Ability) -> Self {
        Self {
            guest: Guest::new(vcpu),
            ability,
            talk: Talk::Awaited(listener),
            stepper: Stepper::default(),
            pace: Pace::Free,
            last: Last::Nothing,
            listens: Instant::now(),
            end: SingleThreadStopReason::Exited(0),
        }
    }

    /// What gdb is to be told of what the guest did since it was entered.
    fn happened(&mut self) -> Result<Option<Reason<A>>, VcpuError> {
        let last = std::mem::replace(&mut self.last, Last::Nothing);
        if self.pace != Pace::Step {
            return match last {
                Last::Points(0) => self.pass_on_debug_exception().map(|()| None),
                Last::Points(bits) => self.met(bits).map(Some),
                Last::Served => self.guest.vcpu.complete().map(|()| None),
                Last::Nothing => Ok(None),
            };
        }
        match self.stepper.end(&mut self.guest.vcpu)? {
            Passed::Nothing => return Ok(None),
            Passed::Delivery(_) => {}
            Passed::Instructions(all) => {
                if let Some(watch) = all.iter().find_map(|before| self.guest.points.watch_met(before)) {
                    let addr = A::to_usize(watch.address);
                    return Ok(Some(Reason::<A>::Watch { tid: (), kind: watch.kind, addr }));
                }
            }
        }
        let at = self.guest.vcpu.registers()?.instruction();
        let is_over = match self.guest.resume {
            Resume::Continue => false,
            Resume::Step => true,
            Resume::Range(start, end) => !(start..end).contains(&at),
        };
        Ok(self.break_at(at).or(is_over.then_some(SingleThreadStopReason::DoneStep)))
    }

    /// A debug exception that none of gdb's points caused is the guest's own: it has set the trap flag.
    fn pass_on_debug_exception(&mut self) -> Result<(), VcpuError> {
        self.pace = Pace::Free;
        self.guest.vcpu.raise_debug_exception(SINGLE_STEP)
    }

    /// What debug registers stopped at.
    fn met(&self, bits: u8) -> Result<Reason<A>, VcpuError> {
        if let Some(watch) = self.guest.points.watch_of(bits) {
            let addr = A::to_usize(watch.address);
            return Ok(Reason::<A>::Watch { tid: (), kind: watch.kind, addr });
        }
        let at = self.guest.vcpu.registers()?.instruction();
        Ok(self.break_at(at).unwrap_or(SingleThreadStopReason::Signal(Signal::SIGTRAP)))
    }

    fn break_at(&self, at: u64) -> Option<Reason<A>> {
        let hardware = self.guest.points.break_at(at)?.hardware;
        Some(if hardware { SingleThreadStopReason::HwBreak(()) } else { SingleThreadStopReason::SwBreak(()) })
    }

    /// Tells gdb, if there is something to tell, and listens until gdb lets the guest run.
    fn speak(
        &mut self,
        reason: Option<Reason<A>>,
        registration: &Registration<'_>,
    ) -> Result<Order, VcpuError> {
        let (stub, listener) = match std::mem::replace(&mut self.talk, Talk::Over) {
            Talk::Over => return Ok(Order::Run),
            Talk::On(stub, listener) => (Ok(stub), listener),
            Talk::Awaited(listener) => {
                let _pause = registration.pause();
                (self.begin(&listener), listener)
            }
        };
        match stub.and_then(|stub| self.converse(stub, reason, registration)) {
            Ok(Word::Go(stub)) => {
                self.talk = Talk::On(stub, listener);
                Ok(Order::Run)
            }
            Ok(Word::Left) => self.let_go(),
            Ok(Word::Kill) => Ok(Order::Kill),
            Err(broken) => self.broken(broken),
        }
    }

    /// Waits for gdb.
    fn begin(&mut self, listener: &Listener) -> Result<Stub<'static, Guest<A>, Line>, Broken> {
        Ok(GdbStub::new(listener.accept()?).run_state_machine(&mut self.guest)?)
    }

    fn broken(&mut self, broken: Broken) -> Result<Order, VcpuError> {
        if signals::signal().is_some() {
            return self.let_go();
        }
        output::complain(&format!("the conversation with gdb broke off ({broken}); the guest runs on"));
        match broken {
            Broken::Stub(error) if error.is_target_error() => match error.into_target_error() {
                Some(error) => Err(error),
                None => self.let_go(),
            },
            _ => self.let_go(),
        }
    }

    fn converse(
        &mut self,
        mut stub: Stub<'static, Guest<A>, Line>,
        mut reason: Option<Reason<A>>,
        registration: &Registration<'_>,
    ) -> Result<Word<A>, Broken> {
        let guest = &mut self.guest;
        let mut pause = None;
        loop {
            stub = match stub {
                Stub::Running(running) if reason.is_some() => {
                    let reason = reason.take().unwrap_or(SingleThreadStopReason::DoneStep);
                    running.report_stop(guest, reason)?
                }
                Stub::Running(mut running) => match running.borrow_conn().next_if_there() {
                    Ok(None) => return Ok(Word::Go(running.into())),
                    Ok(Some(byte)) => running.incoming_data(guest, byte)?,
                    Err(error) => return Err(error.into()),
                },
                Stub::Idle(mut idle) => {
                    pause.get_or_insert_with(|| registration.pause());
                    let byte = idle.borrow_conn().next()?;
                    idle.incoming_data(guest, byte)?
                }
                Stub::CtrlCInterrupt(interrupted) => {
                    let reason = Some(SingleThreadStopReason::Signal(Signal::SIGINT));
                    interrupted.interrupt_handled(guest, reason)?
                }
                Stub::Disconnected(gone) => {
                    return Ok(match gone.get_reason() {
                        DisconnectReason::Kill => Word::Kill,
                        _ => Word::Left,
                    });
                }
            };
        }
    }

    /// A signal that ends the guest, which can still be looked at: whatever gdb says then, the run ends.
    fn fatal(&mut self, signal: Signal) -> Reason<A> {
        self.end = SingleThreadStopReason::Terminated(signal);
        SingleThreadStopReason::Signal(signal)
    }

    /// The guest runs on without gdb.
    fn let_go(&mut self) -> Result<Order, VcpuError> {
        self.talk = Talk::Over;
        self.pace = Pace::Free;
        self.stepper.stop(&mut self.guest.vcpu)?;
        Ok(Order::Run)
    }

    /// Gives the vCPU its pace for the next entry.
    fn set_pace(&mut self) -> Result<(), VcpuError> {
        let fresh = std::mem::replace(&mut self.guest.fresh, false);
        let pace = match self.guest.resume {
            Resume::Step | Resume::Range(..) => Pace::Step,
            Resume::Continue => self.guest.points.pace(self.ability),
        };
        // A breakpoint where the guest stands would stop it before it began.
        let stands_on = matches!(pace, Pace::To(_)) && fresh && {
            let at = self.guest.vcpu.registers()?.instruction();
            self.guest.points.break_at(at).is_some()
        };
        let pace = if stands_on { Pace::Step } else { pace };
        if pace == Pace::Step {
            let registers = self.guest.vcpu.registers()?;
            self.stepper.begin(&mut self.guest.vcpu, registers)?;
        } else if pace != self.pace {
            self.stepper.stop(&mut self.guest.vcpu)?;
            self.guest.vcpu.set_pace(&pace)?;
        }
        self.pace = pace;
        Ok(())
    }

    /// Whether it is time to listen for gdb's interrupt.
    fn is_time_to_listen(&mut self) -> bool {
        let now = Instant::now();
        let is_time = now >= self.listens;
        if is_time {
            self.listens = now + LISTEN_INTERVAL;
        }
        is_time
    }
}

impl<A: GuestArch> Driver for Debugger<A> {
    fn vcpu(&self) -> &Vcpu {
        &self.guest.vcpu
    }

    fn vcpu_mut(&mut self) -> &mut Vcpu {
        &mut self.guest.vcpu
    }

    fn alone(self: Box<Self>) -> Result<Vcpu, Box<dyn Driver>> {
        Err(self)
    }

    fn enter(&mut self, registration: &Registration<'_>) -> Result<Order, VcpuError> {
        if matches!(self.talk, Talk::Over) || registration.expiry().is_some() {
            return Ok(Order::Run);
        }
        let listens = self.is_time_to_listen() || matches!(self.talk, Talk::Awaited(_));
        let reason = self.happened()?;
        if (listens || reason.is_some()) && self.speak(reason, registration)? == Order::Kill {
            return Ok(Order::Kill);
        }
        if matches!(self.talk, Talk::On(..)) {
            self.set_pace()?;
        }
        Ok(Order::Run)
    }

    fn wakes(&self) -> Option<Instant> {
        matches!(self.talk, Talk::On(..)).then_some(self.listens)
    }

    /// A step that gdb's user asked for takes none, as other debuggers have it.
    fn takes_interrupt(&mut self) -> Result<bool, VcpuError> {
        let is_step = self.pace == Pace::Step;
        let is_asked_for =
            self.guest.resume != Resume::Continue || self.guest.points.pace(self.ability) != Pace::Step;
        match is_step {
            false => Ok(true),
            true if is_asked_for => Ok(false),
            true => self.stepper.takes_interrupt(&mut self.guest.vcpu),
        }
    }

    fn left(&mut self, exit: Exit) -> Result<Exit, VcpuError> {
        self.last = match exit {
            Exit::Debug { points } => Last::Points(points),
            Exit::Interrupted | Exit::InterruptWindow => Last::Nothing,
            _ => Last::Served,
        };
        self.stepper.left(exit, &mut self.guest.vcpu)
    }

    fn halted(&mut self, halt: &Halt, registration: &Registration<'_>) -> Result<Order, VcpuError> {
        self.stepper.lift(&self.guest.vcpu);
        let reason = match halt {
            Halt::Stop(Stop::Exited(status)) => {
                SingleThreadStopReason::Exited(u8::try_from(*status).unwrap_or(u8::MAX))
            }
            Halt::Stop(Stop::Device(end)) => SingleThreadStopReason::Exited(u8::from(!end.is_success())),
            Halt::Stop(Stop::Halted) => SingleThreadStopReason::Exited(0),
            Halt::Expired(Expiry::Interrupted(_)) => SingleThreadStopReason::Terminated(Signal::SIGINT),
            Halt::Expired(_) => SingleThreadStopReason::Terminated(Signal::SIGALRM),
            Halt::Exits(_) => SingleThreadStopReason::Terminated(Signal::SIGXCPU),
            Halt::Stop(Stop::Panicked(_)) => self.fatal(Signal::SIGABRT),
            Halt::Crash(_) => self.fatal(Signal::SIGSEGV),
            Halt::Stop(_) | Halt::Killed => return Ok(Order::Run),
        };
        if matches!(self.talk, Talk::Awaited(_)) {
            return Ok(Order::Run);
        }
        self.speak(Some(reason), registration)
    }
}

/// The run is over while the guest still waits for its next turn.
impl<A: GuestArch> Drop for Debugger<A> {
    fn drop(&mut self) {
        if let Talk::On(Stub::Running(mut running), _) = std::mem::replace(&mut self.talk, Talk::Over)
            && running.borrow_conn().part().is_ok()
        {
            // gdb may have gone in the meantime.
            let _ = running.report_stop(&mut self.guest, self.end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::Shutdown,
        path::Path,
    };

    use guest_abi::layout::PAGE_SIZE;

    use super::*;
    use crate::{debug::explain::Explain, process::watchdog::Watchdog, vmm::boot::tiny};

    /// A guest in long mode whose last page is the first of its memory, too; `None` without KVM.
    fn guest_at_the_end() -> Option<Vcpu> {
        let Ok(system) = System::open(Path::new("/dev/kvm"), Explain::default()) else {
            eprintln!("skipped: there is no KVM");
            return None;
        };
        let vcpu = tiny(&system, CpuMode::Long, b"\xF4guest", 0).expect("a guest");
        // The last entries of all levels. The last of the directories becomes the table of 4 KiB pages.
        const LAST: u32 = PAGE_SIZE - 8;
        let table = 6 * PAGE_SIZE;
        for (level, entry) in [(1, 2 * PAGE_SIZE), (2, 3 * PAGE_SIZE), (3, table), (6, 0)] {
            let entry = u64::from(entry | 0b11).to_le_bytes();
            vcpu.memory().write(level * PAGE_SIZE + LAST, &entry).expect("memory");
        }
        Some(vcpu)
    }

    /// What a guest's gdb hears when it says this, and then no more.
    fn answers(vcpu: Vcpu, packets: &[&str]) -> Vec<String> {
        let (ours, mut gdb) = UnixStream::pair().expect("sockets");
        let words: String = packets
            .iter()
            .map(|body| format!("${body}#{:02x}", body.bytes().fold(0_u8, u8::wrapping_add)))
            .collect();
        gdb.write_all(words.as_bytes()).expect("room");
        gdb.shutdown(Shutdown::Write).expect("a connection");
        let mut driver = connected(vcpu, CpuMode::Long, ours, false);
        let watchdog = Watchdog::start(Duration::from_secs(60)).expect("a thread");
        // gdb reads at the same time: a socket has room for few answers.
        let reader = std::thread::spawn(move || {
            let mut heard = String::new();
            gdb.read_to_string(&mut heard).expect("text");
            heard
        });
        driver.enter(&watchdog.watch_this_thread(None)).expect("KVM");
        drop(driver);
        let heard = reader.join().expect("an end");
        heard.split('$').skip(1).map(|answer| answer.split('#').next().unwrap_or_default().into()).collect()
    }

    #[test]
    fn memory_is_read_at_the_end_of_the_address_space() {
        let Some(vcpu) = guest_at_the_end() else { return };
        let packets = ["mfffffffffffff000,6", "mffffffffffffffff,2", "mfffffffffffff000,2000", "m6fff,800"];
        let answers = answers(vcpu, &packets);
        assert_eq!(answers[0], "f46775657374");
        // A byte behind the end is the first.
        assert_eq!(answers[1], "00f4");
        assert!(answers[2].starts_with("f46775657374"), "{answers:?}");
        // There are no more bytes: a part is the answer.
        assert_eq!(answers[3].len(), 2, "{answers:?}");
    }

    #[test]
    fn more_points_than_there_may_be_are_refused() {
        let Some(vcpu) = guest_at_the_end() else { return };
        let packets: Vec<String> =
            (0..1026).map(|address| format!("Z{},{address:x},1", address % 3)).collect();
        let packets: Vec<&str> = packets.iter().map(String::as_str).collect();
        let taken = answers(vcpu, &packets);
        assert_eq!(taken.iter().filter(|answer| *answer == "OK").count(), 1024);
        assert_eq!(taken[1025], "E16");
    }
}
