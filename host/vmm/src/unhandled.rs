//! Exceptions and software interrupts that an image without guest-rt does not handle. They reached the host's own
//! [handlers](crate::vectors), or KVM stopped at them.

use std::fmt;

use guest_abi::{block::Trap, mode::CpuMode, trap::Exception};

use guestlab_cpu::Direction;

use crate::{
    exception::{Cause, TrapReport},
    spot::Spot,
};

/// An exception or a software interrupt without a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unhandled {
    /// The instruction.
    pub spot: Spot,
    /// The trap, made from the interrupted CPU.
    pub report: TrapReport,
    /// An instruction such as `int` raised it.
    pub is_asked_for: bool,
    /// The guest turned on 32-bit paging, which this machine's KVM does not have.
    pub lacks_paging: bool,
}

/// The hint for a KVM without 32-bit paging.
const PAGING_HINT: &str = "run it on a machine with hardware KVM (kvm_intel, kvm_amd), or without 32-bit paging; long mode's paging works";

/// The hint for 16-bit code that reached the end of its segment.
const SEGMENTS_END: &str = "it most likely ran past the end of its segment of 64 KiB, through empty memory, where two zeros are an `add`: look for code without a `hlt` or a loop at its end, and for a jump, a call or a return to where nothing was loaded";

impl Unhandled {
    /// Returns the name for programs.
    pub fn name(&self) -> &'static str {
        match self.is_asked_for {
            true => "software-interrupt",
            false => self.report.name(),
        }
    }

    /// Returns a hint: what the author of the image can try next.
    pub fn hint(&self) -> String {
        if self.lacks_paging {
            return PAGING_HINT.into();
        }
        let handler = match self.spot.mode {
            CpuMode::Real => {
                "to handle it, write segment and offset of a handler to 4 times the vector's number"
            }
            _ => "to handle it, load a table of vectors with `lidt`",
        };
        let try_first = match self.report.cause {
            _ if self.is_asked_for => return handler.into(),
            Cause::Exception(Exception::GeneralProtection) if self.is_at_segments_end() => {
                return SEGMENTS_END.into();
            }
            Cause::Exception(exception) => crate::exception::hint(exception, self.spot.extension().is_some()),
            Cause::Timer | Cause::Unknown(_) => return handler.into(),
        };
        format!("{try_first}; {handler}")
    }

    /// Returns true if the instruction is the last one of a segment in real mode, or behind it, at offset 0.
    fn is_at_segments_end(&self) -> bool {
        let len = self.spot.instruction.as_ref().map_or(1, |instruction| instruction.len as u64);
        self.spot.mode == CpuMode::Real
            && matches!(self.spot.pointer.1 + len, end if end > 0x1_0000 || end == len)
    }

    /// Returns true if it is a call of a PC's firmware or of DOS. A VM has neither.
    pub fn calls_firmware(&self) -> bool {
        self.is_asked_for && self.spot.mode == CpuMode::Real && service(self.report.record.vector).is_some()
    }
}

impl fmt::Display for Unhandled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Trap { vector, general, .. } = self.report.record;
        let [_, ah, ..] = general[0].to_le_bytes();
        let is_real = self.spot.mode == CpuMode::Real;
        let table = match is_real {
            _ if self.lacks_paging => "this machine's KVM has no 32-bit paging",
            true => "real mode's table of vectors has no handler for it",
            false => "this image has loaded no table of vectors (IDT)",
        };
        let (address, pointer) = (self.spot.address, self.spot.pointer());
        match service(vector).filter(|_| is_real) {
            Some((whose, instead)) if self.is_asked_for => write!(
                f,
                "int {vector:#x} at {address:#x}: there is no {whose} here; {instead} ({pointer}, AH={ah:#04x})"
            ),
            _ if self.is_asked_for => {
                write!(f, "{} at {address:#x} ({pointer}): {table}", self.name_of_call(vector))
            }
            _ => write!(
                f,
                "{} at {}{}; {table}",
                self.report.title(),
                self.spot,
                self.report.error_code_in_words()
            ),
        }
    }
}

impl Unhandled {
    /// Returns the instruction, for example `int 0x80`; `int3` is an instruction of its own.
    fn name_of_call(&self, vector: u32) -> String {
        match &self.spot.instruction {
            Some(instruction) => instruction.text.clone(),
            None => format!("int {vector:#x}"),
        }
    }
}

/// Returns the owner of a PC's software interrupt (BIOS or DOS), and the replacement for it.
fn service(vector: u32) -> Option<(&'static str, &'static str)> {
    match vector {
        0x10 => Some(("BIOS", "print with out 0xE9")),
        0x13 => Some(("BIOS", "there are no disks, and all of the image is in memory")),
        0x16 => Some(("BIOS", "there is no keyboard")),
        0x19 => Some(("BIOS", "end with hlt")),
        0x11 | 0x12 | 0x14 | 0x15 | 0x17 | 0x18 | 0x1A | 0x1C => {
            Some(("BIOS", "the image is alone on the machine"))
        }
        0x20 => Some(("DOS", "end with hlt")),
        0x21 => Some(("DOS", "print with out 0xE9, end with hlt")),
        _ => None,
    }
}

/// An instruction that the engine cannot emulate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unemulated {
    /// The engine is KVM.
    pub by_kvm: bool,
    /// The instruction.
    pub spot: Spot,
    /// The direction and the address of its access to an address without memory, if it makes one.
    pub reach: Option<(Direction, u64)>,
}

impl Unemulated {
    /// Returns a hint: what the author of the image can try next.
    pub fn hint(&self, foreign: bool) -> String {
        if !self.by_kvm {
            return "run it with --engine kvm on a machine with hardware KVM, or look for a jump into data"
                .into();
        }
        if self.reach.is_some() {
            return "look for a wrong pointer: KVM emulates accesses where there is no memory, and not by this instruction".into();
        }
        let hardware =
            "run it on a machine with hardware KVM (kvm_intel, kvm_amd), which has the instruction";
        match (self.spot.extension(), self.spot.mode) {
            (_, CpuMode::Long) => format!("{hardware}, or look for a jump into data"),
            (Some(_), _) if !foreign => {
                format!(
                    "{hardware}, or build the guest for --mode long, where Rust's library needs no x87 or SSE instructions"
                )
            }
            (Some(_), _) => {
                format!("{hardware}, or compile without floating point (-mno-80387 -mno-mmx -mno-sse)")
            }
            _ => format!("{hardware}, or look for a jump into data"),
        }
    }
}

impl fmt::Display for Unemulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by_kvm, spot, reach } = self;
        if !by_kvm {
            return write!(f, "the interpreter could not go on at {spot}: it does not have this instruction");
        }
        if let Some((direction, address)) = reach {
            let verb = match direction {
                Direction::In => "reads from",
                Direction::Out => "writes to",
            };
            return write!(
                f,
                "KVM could not go on at {spot}, which {verb} {address:#x}, where it has no memory"
            );
        }
        let kind = spot
            .extension()
            .map_or(String::new(), |extension| format!(", an instruction of the extension {extension}"));
        write!(
            f,
            "KVM could not go on at {spot}{kind}: this machine's KVM does not have it in {} mode",
            spot.mode.name()
        )
    }
}

/// A triple fault of an image that others built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TripleFault {
    /// The instruction, unless the registers are lost: some KVM modules reset the CPU.
    pub spot: Option<Spot>,
    /// The linear address of the stack, if the CPU could not push there.
    pub bad_stack: Option<u64>,
    /// The guest had turned on 32-bit paging, which this machine's KVM does not have.
    pub lacks_paging: bool,
}

impl TripleFault {
    /// Returns a hint: what the author of the image can try next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self { lacks_paging: true, .. } => PAGING_HINT,
            Self { spot: Some(_), .. } => {
                "look at the instruction, then at the table of vectors (IDT), the segments (GDT) and the stack that the image has set up: the CPU needs all of them to call a handler"
            }
            Self { spot: None, .. } => {
                "--trace-instructions shows the instructions up to it; look at the table of vectors (IDT), the segments (GDT) and the stack that the image has set up"
            }
        }
    }
}

impl fmt::Display for TripleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { spot: Some(spot), lacks_paging: true, .. } => {
                write!(f, "triple fault at {spot}: this machine's KVM has no 32-bit paging")
            }
            Self { spot: Some(spot), bad_stack: Some(stack), .. } => write!(
                f,
                "triple fault at {spot}: an exception, most likely {}, and the stack is at {stack:#x}, where it has no memory",
                spot.likely_exception()
            ),
            Self { spot: Some(spot), .. } => write!(
                f,
                "triple fault at {spot}: an exception, most likely {}, and no handler of it could be called",
                spot.likely_exception()
            ),
            Self { spot: None, .. } => f.write_str(
                "triple fault: an exception whose handling failed, and so did the handling of that; the registers of its place are lost",
            ),
        }
    }
}
