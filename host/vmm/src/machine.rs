//! A machine: one guest in its VM, run from stop to stop.

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use guest_abi::{
    block::{MailboxAttach, Trap},
    mode::CpuMode,
    port::Port,
    trap::TIMER,
};

use crate::{
    debug::{
        crash_report::{Evidence, History, Origin},
        driver::{Driver, Order},
        explain::Explain,
        instruction::Access,
        spot::Spot,
        timeline::{Stay, Timeline},
    },
    kvm::{Direction, Exit, Registers, System, Vcpu, VcpuError},
    lab::limits::{Limits, Printed},
    output,
    process::watchdog::{Expiry, Registration},
    runlog::event::VmProfile,
    vmm::{
        boot::{self, Launch, Parameters},
        clock::Clock,
        exception::TrapReport,
        fault::Crash,
        foreign,
        hypercall::{self, Reply, Said, Services, Stop},
        image::{Image, Start},
        memory::{GuestMemory, MemoryError, Place},
        pc::{Pc, device_at},
        stats::{ExitStats, Reason},
        timer::Timer,
        unhandled::{TripleFault, Unemulated, Unhandled},
        vectors::{Interruption, Vectors},
    },
};

/// A guest in its VM.
pub struct Machine {
    name: Arc<str>,
    vm: u32,
    mode: CpuMode,
    file: PathBuf,
    cpu: Box<dyn Driver>,
    foreign: bool,
    pc: Option<Pc>,
    text: u32,
    /// The host's handlers of exceptions, for a guest that others built.
    vectors: Option<Vectors>,
    /// Whether the guest may turn on 32-bit paging, which this machine's KVM does not have.
    lacks_paging: bool,
    /// The registers of the instruction that a crash is about, where the CPU has gone on since.
    culprit: Option<Registers>,
    mailbox: Option<MailboxAttach>,
    translation: u32,
    timer: Timer,
    clock: Clock,
    secrets: Secrets,
    stats: ExitStats,
    printed: Printed,
    explain: Explain,
    timeline: Timeline,
    /// Whether the guest ended with a crash.
    crashed: bool,
    origin: Origin,
    history: History,
}

/// Whether guests are told where the host has their memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// They are.
    Told,
    /// They are not, and nobody has asked yet.
    Kept,
    /// They are not, and it has been said that somebody asked.
    Mentioned,
    /// They are not, and nothing is said of such calls.
    Unspoken,
}

/// Why a machine stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// The guest asked for it.
    Stop(Stop),
    /// The guest did what it may not.
    Crash(Crash),
    /// Its time was up.
    Expired(Expiry),
    /// The guest had caused all the exits that it may.
    Exits(u64),
    /// A debugger ended the run.
    Killed,
}

impl Machine {
    /// Loads an image into a new VM.
    ///
    /// # Errors
    ///
    /// The image does not fit, or KVM refused a call.
    pub fn new(
        system: &System,
        image: &Image,
        parameters: Parameters<'_>,
        secrets: Secrets,
    ) -> Result<Self, VcpuError> {
        let explain = system.explain();
        let size = parameters.memory;
        explain.call(
            "mmap",
            &format!("{size:#x} bytes of our memory, zero, become the guest's, and what goes with them"),
        );
        let memory = Launch::memory(image, size)?;
        explain.call("copy", &format!("{}: its segments go to their guest-physical addresses", image.name()));
        let Launch { cpu, text, foreign, vectors } = Launch::new(&memory, image, parameters)?;
        if let Some(what) = host_pages(image) {
            explain.call("copy", what);
        }
        let vcpu = Vcpu::new(system, memory, cpu)?;
        Ok(Self {
            name: image.name().into(),
            vm: parameters.vm,
            mode: image.start().mode(),
            file: image.path().into(),
            cpu: Box::new(vcpu),
            foreign,
            pc: None,
            text,
            vectors,
            lacks_paging: may_turn_on_paging(image) && !boot::mode_works(system, CpuMode::Paged)?,
            culprit: None,
            mailbox: None,
            translation: 0,
            timer: Timer::default(),
            clock: Clock::start(),
            secrets,
            stats: ExitStats::default(),
            printed: Printed::default(),
            explain,
            timeline: system.timeline().clone(),
            crashed: false,
            origin: Origin::of(image),
            history: History::default(),
        })
    }

    /// Makes the guest start again from its image, as in a new VM (but see [`Vcpu::reset`]); the
    /// counts of its exits and of its output begin anew. Image and memory size must be those it was made with.
    ///
    /// After a crash the machine gets a new VM: kvm-amd is known not to run a vCPU again that has shut
    /// down, whatever registers it is given.
    ///
    /// # Errors
    ///
    /// KVM or the system refused a call.
    pub fn reset(
        &mut self,
        system: &System,
        image: &Image,
        parameters: Parameters<'_>,
    ) -> Result<(), VcpuError> {
        let pc = self.pc.as_ref().map(|pc| Pc::new(pc.settings(), parameters.memory));
        if self.crashed {
            *self = Self::new(system, image, parameters, self.secrets)?.with_pc(pc);
            return Ok(());
        }
        self.pc = pc;
        let vcpu = self.cpu.vcpu_mut();
        vcpu.memory().clear()?;
        self.vectors = Launch::new(vcpu.memory(), image, parameters)?.vectors;
        vcpu.reset()?;
        self.mailbox = None;
        self.translation = 0;
        self.timer = Timer::default();
        self.clock = Clock::start();
        self.stats = ExitStats::default();
        self.history.clear();
        self.printed = Printed::default();
        Ok(())
    }

    /// The guest's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The guest's name, to be kept.
    pub fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// The VM's number, from 1.
    pub fn vm(&self) -> u32 {
        self.vm
    }

    /// The mode that the guest runs in, once it has booted.
    pub fn mode(&self) -> CpuMode {
        self.mode
    }

    /// What reports know of the image.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The image's file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The same machine with a driver of its vCPU, unless it has one.
    #[must_use]
    pub fn driven_by(self, driver: impl FnOnce(Vcpu) -> Box<dyn Driver>) -> Self {
        Self { cpu: self.cpu.alone().map_or_else(|driver| driver, driver), ..self }
    }

    /// The same machine with the devices of a PC, which its guest has not met yet.
    #[must_use]
    pub fn with_pc(self, pc: Option<Pc>) -> Self {
        Self { pc, ..self }
    }

    /// The devices of a PC, if it has them.
    pub fn pc(&self) -> Option<&Pc> {
        self.pc.as_ref()
    }

    /// Whether others built the image.
    pub fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// The exits so far.
    pub fn stats(&self) -> &ExitStats {
        &self.stats
    }

    /// The number of instructions that the guest was stepped over, if it still is.
    pub fn stepped(&self) -> Option<u64> {
        self.cpu.stepped()
    }

    /// What its driver has counted, if it counts.
    pub fn profile(&self) -> Option<VmProfile> {
        Some(VmProfile { vm: self.vm, name: self.name().into(), ..self.cpu.profile()? })
    }

    /// What the guest has printed so far.
    pub fn printed(&self) -> Printed {
        self.printed
    }

    /// The guest's memory.
    pub fn memory(&self) -> &GuestMemory {
        self.cpu.vcpu().memory()
    }

    /// The registers, for a person to read.
    ///
    /// # Errors
    ///
    /// KVM does not tell them.
    pub fn registers(&self) -> Result<String, VcpuError> {
        self.cpu.vcpu().description()
    }

    /// Runs the guest until it stops, or is to by its thread's registration or the limits; `console`
    /// takes what it says.
    ///
    /// # Errors
    ///
    /// `KVM_RUN` itself failed.
    pub fn run(
        &mut self,
        registration: &Registration<'_>,
        limits: &Limits,
        console: &mut dyn FnMut(Said<'_>) -> bool,
    ) -> Result<Halt, VcpuError> {
        self.timeline.begin(self.vm, &self.name);
        let mut serving = None;
        let halt = self.run_to_halt(registration, limits, console, &mut serving);
        self.served(&mut serving, Instant::now());
        let halt = halt?;
        match self.cpu.halted(&halt, registration)? {
            Order::Run => Ok(halt),
            Order::Kill => Ok(Halt::Killed),
        }
    }

    /// Adds the time since the exit that was being served, if one was.
    fn served(&mut self, serving: &mut Option<(Reason, Instant)>, now: Instant) {
        if let Some((reason, left)) = serving.take() {
            self.stats.served(reason, now - left);
        }
    }

    /// `serving` is the last exit, and when the guest left with it, until that is served. (An exit costs two
    /// readings of the clock: an entry is where the service before it ends.)
    fn run_to_halt(
        &mut self,
        registration: &Registration<'_>,
        limits: &Limits,
        console: &mut dyn FnMut(Said<'_>) -> bool,
        serving: &mut Option<(Reason, Instant)>,
    ) -> Result<Halt, VcpuError> {
        loop {
            if self.cpu.takes_time() {
                self.served(serving, Instant::now());
            }
            if self.cpu.enter(registration)? == Order::Kill {
                return Ok(Halt::Killed);
            }
            if let Some(expiry) = registration.expiry() {
                return Ok(self.expired(expiry));
            }
            if let Some(max) = limits.max_exits.filter(|&max| self.stats.total() >= max) {
                return Ok(Halt::Exits(max));
            }
            self.interrupt(registration)?;
            let entered = Instant::now();
            self.served(serving, entered);
            let exit = self.cpu.vcpu_mut().run()?;
            let left = Instant::now();
            let exit = self.cpu.left(exit)?;
            let unhandled = match self.interruption(&exit)? {
                Interrupted::Not => None,
                Interrupted::Handled => continue,
                Interrupted::Unhandled(crash) => Some(crash),
            };
            let reason = Reason::of(&exit);
            if let Some(reason) = reason {
                self.stats.enter(reason, left - entered);
                *serving = Some((reason, left));
            }
            self.explain.exit(self.vm, &exit, self.foreign);
            // Of a guest that is stepped it would remember nothing but steps.
            if unhandled.is_none() && !matches!(exit, Exit::Debug { .. }) {
                self.history.push(&exit);
            }
            let reply = match unhandled {
                Some(crash) => Err(crash),
                None => self.serve(&exit, limits, &mut |said| {
                    // A write is not to be interrupted by what is to interrupt the guest.
                    registration.set_alarm(None);
                    console(said)
                }),
            };
            self.timeline.exit(self.vm, Stay { reason, entered, left });
            match reply {
                Ok(Reply::Resume) => {}
                Ok(Reply::Answer(value)) => self.cpu.vcpu_mut().answer(value),
                Ok(Reply::Wait) => {
                    self.served(serving, Instant::now());
                    if self.wait(registration)? == Order::Kill {
                        return Ok(Halt::Killed);
                    }
                }
                Ok(Reply::Stop(stop)) => return Ok(Halt::Stop(stop)),
                Err(crash) => {
                    self.crashed = true;
                    return Ok(Halt::Crash(self.crash(crash)));
                }
            }
        }
    }

    /// Sees to the interrupt of the guest's timer: if it is due it is injected, as soon as the guest takes
    /// one; otherwise the guest is left when it is due, or when its driver wants to be asked.
    fn interrupt(&mut self, registration: &Registration<'_>) -> Result<(), VcpuError> {
        let is_due = self.timer.has_expired();
        let vector = match &self.pc {
            Some(pc) => pc.interrupt(),
            None => is_due.then_some(TIMER),
        };
        match vector {
            Some(vector) if self.cpu.takes_interrupt()? => {
                if self.cpu.vcpu_mut().inject(vector)? {
                    self.interrupted();
                }
            }
            // A guest that cancels a timer that was due would be left at every instruction.
            _ => self.cpu.vcpu_mut().hold(),
        }
        let due = self.timer.due().filter(|_| !is_due);
        registration.set_alarm(due.into_iter().chain(self.cpu.wakes()).min());
        Ok(())
    }

    /// The guest takes its interrupt as it enters.
    fn interrupted(&mut self) {
        let why = match &mut self.pc {
            Some(pc) => {
                pc.acknowledge();
                "a line of the test device went high: the guest takes the interrupt as it enters"
            }
            None => {
                self.timer = Timer::default();
                "the timer's interrupt is due: the guest takes it as it enters"
            }
        };
        self.explain.call("KVM_INTERRUPT", why);
    }

    /// Waits until the timer's interrupt is due, asking the driver meanwhile as it wants.
    fn wait(&mut self, registration: &Registration<'_>) -> Result<Order, VcpuError> {
        while let Some(due) = self.timer.due().filter(|_| !self.timer.has_expired()) {
            if self.cpu.enter(registration)? == Order::Kill {
                return Ok(Order::Kill);
            }
            if registration.expiry().is_some() {
                break;
            }
            registration.sleep_until(self.cpu.wakes().map_or(due, |wakes| wakes.min(due)));
        }
        Ok(Order::Run)
    }

    fn serve(
        &mut self,
        exit: &Exit,
        limits: &Limits,
        console: &mut dyn FnMut(Said<'_>) -> bool,
    ) -> Result<Reply, Crash> {
        let explain = self.explain;
        let Self { cpu, vm, secrets, printed, pc, .. } = self;
        let vcpu = cpu.vcpu();
        let printed = Cell::from_mut(printed);
        let admits = |len| {
            let mut count = printed.get();
            let admitted = count.admit_whole(len, limits.max_output);
            printed.set(count);
            admitted
        };
        let mut console = |said: Said<'_>| match said {
            Said::Text(text) => {
                let mut count = printed.get();
                let admitted = count.admit(text, limits.max_output);
                printed.set(count);
                admitted.is_empty() || console(Said::Text(admitted))
            }
            Said::Record(record) => {
                let shown = limits.log.lets_through(record.level, record.target) && admits(record.size());
                !shown || console(said)
            }
        };
        if let Some(reply) = pc.as_mut().and_then(|pc| pc.serve(exit, &mut console)) {
            return Ok(reply);
        }
        // What a guest can cause at each call is its output, wherever it goes.
        let complain = |text: &str| {
            if !limits.quiet && admits(text.len() as u64 + 1) {
                output::complain(text);
            }
        };
        let mut services = Services {
            memory: vcpu.memory(),
            mailbox: &mut self.mailbox,
            stats: &self.stats,
            text: self.text,
            translation: &mut self.translation,
            timer: &mut self.timer,
            clock: self.clock,
            translate: &mut |address| translate(vcpu, *vm, secrets, explain, address, &complain),
            foreign: self.foreign,
            console: &mut console,
        };
        serve(exit, &mut services)
    }

    /// A time is up. A guest whose CPU tries for ever to push onto the stack's guard page, as kvm-amd's
    /// does for some exceptions, is told of its stack.
    fn expired(&mut self, expiry: Expiry) -> Halt {
        match self.push_off_stack().filter(|_| !matches!(expiry, Expiry::Interrupted(_))) {
            None => Halt::Expired(expiry),
            Some(crash) => {
                self.crashed = true;
                Halt::Crash(crash)
            }
        }
    }

    /// The crash that the stack is used up, if there is no room left for what the CPU pushes when it is
    /// interrupted.
    fn push_off_stack(&self) -> Option<Crash> {
        /// Flags, CS, EIP and an error code.
        const PUSHED: u64 = 16;
        let stack_pointer = self.cpu.vcpu().registers().ok().filter(|_| !self.foreign)?.stack();
        let lowest = stack_pointer.wrapping_sub(PUSHED);
        let guard = self.cpu.vcpu().memory().place(lowest) == Place::StackGuard;
        guard.then_some(Crash::PushOffStack { stack_pointer })
    }

    /// Whether the guest has left at a handler of the host's, where an exception or a software interrupt of an
    /// image of others led it. A guest with a handler of its own goes on there.
    fn interruption(&mut self, exit: &Exit) -> Result<Interrupted, VcpuError> {
        let Some(vectors) = self.vectors.as_ref().filter(|_| matches!(exit, Exit::Halt { .. })) else {
            return Ok(Interrupted::Not);
        };
        let vcpu = self.cpu.vcpu();
        let now = vcpu.registers()?;
        if vectors.are_run_into(&now) {
            return Ok(Interrupted::Handled);
        }
        let Some(vector) = vectors.reached(&now) else { return Ok(Interrupted::Not) };
        if let Some(handler) = vectors.own_handler(vcpu.memory(), vector) {
            self.explain
                .call("KVM_SET_REGS", &format!("on to the guest's own handler of vector {vector:#x}"));
            vcpu.go_to(handler)?;
            return Ok(Interrupted::Handled);
        }
        let Some(interruption) = Interruption::of(vcpu, &now, vector) else { return Ok(Interrupted::Not) };
        let why = format!("a handler of the host's, which stands for vector {vector:#x}: the guest has none");
        self.explain.call("hlt", &why);
        // Whoever looks at the registers now is to see the instruction.
        let Interruption { trap, is_asked_for, registers } = interruption;
        self.cpu.vcpu_mut().set_registers(&registers)?;
        let vcpu = self.cpu.vcpu();
        if registers.mode() == CpuMode::Real {
            vcpu.go_to((registers.code_segment().1, u16::try_from(registers.ip).unwrap_or(0)))?;
        }
        let spot = Spot::of(vcpu, &registers);
        let crash = match beyond(vcpu, &spot) {
            Some(crash) => crash,
            None => {
                let lacks_paging = self.lacks_paging && spot.turns_on_paging(&registers);
                unhandled(spot, trap, is_asked_for, lacks_paging)
            }
        };
        self.culprit = Some(registers);
        Ok(Interrupted::Unhandled(crash))
    }

    /// A crash by its better name, where registers give one.
    fn crash(&mut self, crash: Crash) -> Crash {
        if let (Crash::UnknownPort { port, width, direction }, true) = (&crash, self.foreign) {
            let (port, width, direction) = (*port, *width, *direction);
            return device_at(port).map_or(crash, |device| Crash::NoDevice {
                port,
                width,
                direction,
                device,
            });
        }
        if !matches!(crash, Crash::TripleFault | Crash::Emulation { .. }) {
            return crash;
        }
        // What the CPU pushed onto the stack's guard page: a triple fault on kvm_pvm; on others an internal
        // error, since the emulator of MMIO instructions does not know of pushes that are none.
        if let Some(off_stack) = self.push_off_stack() {
            return off_stack;
        }
        let vcpu = self.cpu.vcpu();
        let registers = vcpu.registers().ok().filter(|registers| !registers.are_of_a_reset());
        let registers = match (&self.vectors, registers) {
            (Some(vectors), Some(last)) => vectors.traced_back(vcpu, last),
            (_, registers) => registers,
        };
        let spot = registers.as_ref().map(|registers| Spot::of(vcpu, registers));
        let better = match (&crash, &registers, spot) {
            (Crash::TripleFault, _, spot) if self.foreign => {
                let turns_on = |registers| spot.as_ref().is_some_and(|spot| spot.turns_on_paging(registers));
                let lacks_paging = self.lacks_paging && registers.as_ref().is_some_and(turns_on);
                let bad_stack = registers.as_ref().and_then(|registers| bad_stack(vcpu, registers));
                Crash::ForeignTripleFault(TripleFault { spot, bad_stack, lacks_paging }.into())
            }
            (Crash::Emulation { suberror: EMULATION }, Some(registers), Some(spot)) => {
                self.unemulated(spot, registers)
            }
            _ => return crash,
        };
        self.culprit = registers;
        better
    }

    /// What there is to say of an instruction that KVM had to emulate and cannot.
    fn unemulated(&self, spot: Spot, registers: &Registers) -> Crash {
        let vcpu = self.cpu.vcpu();
        if let Some(crash) = beyond(vcpu, &spot) {
            return crash;
        }
        let has_host_table = self.vectors.as_ref().is_some_and(|vectors| vectors.are_in_force(registers));
        if let Some(vector) = spot.asks_for().filter(|_| has_host_table) {
            let trap = Trap {
                vector: vector.into(),
                ip: registers.ip,
                general: registers.general,
                ..Trap::default()
            };
            return unhandled(spot, trap, true, false);
        }
        let accesses = spot.accesses(registers);
        let is_outside =
            |access: &Access| place_of(vcpu, access.address).is_some_and(|(_, place)| place != Place::Memory);
        let reach = accesses
            .into_iter()
            .find(is_outside)
            .map(|access| (if access.writes { Direction::Out } else { Direction::In }, access.address));
        let bad_stack = bad_stack(vcpu, registers).filter(|_| reach.is_none() && spot.extension().is_none());
        if bad_stack.is_some() && self.foreign {
            // Where exceptions are the hardware's, KVM is left with a push that is none.
            let spot = Some(spot);
            return Crash::ForeignTripleFault(TripleFault { spot, bad_stack, lacks_paging: false }.into());
        }
        Crash::Unemulated(Unemulated { spot, reach }.into())
    }

    /// What there is to say of a guest that has ended, with a trap or not. After a shutdown the registers
    /// are perhaps those of a reset CPU, and say nothing.
    pub fn evidence(&self, trap: Option<&Trap>) -> Evidence {
        let is_lost = |registers: &Registers| {
            registers.are_of_a_reset() || self.vectors.as_ref().is_some_and(|vectors| vectors.have(registers))
        };
        let now = self.cpu.vcpu().registers().ok().filter(|registers| !is_lost(registers));
        let registers = match (&self.culprit, trap) {
            (Some(culprit), _) => Some(culprit.clone()),
            (None, Some(trap)) => now.map(|registers| registers.interrupted(trap)),
            (None, None) => now,
        };
        // Our own guests map every address to itself, and asking KVM costs a call.
        let mode = registers.as_ref().map(Registers::mode);
        let is_translated = self.foreign && matches!(mode, Some(CpuMode::Paged | CpuMode::Long));
        let vcpu = self.cpu.vcpu();
        let read = |address, bytes: &mut [u8]| match is_translated {
            true => vcpu.read_linear(address, bytes) == bytes.len(),
            false => u32::try_from(address).is_ok_and(|address| vcpu.memory().read(address, bytes).is_ok()),
        };
        let evidence = Evidence::take(&self.origin, registers, &self.history, read);
        let evidence = if self.culprit.is_some() { evidence.of_this_instruction() } else { evidence };
        evidence.with_timer(self.timer.has_expired())
    }

    /// The size of the mailbox that the guest attached, if it has one.
    pub fn mailbox_size(&self) -> Option<u32> {
        self.mailbox.map(|mailbox| mailbox.size)
    }

    /// Writes the guest's mailbox.
    ///
    /// # Errors
    ///
    /// The guest has none. (Where it lies was checked when it was attached.)
    pub fn write_mailbox(&self, mailbox: &[u8]) -> Result<(), MemoryError> {
        self.cpu.vcpu().memory().write(self.mailbox_address(), mailbox)
    }

    /// Copies the guest's mailbox, once.
    ///
    /// # Errors
    ///
    /// As [`write_mailbox`](Self::write_mailbox).
    pub fn read_mailbox(&self, mailbox: &mut [u8]) -> Result<(), MemoryError> {
        self.cpu.vcpu().memory().read(self.mailbox_address(), mailbox)
    }

    /// Without a mailbox this is the null page, where every access fails.
    fn mailbox_address(&self) -> u32 {
        self.mailbox.map_or(0, |mailbox| mailbox.address)
    }
}

/// What an exit of a guest has to do with the host's handlers.
enum Interrupted {
    /// Nothing.
    Not,
    /// The guest goes on: at a handler of its own, or behind the host's, which it ran into.
    Handled,
    /// It has none.
    Unhandled(Crash),
}

/// KVM's suberror for an instruction that it cannot emulate (`KVM_INTERNAL_ERROR_EMULATION`).
const EMULATION: u32 = 1;

/// The crash that nothing handles an exception or a software interrupt.
fn unhandled(spot: Spot, trap: Trap, is_asked_for: bool, lacks_paging: bool) -> Crash {
    // A vector beyond the table is a protection fault whose code names it (SDM volume 3A, 6.13).
    const OF_THE_TABLE: u64 = 1 << 1;
    let beyond = spot.asks_for().filter(|_| trap.has_error_code == 1 && trap.error_code & OF_THE_TABLE != 0);
    let trap = match beyond {
        Some(vector) => Trap { vector: vector.into(), has_error_code: 0, error_code: 0, ..trap },
        None => trap,
    };
    let report = TrapReport::new(trap, false);
    let is_asked_for = is_asked_for || beyond.is_some();
    Crash::Unhandled(Unhandled { spot, report, is_asked_for, lacks_paging }.into())
}

/// What lies at a linear address, unless that is not mapped.
fn place_of(vcpu: &Vcpu, address: u64) -> Option<(u64, Place)> {
    let physical = vcpu.physical(address)?.into();
    Some((physical, vcpu.memory().place(physical)))
}

/// The crash that an instruction is beyond the guest's memory, if it is: the host's pages behind it are not the
/// guest's either.
fn beyond(vcpu: &Vcpu, spot: &Spot) -> Option<Crash> {
    let (address, place) = place_of(vcpu, spot.address)?;
    match place {
        Place::Memory if address < vcpu.memory().size().into() => None,
        Place::Memory => Some(Crash::PastEnd { address }),
        place => Some(Crash::BadJump { address, place }),
    }
}

/// The linear address of the stack, if the CPU cannot push there.
fn bad_stack(vcpu: &Vcpu, registers: &Registers) -> Option<u64> {
    let stack = registers.stack();
    let is_memory = |(_, place)| place == Place::Memory;
    (!place_of(vcpu, registers.wrapped(stack.wrapping_sub(1))).is_some_and(is_memory)).then_some(stack)
}

/// Whether an image that is started without paging has an instruction in it that can turn it on: `mov cr0, ...`.
fn may_turn_on_paging(image: &Image) -> bool {
    let start = image.start();
    let is_without = matches!(start.mode(), CpuMode::Real | CpuMode::Protected);
    let loads_cr0 = |code: &[u8]| matches!(*code, [0x0F, 0x22, 0xC0..=0xC7]);
    start.is_foreign() && is_without && image.file().windows(3).any(loads_cr0)
}

/// What the host puts into a guest's memory beside the image.
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

/// What a guest is told of where the host has the memory behind an address: the low half, if it
/// may be told at all.
fn translate(
    vcpu: &Vcpu,
    vm: u32,
    secrets: &mut Secrets,
    explain: Explain,
    address: u32,
    complain: &dyn Fn(&str),
) -> u32 {
    explain.call("KVM_TRANSLATE", &format!("where {address:#x} is for the guest's own page tables"));
    let host_address =
        vcpu.translate(address.into()).and_then(|physical| vcpu.memory().host_address(physical));
    match (host_address, *secrets) {
        (None, Secrets::Unspoken) => 0,
        (None, _) => {
            complain("Invalid GVA");
            0
        }
        (Some(address), Secrets::Told) => crate::vmm::random::split(address).0,
        (Some(_), Secrets::Mentioned | Secrets::Unspoken) => 0,
        (Some(_), Secrets::Kept) => {
            *secrets = Secrets::Mentioned;
            output::complain(&format!(
                "VM {vm} asks where its memory is in the host; it is told 0, unless --allow-hva is given"
            ));
            0
        }
    }
}

/// Serves one exit: decodes it, and handles the hypercalls that it stands for.
///
/// # Errors
///
/// The exit ends the guest.
pub fn serve(exit: &Exit, services: &mut Services<'_>) -> Result<Reply, Crash> {
    let foreign = services.foreign;
    let known = |port: Port| foreign::is_known(port, foreign);
    match *exit {
        Exit::Out { port, width, ref values } => {
            for &value in values.as_slice() {
                let call = hypercall::decode(port, width, Direction::Out, value, known)?;
                match hypercall::handle(call, services)? {
                    Reply::Resume => {}
                    stop => return Ok(stop),
                }
            }
            Ok(Reply::Resume)
        }
        Exit::In { port, width, .. } => {
            hypercall::handle(hypercall::decode(port, width, Direction::In, 0, known)?, services)
        }
        Exit::Mmio { address, direction, .. } => {
            Err(Crash::NoMemory { address, direction, place: services.memory.place(address) })
        }
        Exit::Halt { .. } if foreign => Ok(Reply::Stop(Stop::Halted)),
        Exit::Halt { interrupts: true } if services.timer.due().is_some() => Ok(Reply::Wait),
        Exit::Halt { .. } => Err(Crash::Halted),
        Exit::Shutdown => Err(Crash::TripleFault),
        Exit::FailEntry { reason } => Err(Crash::FailEntry { reason }),
        Exit::InternalError { suberror } => Err(Crash::Emulation { suberror }),
        Exit::Interrupted | Exit::InterruptWindow | Exit::Priority | Exit::Debug { .. } => Ok(Reply::Resume),
        Exit::Other { reason } => Err(Crash::Unexpected { reason }),
    }
}
