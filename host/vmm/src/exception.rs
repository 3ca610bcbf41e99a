//! Traps that guests report: exceptions and interrupts in words.

use std::fmt;

use guest_abi::{
    block::Trap,
    trap::{Exception, TIMER},
};

/// A trap, as a guest reported it. The guest is not trusted: the report may be false.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrapReport {
    /// The cause.
    pub cause: Cause,
    /// The error code, if the CPU gave one.
    pub error_code: Option<u64>,
    /// The stack pointer was in the guard page below the stack.
    pub off_stack: bool,
    /// The guest's record.
    pub record: Trap,
}

/// The cause of a trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An exception.
    Exception(Exception),
    /// The interrupt of its timer.
    Timer,
    /// A vector without an exception or an interrupt.
    Unknown(u32),
}

impl TrapReport {
    /// Decodes a guest's record.
    pub fn new(record: Trap, off_stack: bool) -> Self {
        let cause = match (Exception::try_from(record.vector), record.vector) {
            (Ok(exception), _) => Cause::Exception(exception),
            (Err(_), TIMER) => Cause::Timer,
            (Err(_), vector) => Cause::Unknown(vector),
        };
        let error_code = (record.has_error_code != 0).then_some(record.error_code);
        Self { cause, error_code, off_stack, record }
    }

    /// Returns the name for programs.
    pub fn name(&self) -> &'static str {
        match self.cause {
            _ if self.off_stack => "stack-overflow",
            Cause::Exception(exception) => Description::of(exception).name,
            Cause::Timer => "trap-timer",
            Cause::Unknown(_) => "trap-unknown",
        }
    }

    /// Returns a hint: what the author of the guest can try next.
    pub fn hint(&self) -> &'static str {
        match self.cause {
            Cause::Exception(exception) => Description::of(exception).hint,
            Cause::Timer => "set a handler with guest_rt::traps::set_handler before the timer is set",
            Cause::Unknown(_) => "use guest_rt::traps, which knows every vector",
        }
    }
}

impl fmt::Display for TrapReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.off_stack {
            f.write_str("stack overflow: the stack pointer was in the guard page below the stack at this: ")?;
        }
        match self.cause {
            Cause::Exception(_) => {
                write!(
                    f,
                    "{} at instruction {:#x}{}",
                    self.title(),
                    self.record.ip,
                    self.error_code_in_words()
                )?;
            }
            Cause::Timer => f.write_str("the timer's interrupt came, and there is no handler for it")?,
            Cause::Unknown(vector) => {
                write!(f, "it reported vector {vector}, which is no exception's and no interrupt's here")?;
            }
        }
        Ok(())
    }
}

impl TrapReport {
    /// Returns the exception's title, for example `divide error (#DE)`.
    pub fn title(&self) -> String {
        match self.cause {
            Cause::Exception(exception) => {
                let Description { mnemonic, title, .. } = Description::of(exception);
                format!("{title} ({mnemonic})")
            }
            Cause::Timer | Cause::Unknown(_) => format!("vector {:#x}", self.record.vector),
        }
    }

    /// Returns the error code in words (SDM 3A, 6.13 "Error Code", 4.7 "Page-Fault Exceptions").
    pub fn error_code_in_words(&self) -> String {
        match (self.cause, self.error_code) {
            (Cause::Exception(Exception::PageFault), Some(code)) => {
                format!(
                    ": {} {:#x}, {}",
                    access(code, self.record.cr2 == self.record.ip),
                    self.record.cr2,
                    page_fault_reason(code)
                )
            }
            (_, None | Some(0)) => String::new(),
            (Cause::Exception(Exception::ControlProtection), Some(code)) => format!(", error code {code:#x}"),
            (_, Some(code)) => format!(", error code {code:#x}: {}", selector(code)),
        }
    }
}

/// Returns the hint for an exception of an image that others built. `is_extended` is true if the instruction belongs to
/// an extension such as SSE.
pub(crate) fn hint(exception: Exception, is_extended: bool) -> &'static str {
    match exception {
        Exception::InvalidOpcode if is_extended => {
            "SSE and its successors work once CR0.EM is clear and CR4.OSFXSR is set, on a CPU that has them; or compile without (-mno-sse)"
        }
        Exception::InvalidOpcode => "look for a jump into data, or for code of another mode's width",
        Exception::DeviceNotAvailable => {
            "clear CR0.EM and CR0.TS before floating-point instructions, or compile without (-mno-80387 -mno-sse)"
        }
        Exception::PageFault => "look for a wrong pointer, or for a page that the page tables do not map",
        Exception::DoubleFault => {
            "look at the segments (GDT) and the stack that the image has set up: the CPU could not call the handler of a first exception"
        }
        other => Description::of(other).hint,
    }
}

/// Returns the access that caused a page fault. The error code marks a jump only if pages can be closed to code; without
/// that, the faulting address is the instruction's own.
fn access(code: u64, is_instruction: bool) -> &'static str {
    const WRITE: u64 = 1 << 1;
    const FETCH: u64 = 1 << 4;
    match code {
        _ if code & FETCH != 0 || is_instruction => "jumped to",
        _ if code & WRITE != 0 => "wrote to",
        _ => "read from",
    }
}

/// Returns the reason of a page fault.
fn page_fault_reason(code: u64) -> &'static str {
    const PRESENT: u64 = 1 << 0;
    const RESERVED: u64 = 1 << 3;
    match code {
        _ if code & RESERVED != 0 => "of which a page table's entry has bits set that are reserved",
        _ if code & PRESENT != 0 => "which is mapped, but not for that",
        _ => "which is not mapped",
    }
}

/// Returns an error code that names a descriptor, in words.
fn selector(code: u64) -> String {
    const IDT: u64 = 1 << 1;
    const LDT: u64 = 1 << 2;
    let index = code >> 3 & 0x1FFF;
    match code {
        _ if code & IDT != 0 => format!("vector {index}"),
        _ if code & LDT != 0 => format!("entry {index} of the local descriptor table"),
        _ => format!("entry {index} of the global descriptor table"),
    }
}

/// The description of an exception.
struct Description {
    mnemonic: &'static str,
    name: &'static str,
    title: &'static str,
    hint: &'static str,
}

impl Description {
    /// Returns the description. The names are those of SDM 3A, 6.15 "Exception and Interrupt Reference".
    const fn of(exception: Exception) -> Self {
        const TABLES: &str = "look for code that changes segment registers or descriptor tables";
        const RARE: &str = "look at the instruction, and for the exception in SDM 3A, 6.15";
        let (mnemonic, name, title, hint) = match exception {
            Exception::DivideError => (
                "#DE",
                "trap-de",
                "divide error",
                "look for a division by zero, or one whose quotient does not fit",
            ),
            Exception::Debug => ("#DB", "trap-db", "debug exception", RARE),
            Exception::NonMaskable => ("NMI", "trap-nmi", "non-maskable interrupt", RARE),
            Exception::Breakpoint => ("#BP", "trap-bp", "breakpoint", RARE),
            Exception::Overflow => ("#OF", "trap-of", "overflow", RARE),
            Exception::BoundRange => ("#BR", "trap-br", "BOUND range exceeded", RARE),
            Exception::InvalidOpcode => (
                "#UD",
                "trap-ud",
                "invalid opcode",
                "look for a jump into data, or for an instruction of an extension (SSE, AVX) that guests are built without",
            ),
            Exception::DeviceNotAvailable => (
                "#NM",
                "trap-nm",
                "device not available",
                "look for floating-point instructions: guests are built without",
            ),
            Exception::DoubleFault => (
                "#DF",
                "trap-df",
                "double fault",
                "look for a stack pointer that was written over: the CPU could not push for a first exception",
            ),
            Exception::InvalidTss => ("#TS", "trap-ts", "invalid TSS", TABLES),
            Exception::SegmentNotPresent => ("#NP", "trap-np", "segment not present", TABLES),
            Exception::StackFault => (
                "#SS",
                "trap-ss",
                "stack-segment fault",
                "look for a stack pointer or base pointer that was written over",
            ),
            Exception::GeneralProtection => (
                "#GP",
                "trap-gp",
                "general protection",
                "look for a wrong pointer, a segment register, or a privileged register with bits that it does not have",
            ),
            Exception::PageFault => (
                "#PF",
                "trap-pf",
                "page fault",
                "look for a wrong pointer: guest-rt maps the first 4 GiB and nothing else",
            ),
            Exception::FloatingPoint => ("#MF", "trap-mf", "x87 floating-point error", RARE),
            Exception::AlignmentCheck => ("#AC", "trap-ac", "alignment check", RARE),
            Exception::MachineCheck => ("#MC", "trap-mc", "machine check", RARE),
            Exception::SimdFloatingPoint => ("#XM", "trap-xm", "SIMD floating-point exception", RARE),
            Exception::Virtualization => ("#VE", "trap-ve", "virtualization exception", RARE),
            Exception::ControlProtection => ("#CP", "trap-cp", "control protection exception", RARE),
        };
        Self { mnemonic, name, title, hint }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(vector: u32) -> Trap {
        Trap { vector, ip: 0x7123, ..Trap::default() }
    }

    fn with_code(exception: Exception, error_code: u64) -> String {
        let record = Trap { has_error_code: 1, error_code, cr2: 0xF000, ..record(exception as u32) };
        TrapReport::new(record, false).to_string()
    }

    #[test]
    fn every_exception_has_its_own_words() {
        let mut names: Vec<_> = Exception::ALL.map(|it| Description::of(it).name).into();
        for exception in Exception::ALL {
            let Description { mnemonic, name, .. } = Description::of(exception);
            assert_eq!(name, format!("trap-{}", mnemonic.trim_start_matches('#').to_lowercase()));
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Exception::ALL.len());
    }

    #[test]
    fn a_page_fault_is_explained() {
        for (code, sentence) in [
            (0b0_0000, "page fault (#PF) at instruction 0x7123: read from 0xf000, which is not mapped"),
            (0b0_0010, ": wrote to 0xf000, which is not mapped"),
            (0b0_0011, ": wrote to 0xf000, which is mapped, but not for that"),
            (0b1_0000, ": jumped to 0xf000, which is not mapped"),
            (0b0_1001, "read from 0xf000, of which a page table's entry has bits set that are reserved"),
        ] {
            let text = with_code(Exception::PageFault, code);
            assert!(text.contains(sentence), "{text}");
        }
    }

    #[test]
    fn a_page_fault_at_its_own_address_is_a_jump() {
        let fault = Trap { has_error_code: 1, cr2: 0x7123, ..record(Exception::PageFault as u32) };
        let text = TrapReport::new(fault, false).to_string();
        assert!(text.ends_with(": jumped to 0x7123, which is not mapped"), "{text}");
    }

    #[test]
    fn an_error_code_names_a_descriptor() {
        let text = |code| with_code(Exception::GeneralProtection, code);
        assert!(text(0) == "general protection (#GP) at instruction 0x7123");
        assert!(text(0x10).contains("0x7123, error code 0x10: entry 2 of the global descriptor table"));
        assert!(text(0x14).contains("entry 2 of the local descriptor table"));
        assert!(text(0x102).contains("error code 0x102: vector 32"));
    }

    #[test]
    fn an_unknown_vector_is_named() {
        assert_eq!(TrapReport::new(record(TIMER), false).name(), "trap-timer");
        let unknown = TrapReport::new(record(77), false);
        assert_eq!(unknown.name(), "trap-unknown");
        assert!(unknown.to_string().starts_with("it reported vector 77, which is no"));
        assert_eq!(TrapReport::new(record(6), true).name(), "stack-overflow");
    }

    proptest! {
        /// Any record has a name and a sentence of limited length.
        #[test]
        fn no_record_panics(vector in prop_oneof![0..40u32, any::<u32>()], words in any::<[u64; 7]>()) {
            let record = Trap {
                vector,
                has_error_code: u32::from(words[0] % 2 == 1),
                error_code: words[1],
                cr2: words[2],
                ip: words[3],
                general: [words[4]; 16],
                ..Trap::default()
            };
            let report = TrapReport::new(record, words[5] % 2 == 1);
            prop_assert!(report.name().len() < 20 && report.to_string().len() < 1000);
        }
    }
}
