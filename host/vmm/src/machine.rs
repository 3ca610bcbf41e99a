//! A machine: one guest in its VM, run from stop to stop on any engine.

use std::{ops::ControlFlow, sync::Arc, time::Instant};

use guest_abi::{block::MailboxAttach, block::Trap, mode::CpuMode, trap::TIMER};
use guestlab_cpu::{Cpu, CpuState, Engine, EngineError, Exit, OutOfMemory, Until, state::seg, walk};

use crate::{
    boot::{Boot, BootError, Parameters, memory_layout},
    clock::Clock,
    fault::Crash,
    history::History,
    hypercall::{self, Console, HvaPolicy, Reply, Services, Stop},
    image::{Image, Start},
    memory::{MemoryKind, MemoryLayout},
    observer::{GuestSpan, Observer},
    pc::Pc,
    stats::{ExitStats, Reason},
    stop::{Expiry, Stop as StopWatch},
    timer::Timer,
    vectors::{Interruption, Vectors},
};

/// A guest in its VM.
pub struct Machine {
    name: Arc<str>,
    vm: u32,
    mode: CpuMode,
    cpu: Box<dyn Cpu>,
    services: Services,
    pc: Option<Pc>,
    /// The host's handlers of exceptions, for an image that was not built with guest-rt.
    vectors: Option<Vectors>,
    history: History,
    observer: Option<Arc<dyn Observer>>,
    max_exits: Option<u64>,
    /// The last exit and its time, until it is served.
    serving: Option<(Reason, Instant)>,
    /// The guest waits in `hlt` for its timer.
    is_waiting: bool,
    /// The guest does not take interrupts, because a debugger steps it.
    holds_interrupts: bool,
    /// The time at which [`enter`](Self::enter) is to return even if the guest has not left.
    wake: Option<Instant>,
    /// The guest ended with a crash.
    has_crashed: bool,
}

/// The reason why a machine stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// The guest asked for it.
    Stop(Stop),
    /// The guest did something that is not allowed.
    Crash(Crash),
    /// Nothing handles an exception or a software interrupt of an image that was not built with guest-rt.
    Interruption(Box<Interruption>),
    /// Its time was up.
    Expired(Expiry),
    /// The guest had caused the most exits that it may.
    Exits(u64),
    /// A debugger ended the run.
    Killed,
}

/// The engine and the options of a new machine.
#[derive(Clone)]
pub struct Setup {
    /// The engine that executes the guest.
    pub engine: Arc<dyn Engine>,
    /// The policy for host virtual addresses.
    pub hva: HvaPolicy,
    /// The observer of all that happens, if there is one.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Setup {
    /// Returns a setup with an engine and nothing else.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, hva: HvaPolicy::Deny, observer: None }
    }
}

impl Machine {
    /// Loads an image into a new VM.
    ///
    /// # Errors
    ///
    /// The image does not fit, or the engine failed.
    pub fn new(setup: &Setup, image: &Image, parameters: Parameters<'_>) -> Result<Self, BootError> {
        let memory = memory_layout(image, parameters.memory)?;
        let mut cpu = setup.engine.create(&memory.plan())?;
        if let Some(observer) = &setup.observer {
            let name = image.name();
            observer.call("copy", format_args!("{name}: its segments go to their guest-physical addresses"));
            if let Some(pages) = host_pages(image) {
                observer.call("copy", format_args!("{pages}"));
            }
        }
        let boot = Boot::new(cpu.memory_mut(), image, parameters)?;
        cpu.set_state(&boot.cpu)?;
        Ok(Self {
            name: image.name().into(),
            vm: parameters.vm,
            mode: image.start().mode(),
            cpu,
            services: services(setup.hva, memory, &boot),
            pc: None,
            vectors: boot.vectors,
            history: History::default(),
            observer: setup.observer.clone(),
            max_exits: None,
            serving: None,
            is_waiting: false,
            holds_interrupts: false,
            wake: None,
            has_crashed: false,
        })
    }

    /// Starts the guest again from its image, as in a new VM; the counts of its exits begin anew. Image and memory size must
    /// be those of [`new`](Self::new).
    ///
    /// After a crash the machine gets a new VM: kvm-amd does not run a vCPU again that has shut down, whatever its
    /// registers are set to.
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
        let max_exits = self.max_exits;
        if self.has_crashed {
            *self = Self::new(setup, image, parameters)?.with_pc(pc);
            self.max_exits = max_exits;
            return Ok(());
        }
        self.pc = pc;
        self.cpu.memory_mut().clear()?;
        let boot = Boot::new(self.cpu.memory_mut(), image, parameters)?;
        self.cpu.set_state(&boot.cpu)?;
        self.services = services(self.services.hva, self.services.memory, &boot);
        self.vectors = boot.vectors;
        self.history.clear();
        (self.serving, self.is_waiting) = (None, false);
        Ok(())
    }

    /// Returns this machine with the devices of a PC, or without.
    #[must_use]
    pub fn with_pc(self, pc: Option<Pc>) -> Self {
        Self { pc, ..self }
    }

    /// Sets the number of exits after which the machine stops; `None` is no limit.
    pub fn set_max_exits(&mut self, max: Option<u64>) {
        self.max_exits = max;
    }

    /// Sets the time at which [`enter`](Self::enter) returns even if the guest has not left; `None` is never.
    pub fn set_wake(&mut self, wake: Option<Instant>) {
        self.wake = wake;
    }

    /// Holds interrupts back, as for a single step that a debugger's user asked for, or lets them come.
    pub fn hold_interrupts(&mut self, holds: bool) {
        self.holds_interrupts = holds;
    }

    /// Returns the guest's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the guest's name, to be kept.
    pub fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Returns the VM's number, from 1.
    pub fn vm(&self) -> u32 {
        self.vm
    }

    /// Returns the mode that the guest runs in, once it has booted.
    pub fn mode(&self) -> CpuMode {
        self.mode
    }

    /// Returns the devices of a PC, if the machine has them.
    pub fn pc(&self) -> Option<&Pc> {
        self.pc.as_ref()
    }

    /// Returns true if the image was not built with guest-rt.
    pub fn is_foreign(&self) -> bool {
        self.services.foreign
    }

    /// Returns the exits so far.
    pub fn stats(&self) -> &ExitStats {
        &self.services.stats
    }

    /// Returns the last exits.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Returns the host's handlers of exceptions, if the guest started with them.
    pub fn vectors(&self) -> Option<&Vectors> {
        self.vectors.as_ref()
    }

    /// Returns true if the timer's interrupt is due.
    pub fn is_timer_due(&self) -> bool {
        self.services.timer.has_expired()
    }

    /// Returns the layout of the guest's memory.
    pub fn layout(&self) -> MemoryLayout {
        self.services.memory
    }

    /// Returns the vCPU with the guest's memory.
    pub fn cpu(&self) -> &dyn Cpu {
        &*self.cpu
    }

    /// Returns the vCPU with the guest's memory, to be driven or changed.
    pub fn cpu_mut(&mut self) -> &mut dyn Cpu {
        &mut *self.cpu
    }

    /// Exchanges the vCPU with another, such as [`Lent`](crate::Lent) while a debugger has it.
    pub fn swap_cpu(&mut self, cpu: &mut Box<dyn Cpu>) {
        std::mem::swap(&mut self.cpu, cpu);
    }

    /// Runs the guest until it stops, or must stop. `console` takes its output.
    ///
    /// # Errors
    ///
    /// The engine failed.
    pub fn run(&mut self, stop: &dyn StopWatch, console: &mut Console<'_>) -> Result<Halt, EngineError> {
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

    /// Enters the guest once, at most as far as `until`, and serves its exit. The guest goes on after the returned exit, or
    /// has stopped.
    ///
    /// # Errors
    ///
    /// The engine failed.
    pub fn enter(
        &mut self,
        until: Until,
        stop: &dyn StopWatch,
        console: &mut Console<'_>,
    ) -> Result<ControlFlow<Halt, Exit>, EngineError> {
        let flow = self.enter_and_serve(until, stop, console);
        if !matches!(flow, Ok(ControlFlow::Continue(_))) {
            self.is_served(Instant::now());
        }
        flow
    }

    fn enter_and_serve(
        &mut self,
        until: Until,
        stop: &dyn StopWatch,
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
        // An exit costs two readings of the clock: the service of the last one ends where the entry begins.
        let entered = Instant::now();
        self.is_served(entered);
        let exit = self.cpu.run(until)?;
        let left = Instant::now();
        let interruption = match self.interruption(&exit)? {
            ControlFlow::Continue(interruption) => interruption,
            ControlFlow::Break(()) => return Ok(ControlFlow::Continue(exit)),
        };
        let reason = Reason::of(&exit);
        if let Some(reason) = reason {
            self.services.stats.enter(reason, left - entered);
            self.serving = Some((reason, left));
        }
        if let Some(observer) = &self.observer {
            observer.exit(self.vm, &exit, self.services.foreign);
        }
        if let Some(interruption) = interruption {
            self.has_crashed = true;
            return Ok(ControlFlow::Break(Halt::Interruption(interruption.into())));
        }
        // A guest that is stepped would fill the history with steps.
        if !matches!(exit, Exit::Debug { .. }) {
            self.history.push(&exit);
        }
        let reply = self.serve(&exit, stop, console);
        if let Some(observer) = &self.observer {
            observer.span(self.vm, GuestSpan { reason, entered, left });
        }
        Ok(match reply {
            Ok(Reply::Resume) => ControlFlow::Continue(exit),
            Ok(Reply::Answer(value)) => {
                self.cpu.answer(value);
                ControlFlow::Continue(exit)
            }
            Ok(Reply::Wait) => {
                self.is_waiting = true;
                self.is_served(Instant::now());
                ControlFlow::Continue(exit)
            }
            Ok(Reply::Stop(stop)) => ControlFlow::Break(Halt::Stop(stop)),
            Err(crash) => {
                self.has_crashed = true;
                ControlFlow::Break(Halt::Crash(crash))
            }
        })
    }

    /// Ends the time that is charged to the last exit. A debugger calls it before it waits for its user.
    pub fn is_served(&mut self, now: Instant) {
        if let Some((reason, left)) = self.serving.take() {
            self.services.stats.served(reason, now.saturating_duration_since(left));
        }
    }

    /// Waits for the timer, at most until the machine is to wake. Returns true if the guest still has to wait.
    fn waits(&mut self, stop: &dyn StopWatch) -> bool {
        let timer = self.services.timer;
        if let Some(due) = timer.due().filter(|_| !timer.has_expired()) {
            stop.sleep_until(self.wake.map_or(due, |wake| wake.min(due)));
        }
        self.is_waiting = timer.due().is_some() && !timer.has_expired();
        self.is_waiting
    }

    /// Queues the interrupt that is due, as soon as the guest takes one. Otherwise the guest is left when it is due.
    fn interrupt(&mut self, stop: &dyn StopWatch) -> Result<(), EngineError> {
        let is_due = self.services.timer.has_expired();
        let vector = match &self.pc {
            Some(pc) => pc.interrupt(),
            None => is_due.then_some(TIMER_VECTOR),
        };
        match vector.filter(|_| !self.holds_interrupts) {
            Some(vector) => {
                if self.cpu.interrupt(vector)? {
                    self.is_interrupted();
                }
            }
            // A guest that cancels a timer that was due would be left at every instruction.
            None => self.cpu.cancel_interrupt(),
        }
        let due = self.services.timer.due().filter(|_| !is_due);
        stop.set_alarm(due.into_iter().chain(self.wake).min());
        Ok(())
    }

    /// The guest takes its interrupt as it enters.
    fn is_interrupted(&mut self) {
        let purpose = match &mut self.pc {
            Some(pc) => {
                pc.acknowledge();
                "a line of the test device went high: the guest takes the interrupt as it enters"
            }
            None => {
                self.services.timer = Timer::default();
                "the timer's interrupt is due: the guest takes it as it enters"
            }
        };
        self.announce("KVM_INTERRUPT", format_args!("{purpose}"));
    }

    fn announce(&self, name: &str, purpose: std::fmt::Arguments<'_>) {
        if let Some(observer) = &self.observer {
            observer.call(name, purpose);
        }
    }

    fn serve(
        &mut self,
        exit: &Exit,
        stop: &dyn StopWatch,
        console: &mut Console<'_>,
    ) -> Result<Reply, Crash> {
        let mut console = |output: hypercall::ConsoleOutput<'_>| {
            // The alarm for the guest must not interrupt a write.
            stop.set_alarm(None);
            console(output)
        };
        if let Some(reply) = self.pc.as_mut().and_then(|pc| pc.serve(exit, &mut console)) {
            return Ok(reply);
        }
        hypercall::serve(exit, &mut self.services, &mut *self.cpu, &mut console)
    }

    /// Looks whether the guest has left at a handler of the host's, where an exception or a software interrupt led it. A
    /// guest with a handler of its own goes on there: `Break` means that the exit needs no service.
    fn interruption(&mut self, exit: &Exit) -> Result<ControlFlow<(), Option<Interruption>>, EngineError> {
        if self.vectors.is_none() || !matches!(exit, Exit::Halt { .. }) {
            return Ok(ControlFlow::Continue(None));
        }
        let now = self.cpu.registers()?;
        let Some(vectors) = &self.vectors else { return Ok(ControlFlow::Continue(None)) };
        if vectors.are_run_into(&now) {
            return Ok(ControlFlow::Break(()));
        }
        let Some(vector) = vectors.reached(&now) else { return Ok(ControlFlow::Continue(None)) };
        if let Some((selector, offset)) = vectors.own_handler(self.cpu.memory(), vector) {
            self.announce(
                "KVM_SET_REGS",
                format_args!("on to the guest's own handler of vector {vector:#x}"),
            );
            let mut handler = now.at(offset.into());
            let code = &mut handler.segments[seg::CS];
            (code.selector, code.base) = (selector, u64::from(selector) << 4);
            self.cpu.set_registers(&handler)?;
            return Ok(ControlFlow::Break(()));
        }
        let Some(interruption) = Interruption::of(self.cpu.memory(), &now, vector) else {
            return Ok(ControlFlow::Continue(None));
        };
        self.announce(
            "hlt",
            format_args!("a handler of the host's, which stands for vector {vector:#x}: the guest has none"),
        );
        // A debugger is to see the instruction, and not the handler.
        self.cpu.set_registers(&interruption.registers)?;
        Ok(ControlFlow::Continue(Some(interruption)))
    }

    /// Copies memory from a linear address. Returns the number of bytes before the first one that is not there.
    pub fn read_linear(&self, registers: &CpuState, address: u64, buffer: &mut [u8]) -> usize {
        walk::read_linear(registers, self.cpu.memory(), address, buffer)
    }

    /// Returns the kind of memory at a linear address, and its guest-physical address; `None` if it is not mapped.
    pub fn kind_at(&self, registers: &CpuState, address: u64) -> Option<(u64, MemoryKind)> {
        let physical = walk::physical(registers, self.cpu.memory(), address)?;
        Some((physical, self.services.memory.kind(physical)))
    }

    /// Returns the size of the mailbox that the guest attached, if it has one.
    pub fn mailbox_size(&self) -> Option<u32> {
        self.services.mailbox.map(|mailbox| mailbox.size)
    }

    /// Writes the guest's mailbox.
    ///
    /// # Errors
    ///
    /// The guest has none. (Its place was checked when it was attached.)
    pub fn write_mailbox(&mut self, mailbox: &[u8]) -> Result<(), OutOfMemory> {
        let MailboxAttach { address, .. } = self.services.mailbox.ok_or(OutOfMemory)?;
        self.cpu.memory_mut().write(address.into(), mailbox)
    }

    /// Copies the guest's mailbox, once.
    ///
    /// # Errors
    ///
    /// As [`write_mailbox`](Self::write_mailbox).
    pub fn read_mailbox(&self, mailbox: &mut [u8]) -> Result<(), OutOfMemory> {
        let MailboxAttach { address, .. } = self.services.mailbox.ok_or(OutOfMemory)?;
        self.cpu.memory().read(address.into(), mailbox)
    }

    /// Returns the registers in which a trap left the guest's CPU, if the engine tells them.
    pub fn registers_at(&mut self, trap: &Trap) -> Option<CpuState> {
        Some(self.cpu.registers().ok()?.interrupted(trap))
    }
}

/// The vector of the timer's interrupt.
const TIMER_VECTOR: u8 = TIMER.to_le_bytes()[0];

/// Returns the services of a guest that is about to start.
fn services(hva: HvaPolicy, memory: MemoryLayout, boot: &Boot) -> Services {
    Services {
        memory,
        mailbox: None,
        stats: ExitStats::default(),
        text: boot.text,
        translation: 0,
        hva,
        timer: Timer::default(),
        clock: Clock::start(),
        foreign: boot.foreign,
    }
}

/// Returns a description of the pages that the host fills for an image, if it does so.
fn host_pages(image: &Image) -> Option<&'static str> {
    match image.start() {
        Start::Boot { .. } => Some("the boot information: memory, number and seed, for the guest to read"),
        Start::Direct { mode: CpuMode::Paged | CpuMode::Long, .. } => {
            Some("page tables that map every address to itself, behind the guest's memory")
        }
        Start::Direct { .. } => None,
        Start::Multiboot { .. } => {
            Some("the boot information of Multiboot, in a page that the image does not take")
        }
    }
}
