//! Port accesses of a guest that chooses ports, widths, values and memory as it likes.

use arbitrary::{Arbitrary, Unstructured};
use guest_abi::{
    block::{self, MailboxAttach, Text},
    layout::{BOOT_INFO, EXIT_TEXT, IMAGE_BASE, PAGE_SIZE, STACK_BOTTOM, STACK_GUARD},
    mode::CpuMode,
    port,
};
use guestlab::{
    cpu::{Cpu, CpuState, Engine, Exit, Values, Width},
    vmm::{
        Clock, ConsoleOutput, Crash, HvaPolicy, MemoryLayout, Reply, Services, StopReason, Timer,
        hypercall::serve,
        stats::{ExitStats, Reason},
    },
};

use super::engines;

/// The size of the guest's memory: room for a text that is longer than the host takes, and little more.
const SIZE: u32 = IMAGE_BASE + Text::MAX_LEN + 2 * PAGE_SIZE;

/// The room that the host has in guest memory for the text of the exit counts.
const EXIT_TEXT_SIZE: u32 = BOOT_INFO + PAGE_SIZE - EXIT_TEXT;

/// The most bytes of output of one call: a record's target and message, with each byte replaced by a character of three.
const MOST_SAID: usize = 2 * 3 * Text::MAX_LEN as usize;

/// An act of a guest.
#[derive(Arbitrary, Clone, Debug)]
pub enum Action {
    /// Words are written to its memory.
    Write(Address, Vec<Word>),
    /// A port is accessed.
    Access {
        /// One of the hypercalls' more often than another.
        port: Port,
        /// 8, 16 or 32 bits, by its remainder.
        width: u8,
        /// True for a write.
        out: bool,
        /// The value, or the values of a string instruction.
        values: Vec<Word>,
    },
}

/// A port.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Port {
    /// A hypercall's.
    Call(u8),
    /// Near those of hypercalls.
    Near(u8),
    /// Any.
    Any(u16),
}

/// An address: at an edge or near one, or any.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Address {
    /// This far from an edge.
    Near(u8, i8),
    /// Any in the first 64 KiB.
    Within(u16),
}

/// A word that a guest writes or passes.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Word {
    /// An address.
    Address(Address),
    /// A small number, as lengths are.
    Small(u8),
    /// Text without an end.
    Text,
    /// Any.
    Any(u32),
}

impl Address {
    fn number(self) -> u32 {
        const EDGES: [u32; 8] =
            [0, BOOT_INFO, EXIT_TEXT, STACK_GUARD, STACK_BOTTOM, IMAGE_BASE, SIZE, 0x8000_0000];
        match self {
            Self::Near(edge, offset) => {
                EDGES[usize::from(edge) % EDGES.len()].wrapping_add_signed(offset.into())
            }
            Self::Within(address) => address.into(),
        }
    }
}

impl Word {
    fn number(self) -> u32 {
        match self {
            Self::Address(address) => address.number(),
            Self::Small(number) => number.into(),
            Self::Text => u32::from_le_bytes(*b"text"),
            Self::Any(number) => number,
        }
    }
}

/// A guest, and the services that the host has for it.
pub struct Guest {
    cpu: Box<dyn Cpu>,
    services: Services,
    /// The bytes that its memory should hold.
    model: Vec<u8>,
}

impl Guest {
    /// Returns a guest whose memory is all zero.
    ///
    /// # Panics
    ///
    /// The engine gives no memory.
    pub fn new(engine: &dyn Engine) -> Self {
        let memory = MemoryLayout::guarded(SIZE).expect("100 KiB");
        let mut cpu = engine.create(&memory.plan()).expect("100 KiB");
        // Addresses of all 32 bits are translated as they are.
        cpu.set_state(&CpuState::flat(CpuMode::Protected, 0, 0, 0)).expect("a CPU's state");
        let services = Services {
            memory,
            mailbox: None,
            stats: ExitStats::default(),
            text: EXIT_TEXT,
            translation: 0,
            hva: HvaPolicy::Allow,
            has_read_counts: false,
            timer: Timer::default(),
            clock: Clock::start(),
            foreign: false,
        };
        Self { cpu, services, model: vec![0; SIZE as usize] }
    }

    /// Returns the guest's vCPU, with its memory.
    pub fn cpu(&self) -> &dyn Cpu {
        &*self.cpu
    }

    /// Returns the layout of the guest's memory.
    pub fn layout(&self) -> MemoryLayout {
        self.services.memory
    }

    /// Performs an act of the guest. Returns the guest's end, if it ends.
    ///
    /// # Panics
    ///
    /// If the host breaks a rule of its own.
    pub fn act(&mut self, action: &Action) -> Option<Result<StopReason, Crash>> {
        match action {
            Action::Write(address, words) => {
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.number().to_le_bytes()).collect();
                let start = address.number() as usize;
                // The guest writes a page at a time, and nothing where there is no memory.
                let memory = self.cpu.memory_mut();
                if !bytes.is_empty() && memory.write(address.number().into(), &bytes).is_ok() {
                    self.model[start..start + bytes.len()].copy_from_slice(&bytes);
                }
                None
            }
            Action::Access { port, width, out, values } => {
                let exit = exit(*port, *width, *out, values);
                let reason = Reason::of(&exit).expect("an exit of the guest's");
                self.services.stats.count(reason);
                self.serve(&exit, values.len().max(1))
            }
        }
    }

    /// Serves an exit for this many accesses.
    fn serve(&mut self, exit: &Exit, accesses: usize) -> Option<Result<StopReason, Crash>> {
        let mut printed = 0;
        let reply = serve(exit, &mut self.services, &mut *self.cpu, &mut |output| {
            printed += match output {
                ConsoleOutput::Text(text) => text.len(),
                ConsoleOutput::Record(record) => record.target.len() + record.message.len(),
                ConsoleOutput::InvalidAddress | ConsoleOutput::HvaDenied => 0,
            };
            true
        });
        assert!(printed <= accesses * MOST_SAID, "{printed} bytes of output");
        self.accept_times(exit);
        match reply {
            Ok(Reply::Resume | Reply::Answer(_) | Reply::Wait) => None,
            Ok(Reply::Stop(stop)) => {
                if let (StopReason::Attached, Some(mailbox)) = (&stop, self.services.mailbox) {
                    let MailboxAttach { address, size } = mailbox;
                    assert!(self.cpu.memory().contains(address.into(), size as usize));
                }
                Some(Ok(stop))
            }
            Err(crash) => {
                assert!(!crash.to_string().is_empty() && !crash.hint().is_empty());
                // The next one finds its memory.
                (self.services.mailbox, self.services.stats) = (None, ExitStats::default());
                Some(Err(crash))
            }
        }
    }

    /// Copies the times that the guest got into the model, which cannot compute them.
    fn accept_times(&mut self, exit: &Exit) {
        let Exit::Out { port, values, width: Width::Long } = exit else { return };
        if *port == port::Port::Clock as u16 {
            // Up to the first that has no room.
            let mut time = [0; size_of::<block::Clock>()];
            for &address in values.as_slice() {
                let Ok(()) = self.cpu.memory().read(address.into(), &mut time) else { return };
                self.model[address as usize..][..time.len()].copy_from_slice(&time);
            }
        }
    }

    /// Fills its memory from an address on, as far as there is any.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn fill(&mut self, start: u32, byte: u8) {
        let bytes = vec![byte; (SIZE - start) as usize];
        self.cpu.memory_mut().write(start.into(), &bytes).expect("memory");
        self.model[start as usize..].copy_from_slice(&bytes);
    }

    /// Checks that the host has only written the text of the exit counts, at its address.
    ///
    /// # Panics
    ///
    /// If it has written anything else.
    pub fn check_memory(&mut self) {
        for (start, end) in [(BOOT_INFO, STACK_GUARD), (STACK_BOTTOM, SIZE)] {
            let mut bytes = vec![0; (end - start) as usize];
            self.cpu.memory().read(start.into(), &mut bytes).expect("memory");
            let mut expected = self.model[start as usize..end as usize].to_vec();
            if start == BOOT_INFO {
                let text =
                    (EXIT_TEXT - BOOT_INFO) as usize..(EXIT_TEXT - BOOT_INFO + EXIT_TEXT_SIZE) as usize;
                expected[text.clone()].copy_from_slice(&bytes[text]);
            }
            assert!(bytes == expected, "the host wrote into the guest's memory from {start:#x} on");
        }
    }
}

fn exit(port: Port, width: u8, out: bool, values: &[Word]) -> Exit {
    let port = match port {
        Port::Call(number) => port::Port::ALL[usize::from(number) % port::Port::ALL.len()] as u16,
        Port::Near(number) => 0xE8 + u16::from(number % 24),
        Port::Any(port) => port,
    };
    let width = [Width::Byte, Width::Word, Width::Long, Width::Long][usize::from(width) % 4];
    // So many that they fit into KVM's page.
    let mut numbers = values.iter().take(1024).map(|word| word.number());
    match (out, values.len()) {
        (false, count) => Exit::In { port, width, count: u32::try_from(count.max(1)).unwrap_or(1) },
        (true, 0 | 1) => Exit::Out { port, width, values: Values::One(numbers.next().unwrap_or(0)) },
        (true, _) => Exit::Out { port, width, values: Values::Many(numbers.collect()) },
    }
}

/// Lets a guest act until it ends, and a little longer.
pub fn run(data: &[u8]) {
    let mut data = Unstructured::new(data);
    let mut guest = Guest::new(&*engines::soft());
    while let (false, Ok(action)) = (data.is_empty(), Action::arbitrary(&mut data)) {
        guest.act(&action);
    }
    guest.check_memory();
}
