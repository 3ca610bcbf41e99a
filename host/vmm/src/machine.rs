//! A machine: one guest in its VM, run from stop to stop on any engine.

mod access;
mod interruption;
mod interrupts;
pub(crate) mod moment;
pub(crate) mod saved;
mod setup;

pub use setup::{Setup, create_cpu};

use std::{ops::ControlFlow, sync::Arc, time::Instant};

use guest_abi::mode::CpuMode;
use guestlab_cpu::{Cpu, EngineError, Exit, KVM, Until};

use crate::{
    boot::{Boot, Parameters, memory_layout},
    boot_error::BootError,
    fault::Crash,
    history::History,
    hypercall,
    image::Image,
    observer::{GuestSpan, Observer, Origin},
    pc::Pc,
    reply::{Reply, StopReason},
    services::{Console, ConsoleOutput, Services},
    stats::Reason,
    stop::{Expiry, Stop},
    vectors::{Interruption, Vectors},
    wake::Wake,
};
use setup::host_pages;

/// A guest in its VM.
pub struct Machine {
    name: Arc<str>,
    /// The engine's name.
    engine: Box<str>,
    vm: u32,
    mode: CpuMode,
    cpu: Box<dyn Cpu>,
    services: Services,
    own_hypercalls: Option<OwnHypercalls>,
    pc: Option<Pc>,
    /// The host's handlers of exceptions, for an image that was not built with guest-rt.
    vectors: Option<Vectors>,
    history: History,
    observer: Option<Arc<dyn Observer>>,
    max_exits: Option<u64>,
    /// Exits are timed.
    takes_times: bool,
    /// The last exit and its time, until it is served.
    serving: Option<(Reason, Instant)>,
    /// The guest waits in `hlt` for its timer.
    is_waiting: bool,
    /// The guest does not take interrupts, because a debugger steps it.
    holds_interrupts: bool,
    /// The time at which [`enter`](Self::enter) returns even without an exit, and pauses of the guest.
    wake: Wake,
    /// An interrupt or an alarm may be set.
    expects_interrupts: bool,
    /// The guest ended with a crash.
    has_crashed: bool,
}

/// A user's own hypercalls: each returns the reply to an exit, or `None` if the exit is not one of its own.
type OwnHypercalls = Box<dyn FnMut(&Exit, &mut dyn Cpu) -> Option<Reply> + Send>;

/// The reason why a machine stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// The guest requested it.
    Stop(StopReason),
    /// The guest failed.
    Crash(Crash),
    /// An exception or a software interrupt reached the host's handlers: the image, built without guest-rt, has none.
    Interruption(Box<Interruption>),
    /// The time was up.
    Expired(Expiry),
    /// The guest had caused the largest allowed number of exits.
    Exits(u64),
    /// A debugger ended the run.
    Killed,
}

impl Machine {
    /// Loads an image into a new VM.
    ///
    /// # Errors
    ///
    /// The image does not fit, or the engine failed.
    pub fn new(setup: &Setup, image: &Image, parameters: Parameters<'_>) -> Result<Self, BootError> {
        let memory = memory_layout(image, parameters.memory)?;
        let mut cpu = create_cpu(&*setup.engine, image, memory)?;
        if let Some(observer) = &setup.observer {
            let name = image.name();
            observer.call("copy", format_args!("{name}: its segments go to their guest-physical addresses"));
            if let Some(pages) = host_pages(image) {
                observer.call("copy", format_args!("{pages}"));
            }
        }
        let boot = Boot::new(cpu.memory_mut(), image, parameters)?;
        // KVM has more to say of its calls, and says it itself.
        if let Some(observer) = setup.observer.as_ref().filter(|_| setup.engine.name() != KVM) {
            observer.call("registers", format_args!("{} mode, {}", boot.cpu.mode().name(), boot.cpu.start()));
        }
        cpu.set_state(&boot.cpu)?;
        Ok(Self {
            name: image.name().into(),
            engine: setup.engine.name().into(),
            vm: parameters.vm,
            mode: image.start().mode(),
            cpu,
            services: Services::new(setup.hva, memory, boot.text, boot.foreign),
            own_hypercalls: None,
            pc: None,
            vectors: boot.vectors,
            history: History::default(),
            observer: setup.observer.clone(),
            max_exits: None,
            takes_times: setup.times || setup.observer.is_some(),
            serving: None,
            is_waiting: false,
            holds_interrupts: false,
            wake: Wake::default(),
            expects_interrupts: true,
            has_crashed: false,
        })
    }

    /// Starts the guest again from its image, as in a new VM. The counts of its exits begin again. Image and memory size
    /// must be those of [`new`](Self::new).
    ///
    /// After a crash the machine gets a new VM: kvm-amd does not run a vCPU again that has shut down, whatever its
    /// registers are. Breakpoints and handles for kicks are gone with the old one.
    ///
    /// # Errors
    ///
    /// The engine failed.
    pub fn reset(
        &mut self,
        setup: &Setup,
        image: &Image,
        parameters: Parameters<'_>,
    ) -> Result<(), BootError> {
        let pc = self.pc.as_ref().map(|pc| Pc::new(pc.settings(), parameters.memory));
        if self.has_crashed {
            let kept = (self.own_hypercalls.take(), self.max_exits, self.services.hva);
            *self = Self::new(setup, image, parameters)?.with_pc(pc);
            // The policy says whether the guest's user was told of it already.
            (self.own_hypercalls, self.max_exits, self.services.hva) = kept;
            return Ok(());
        }
        self.pc = pc;
        self.cpu.memory_mut().clear()?;
        let boot = Boot::new(self.cpu.memory_mut(), image, parameters)?;
        self.cpu.set_state(&boot.cpu)?;
        self.cpu.set_ticks(0);
        let Services { hva, memory, .. } = self.services;
        self.services = Services::new(hva, memory, boot.text, boot.foreign);
        self.vectors = boot.vectors;
        self.history.clear();
        (self.serving, self.is_waiting, self.expects_interrupts) = (None, false, true);
        Ok(())
    }

    /// Runs the guest until it stops, or until `stop` says so. `console` takes its output.
    ///
    /// # Errors
    ///
    /// The engine failed.
    pub fn run(&mut self, stop: &dyn Stop, console: &mut Console<'_>) -> Result<Halt, EngineError> {
        self.begin();
        loop {
            if let ControlFlow::Break(halt) = self.enter(Until::Exit, stop, console)? {
                return Ok(halt);
            }
        }
    }

    /// Begins a run that the caller drives by [`enter`](Self::enter).
    pub fn begin(&mut self) {
        if let Some(observer) = &self.observer {
            observer.begins(self.vm, &self.name);
        }
    }

    /// Enters the guest once, at most as far as `until`, and serves its exit. Returns the exit if the guest can continue,
    /// and otherwise the reason why it stopped.
    ///
    /// # Errors
    ///
    /// The engine failed.
    pub fn enter(
        &mut self,
        until: Until,
        stop: &dyn Stop,
        console: &mut Console<'_>,
    ) -> Result<ControlFlow<Halt, Exit>, EngineError> {
        let flow = self.enter_and_serve(until, stop, console);
        if !matches!(flow, Ok(ControlFlow::Continue(_))) {
            self.end_service();
        }
        flow
    }

    #[inline]
    fn enter_and_serve(
        &mut self,
        until: Until,
        stop: &dyn Stop,
        console: &mut Console<'_>,
    ) -> Result<ControlFlow<Halt, Exit>, EngineError> {
        if let Some(expiry) = stop.expiry() {
            return Ok(ControlFlow::Break(Halt::Expired(expiry)));
        }
        if let Some(max) = self.max_exits.filter(|&max| self.services.stats.total() >= max) {
            return Ok(ControlFlow::Break(Halt::Exits(max)));
        }
        if self.is_waiting && self.waits(stop) {
            return Ok(ControlFlow::Continue(Exit::Interrupted));
        }
        self.interrupt(stop)?;
        // Two readings of the clock are enough: the service of the last exit ends where the entry begins.
        let entered = self.takes_times.then(Instant::now);
        if let Some(now) = entered {
            self.is_served(now);
        }
        let exit = self.cpu.run(until)?;
        let left = self.takes_times.then(Instant::now);
        let interruption = match self.interruption(&exit)? {
            ControlFlow::Continue(interruption) => interruption,
            ControlFlow::Break(()) => return Ok(ControlFlow::Continue(exit)),
        };
        let reason = Reason::of(&exit);
        if let Some(reason) = reason {
            self.services.stats.count(reason);
        }
        let span = entered.zip(left).map(|(entered, left)| GuestSpan { reason, entered, left });
        if let Some(span) = &span {
            self.note_time(span);
        }
        if let Some(observer) = &self.observer {
            let (engine, is_foreign) = (&*self.engine, self.services.foreign);
            observer.exit(Origin { engine, vm: self.vm, is_foreign }, &exit);
        }
        if let Some(interruption) = interruption {
            self.observe(span);
            self.has_crashed = true;
            return Ok(ControlFlow::Break(Halt::Interruption(interruption.into())));
        }
        // Single steps and interruptions would push the exits before them out of the history.
        if !matches!(exit, Exit::Debug { .. } | Exit::Interrupted) {
            self.history.push(&exit);
        }
        let reply = self.serve(&exit, stop, console);
        self.observe(span);
        Ok(match reply {
            Ok(Reply::Resume) => ControlFlow::Continue(exit),
            Ok(Reply::Answer(value)) => {
                self.cpu.answer(value);
                ControlFlow::Continue(exit)
            }
            Ok(Reply::Wait) => {
                self.is_waiting = true;
                self.end_service();
                ControlFlow::Continue(exit)
            }
            Ok(Reply::Stop(stop)) => ControlFlow::Break(Halt::Stop(stop)),
            Err(crash) => {
                self.has_crashed = true;
                ControlFlow::Break(Halt::Crash(crash))
            }
        })
    }

    fn note_time(&mut self, span: &GuestSpan) {
        let GuestSpan { reason, entered, left } = *span;
        if let Some(reason) = reason {
            self.services.stats.entered(reason, left - entered);
            self.serving = Some((reason, left));
        }
    }

    fn observe(&self, span: Option<GuestSpan>) {
        if let (Some(observer), Some(span)) = (&self.observer, span) {
            observer.span(self.vm, span);
        }
    }

    /// Notes a crash that only a diagnosis found: the next [`reset`](Self::reset) makes a new VM.
    pub fn mark_crashed(&mut self) {
        self.has_crashed = true;
    }

    /// Ends the time that is charged to the last exit. A debugger calls it before it waits for its user.
    pub fn is_served(&mut self, now: Instant) {
        if let Some((reason, left)) = self.serving.take() {
            self.services.stats.served(reason, now.saturating_duration_since(left));
        }
    }

    fn end_service(&mut self) {
        if self.serving.is_some() {
            self.is_served(Instant::now());
        }
    }

    fn announce(&self, name: &str, purpose: std::fmt::Arguments<'_>) {
        if let Some(observer) = &self.observer {
            observer.call(name, purpose);
        }
    }

    fn serve(&mut self, exit: &Exit, stop: &dyn Stop, console: &mut Console<'_>) -> Result<Reply, Crash> {
        let own = self.own_hypercalls.as_mut();
        if let Some(reply) = own.and_then(|serve| serve(exit, &mut *self.cpu)) {
            return Ok(reply);
        }
        let mut console = |output: ConsoleOutput<'_>| {
            // An alarm for the guest must not interrupt a write.
            stop.set_alarm(None);
            console(output)
        };
        if let Some(reply) = self.pc.as_mut().and_then(|pc| pc.serve(exit, &mut console)) {
            return Ok(reply);
        }
        hypercall::serve(exit, &mut self.services, &mut *self.cpu, &mut console)
    }
}
