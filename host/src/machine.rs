//! A machine: one guest in its VM, run from stop to stop.

use std::collections::BTreeMap;

use guest_abi::{
    block::MailboxAttach,
    boot::{self, BootInfo},
    layout,
    mailbox::Mailbox,
};

use crate::{
    crash::Crash,
    hypercall::{self, Reply, Services, Stop},
    image::Image,
    kvm::{Direction, Exit, System, Vcpu, VcpuError},
    memory::{GuestMemory, MemoryError},
    seed,
    watchdog::Watchdog,
};

/// What a guest is started with.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The VM's number in its experiment, from 1.
    pub vm: u32,
    /// The run's seed.
    pub seed: u64,
    /// The guest's memory in bytes.
    pub memory: u32,
}

/// A guest in its VM.
pub struct Machine {
    name: String,
    vm: u32,
    vcpu: Vcpu,
    mailbox: Option<MailboxAttach>,
    exits: ExitCounts,
}

/// Why a machine stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// The guest asked for it.
    Stop(Stop),
    /// The guest did what it may not; with the instruction pointer, where that is meaningful.
    Crash(Crash, Option<u64>),
    /// The deadline passed while the guest ran.
    Deadline,
}

impl Machine {
    /// Loads an image into a new VM.
    ///
    /// # Errors
    ///
    /// The image does not fit, or KVM refused a call.
    pub fn new(system: &System, image: &Image, start: Start) -> Result<Self, VcpuError> {
        let memory = GuestMemory::new(start.memory)?;
        image.load(&memory)?;
        memory.write_record(
            layout::BOOT_INFO,
            &BootInfo {
                magic: boot::MAGIC,
                memory: start.memory,
                vm: start.vm,
                seed: seed::guest_seed(start.seed, start.vm),
            },
        )?;
        let vcpu = Vcpu::new(system, memory, image.entry())?;
        Ok(Self {
            name: image.name().into(),
            vm: start.vm,
            vcpu,
            mailbox: None,
            exits: ExitCounts::default(),
        })
    }

    /// The guest's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The VM's number, from 1.
    pub fn vm(&self) -> u32 {
        self.vm
    }

    /// The exits so far.
    pub fn exits(&self) -> &ExitCounts {
        &self.exits
    }

    /// Runs the guest until it stops; `console` takes what it prints.
    ///
    /// # Errors
    ///
    /// `KVM_RUN` itself failed.
    pub fn run(&mut self, watchdog: &Watchdog, console: &mut dyn FnMut(&[u8])) -> Result<Halt, VcpuError> {
        loop {
            if watchdog.expired() {
                return Ok(Halt::Deadline);
            }
            let exit = self.vcpu.run()?;
            self.exits.count(&exit);
            match self.serve(&exit, console) {
                Ok(Reply::Resume) => {}
                Ok(Reply::Answer(value)) => self.vcpu.answer(value),
                Ok(Reply::Stop(stop)) => return Ok(Halt::Stop(stop)),
                Err(crash) => return Ok(Halt::Crash(crash.clone(), self.crash_address(&crash))),
            }
        }
    }

    fn serve(&mut self, exit: &Exit, console: &mut dyn FnMut(&[u8])) -> Result<Reply, Crash> {
        let mut services = Services {
            memory: self.vcpu.memory(),
            mailbox: &mut self.mailbox,
            exits: self.exits.total(),
            console,
        };
        serve(exit, &mut services)
    }

    /// After a shutdown the registers may be those of a reset CPU and say nothing.
    fn crash_address(&self, crash: &Crash) -> Option<u64> {
        match crash {
            Crash::TripleFault => None,
            _ => self.vcpu.instruction_pointer(),
        }
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
    pub fn write_mailbox(&self, mailbox: &Mailbox) -> Result<(), MemoryError> {
        self.vcpu.memory().write_record(self.mailbox_address(), mailbox)
    }

    /// Copies the guest's mailbox, once.
    ///
    /// # Errors
    ///
    /// As [`write_mailbox`](Self::write_mailbox).
    pub fn read_mailbox(&self) -> Result<Mailbox, MemoryError> {
        self.vcpu.memory().read_record(self.mailbox_address())
    }

    /// Without a mailbox this is the null page, where every access fails.
    fn mailbox_address(&self) -> u32 {
        self.mailbox.map_or(0, |mailbox| mailbox.address)
    }
}

/// Serves one exit: decodes it, and handles the hypercalls that it stands for.
///
/// # Errors
///
/// The exit ends the guest.
pub fn serve(exit: &Exit, services: &mut Services<'_>) -> Result<Reply, Crash> {
    match *exit {
        Exit::Out { port, width, ref values } => {
            let mut reply = Reply::Resume;
            for &value in values.as_slice() {
                let call = hypercall::decode(port, width, Direction::Out, value)?;
                reply = hypercall::handle(call, services)?;
                if reply != Reply::Resume {
                    break;
                }
            }
            Ok(reply)
        }
        Exit::In { port, width, .. } => {
            hypercall::handle(hypercall::decode(port, width, Direction::In, 0)?, services)
        }
        Exit::Mmio { address, direction, .. } => {
            Err(Crash::NoMemory { address, direction, place: services.memory.place(address) })
        }
        Exit::Halt => Err(Crash::Halted),
        Exit::Shutdown => Err(Crash::TripleFault),
        Exit::FailEntry { reason } => Err(Crash::FailEntry { reason }),
        Exit::InternalError { suberror } => Err(Crash::Emulation { suberror }),
        Exit::Interrupted => Ok(Reply::Resume),
        Exit::Other { reason } => Err(Crash::Unexpected { reason }),
    }
}

/// The number of a VM's exits, by kind. An interruption by the host's own signal is none of
/// them: it depends on the clock, and the guest did not cause it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExitCounts(BTreeMap<&'static str, u64>);

impl ExitCounts {
    /// Counts one exit.
    pub fn count(&mut self, exit: &Exit) {
        let kind = match exit {
            Exit::Interrupted => return,
            Exit::Out { .. } => "io_out",
            Exit::In { .. } => "io_in",
            Exit::Mmio { .. } => "mmio",
            Exit::Halt => "hlt",
            Exit::Shutdown => "shutdown",
            Exit::FailEntry { .. } => "fail_entry",
            Exit::InternalError { .. } => "internal_error",
            Exit::Other { .. } => "other",
        };
        *self.0.entry(kind).or_default() += 1;
    }

    /// All exits.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The number of each kind: `io_out` and `io_in` always, the others where there were any.
    pub fn by_kind(&self) -> BTreeMap<&'static str, u64> {
        let mut kinds = self.0.clone();
        kinds.entry("io_out").or_default();
        kinds.entry("io_in").or_default();
        kinds
    }
}
