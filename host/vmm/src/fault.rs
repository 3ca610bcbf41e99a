//! Failures of guests: each has a name, a sentence and a hint.

use std::borrow::Cow;

use guest_abi::{layout::MAX_MEMORY, port::Port};

use guestlab_cpu::{Direction, Width};

use crate::{
    exception::TrapReport,
    memory::MemoryKind,
    pc::device::{Device, MemoryDevice, device_in_memory_at},
    unhandled::{TripleFault, Unemulated, Unhandled},
};

/// The reason why a guest was stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Crash {
    /// The CPU shut down.
    #[error("triple fault: an exception whose handling failed, and so did the handling of that")]
    TripleFault,
    /// An exception or an interrupt that the guest does not handle.
    #[error("{0}")]
    Trap(Box<TrapReport>),
    /// The CPU had to push for a trap, and there was no memory below its stack pointer.
    #[error(
        "stack overflow: the CPU had to push for an exception or an interrupt onto the guard page below the stack, the stack pointer being {stack_pointer:#x}"
    )]
    PushOffStack {
        /// The stack pointer.
        stack_pointer: u64,
    },
    /// An exception or a software interrupt that an image without guest-rt does not handle.
    #[error("{0}")]
    Unhandled(Box<Unhandled>),
    /// A triple fault of an image without guest-rt.
    #[error("{0}")]
    ForeignTripleFault(Box<TripleFault>),
    /// An instruction that KVM cannot emulate.
    #[error("{0}")]
    Unemulated(Box<Unemulated>),
    /// A port that is no hypercall.
    #[error("{} port {port:#x}, {width}, which is no hypercall", verb(*direction))]
    UnknownPort {
        /// The port.
        port: u16,
        /// The width of the access.
        width: Width,
        /// Its direction.
        direction: Direction,
    },
    /// An access to a port of a device that a PC has and this VM does not have, by an image without guest-rt.
    #[error("{} port {port:#x}, {width}: {}, which this VM does not have", verb(*direction), device.description())]
    NoDevice {
        /// The port.
        port: u16,
        /// The width of the access.
        width: Width,
        /// Its direction.
        direction: Direction,
        /// The device.
        device: &'static Device,
    },
    /// An access to a hypercall's port in the wrong direction or width.
    #[error("{} port {:#x} ({port:?}), {width}, which that hypercall does not take", verb(*direction), *port as u16)]
    WrongAccess {
        /// The hypercall.
        port: Port,
        /// The width of the access.
        width: Width,
        /// Its direction.
        direction: Direction,
    },
    /// An access where there is no memory.
    #[error("{}", describe_mmio(*address, *direction, *place))]
    NoMemory {
        /// The guest-physical address.
        address: u64,
        /// Read or write.
        direction: Direction,
        /// The kind of memory there.
        place: MemoryKind,
    },
    /// A fetch of an instruction from an address without memory.
    #[error("jumped to {address:#x}, {}", match place {
        MemoryKind::NullPage => "a null pointer",
        MemoryKind::StackGuard => "the guard page below the stack",
        _ => "where it has no memory",
    })]
    BadJump {
        /// The guest-physical address.
        address: u64,
        /// The kind of memory there.
        place: MemoryKind,
    },
    /// Code that continued behind the guest's memory, in the host's pages.
    #[error("ran or jumped past the end of its memory, to {address:#x}")]
    PastEnd {
        /// The guest-physical address.
        address: u64,
    },
    /// `hlt`, with nothing to wait for.
    #[error("halted with nothing to wait for: no interrupt can wake this guest")]
    Halted,
    /// An internal error of KVM; most likely, it could not emulate an instruction.
    #[error("the engine could not go on (internal error, suberror {suberror})")]
    Emulation {
        /// KVM's suberror.
        suberror: u32,
    },
    /// The hardware refused the guest's state.
    #[error("the hardware refused to enter the guest (reason {reason:#x})")]
    FailEntry {
        /// The hardware's reason.
        reason: u64,
    },
    /// A hypercall named memory that is not the guest's.
    #[error("{call:?}: {what} at {address:#x} ({len} bytes) is not entirely inside guest memory")]
    BadAddress {
        /// The hypercall.
        call: Port,
        /// The object that the call needs there.
        what: &'static str,
        /// The guest-physical address.
        address: u32,
        /// The length in bytes.
        len: u32,
    },
    /// A text longer than a call takes.
    #[error(
        "{call:?} asked for {len} bytes of text or more at once; the most is {}",
        guest_abi::block::Text::MAX_LEN
    )]
    TextTooLong {
        /// The hypercall.
        call: Port,
        /// The length in bytes.
        len: u32,
    },
    /// A second mailbox.
    #[error("attached a second mailbox")]
    MailboxTwice,
    /// An end of turn without a mailbox.
    #[error("ended its turn without having attached a mailbox")]
    TurnWithoutMailbox,
    /// An exit that this host does not serve.
    #[error("an exit of a kind that this host does not serve (KVM's exit reason {reason})")]
    Unexpected {
        /// KVM's number for it.
        reason: u32,
    },
}

impl Crash {
    /// Returns true if an instruction ended the guest, so that its registers help to explain the crash. Wrong use of the
    /// mailbox does not count.
    pub fn is_the_cpus(&self) -> bool {
        !matches!(self, Self::MailboxTwice | Self::TurnWithoutMailbox)
    }

    /// Returns the name for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TripleFault | Self::ForeignTripleFault(_) => "triple-fault",
            Self::Trap(report) => report.name(),
            Self::Unhandled(unhandled) => unhandled.name(),
            Self::PushOffStack { .. } => "stack-overflow",
            Self::UnknownPort { .. } | Self::NoDevice { .. } => "unknown-port",
            Self::WrongAccess { .. } => "wrong-access",
            Self::NoMemory { place: MemoryKind::StackGuard, .. } => "stack-overflow",
            Self::NoMemory { place: MemoryKind::NullPage, .. } => "null-pointer",
            Self::NoMemory { .. } => "no-memory",
            Self::BadJump { .. } | Self::PastEnd { .. } => "bad-jump",
            Self::Halted => "halted",
            Self::Emulation { .. } | Self::Unemulated(_) => "emulation",
            Self::FailEntry { .. } => "fail-entry",
            Self::BadAddress { .. } => "bad-address",
            Self::TextTooLong { .. } => "text-too-long",
            Self::MailboxTwice => "mailbox-twice",
            Self::TurnWithoutMailbox => "turn-without-mailbox",
            Self::Unexpected { .. } => "unexpected",
        }
    }

    /// Returns a hint: what the author of the guest can try next.
    pub fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Unhandled(unhandled) => unhandled.hint().into(),
            Self::Unemulated(unemulated) => unemulated.hint(false).into(),
            other => other.fixed_hint().into(),
        }
    }

    /// Returns the hint, if it is the same for all crashes of a kind.
    fn fixed_hint(&self) -> &'static str {
        match self {
            Self::ForeignTripleFault(fault) => fault.hint(),
            Self::Unhandled(_) | Self::Unemulated(_) => "",
            Self::TripleFault => {
                "look for code that changes the interrupt descriptor table, segments or page tables: exceptions are reported otherwise"
            }
            Self::Trap(report) if !report.off_stack => report.hint(),
            Self::NoDevice { device, .. } if device.is_there() => {
                "give the guest the devices of a PC with --pc"
            }
            Self::NoDevice { .. } => {
                "Guestlab has no such device, with --pc neither; put into the image what the guest needs of it"
            }
            Self::UnknownPort { .. } | Self::WrongAccess { .. } => {
                "use guest_rt's functions; guest_abi::port lists every hypercall with its width and direction"
            }
            Self::NoMemory { place: MemoryKind::NullPage, .. } => "look for a pointer that was never set",
            Self::NoMemory { place: MemoryKind::StackGuard, .. }
            | Self::PushOffStack { .. }
            | Self::Trap(_) => "look for endless recursion or large local variables: the stack has 16 KiB",
            Self::NoMemory { address, .. } if device_in_memory_at(*address) == Some(MemoryDevice::Screen) => {
                "give the guest --memory 1M or more, which reaches beyond the screen"
            }
            Self::NoMemory { address, .. } if device_in_memory_at(*address).is_some() => {
                "do without this device: Guestlab does not have it, and --pc does not either"
            }
            Self::NoMemory { address, .. } if *address >= MAX_MEMORY.into() => {
                "look for a wrong pointer: a guest's memory ends at 3 GiB at most, and no device lies above it"
            }
            Self::NoMemory { .. } => "look for a wrong pointer, or give the guest more --memory",
            Self::BadJump { .. } => {
                "look for a function pointer that was never set, or for a return address that was written over"
            }
            Self::PastEnd { .. } => {
                "look for code without a `hlt` or a loop at its end, and for a jump, a call or a return to where nothing was loaded: the guest runs through empty memory, where two zeros are an `add`"
            }
            Self::Halted => {
                "end the guest with guest_rt::exit::exit, or let main return; to wait, set guest_rt::timer and call guest_rt::interrupts::wait"
            }
            Self::Emulation { .. } => {
                "look for a jump into data, or for an instruction (SSE, RDRAND) that this machine's KVM does not emulate"
            }
            Self::FailEntry { .. } => {
                "look for segment or control registers in a state that the CPU does not allow"
            }
            Self::BadAddress { .. } => "look for a pointer that was cut off, or to memory that is gone",
            Self::TextTooLong { .. } => "print the text in pieces",
            Self::MailboxTwice | Self::TurnWithoutMailbox => MAILBOX_HINT,
            Self::Unexpected { .. } => "look up the number in linux/kvm.h (KVM_EXIT_...)",
        }
    }
}

/// The advice for a guest that uses its mailbox wrongly.
pub const MAILBOX_HINT: &str = "use guest_rt::ring::RingMailbox (or in an experiment of your own guest_rt::mailbox::Mailbox, with the same message in all guests), once, before the first turn";

fn verb(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "read from",
        Direction::Out => "wrote to",
    }
}

fn describe_mmio(address: u64, direction: Direction, place: MemoryKind) -> String {
    let verb = verb(direction);
    match place {
        MemoryKind::NullPage => format!("null pointer: {verb} address {address:#x}"),
        MemoryKind::StackGuard => {
            format!("stack overflow: {verb} the guard page below the stack, at {address:#x}")
        }
        MemoryKind::Memory => format!("{verb} address {address:#x}, which KVM took for no memory"),
        MemoryKind::Beyond => match device_in_memory_at(address) {
            Some(device) => {
                format!("{verb} address {address:#x} ({}), where it has no memory", device.name())
            }
            None => format!("{verb} address {address:#x}, where it has no memory"),
        },
    }
}
