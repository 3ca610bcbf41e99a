//! The vectors of a guest's traps: the exceptions of the
//! CPU, and the one interrupt that the host injects.

/// The number of vectors reserved for the CPU, from 0 (Intel
/// SDM volume 3A, 6.2 "Exception and Interrupt Vectors").
pub const EXCEPTIONS: u32 = 32;

/// The vector of the [timer](crate::port::Port::TimerSet)'s interrupt: the first free one.
pub const TIMER: u32 = EXCEPTIONS;

/// The number of vectors in a guest's table, from 0.
pub const VECTORS: u32 = TIMER + 1;

/// An exception (Intel SDM volume 3A, 6.15 "Exception and Interrupt Reference"), by its vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exception {
    /// #DE: a division by zero, or one whose quotient does not fit.
    DivideError = 0,
    /// #DB: a debug condition, single-stepping among them.
    Debug = 1,
    /// The non-maskable interrupt, which is not an exception but has a reserved vector.
    NonMaskable = 2,
    /// #BP: the instruction `int3`.
    Breakpoint = 3,
    /// #OF: the instruction `into`, with the overflow flag set.
    Overflow = 4,
    /// #BR: the instruction `bound`, with an index out of range.
    BoundRange = 5,
    /// #UD: an undefined instruction, or one that is not available in the CPU's state.
    InvalidOpcode = 6,
    /// #NM: a floating-point instruction without a floating-point unit.
    DeviceNotAvailable = 7,
    /// #DF: an exception while the CPU was calling the handler of another.
    DoubleFault = 8,
    /// #TS: an invalid task-state segment.
    InvalidTss = 10,
    /// #NP: a segment or gate that is not present.
    SegmentNotPresent = 11,
    /// #SS: an access through SS beyond its limit, or with an address that is not canonical.
    StackFault = 12,
    /// #GP: a violation of the protection rules that has no other exception.
    GeneralProtection = 13,
    /// #PF: an address that is not mapped, or not for such an access.
    PageFault = 14,
    /// #MF: an x87 floating-point error.
    FloatingPoint = 16,
    /// #AC: an unaligned address, if alignment is checked.
    AlignmentCheck = 17,
    /// #MC: a hardware failure.
    MachineCheck = 18,
    /// #XM: an SSE floating-point error.
    SimdFloatingPoint = 19,
    /// #VE: a violation of extended page tables.
    Virtualization = 20,
    /// #CP: a return or jump that control-flow enforcement forbids.
    ControlProtection = 21,
}

impl Exception {
    /// Every exception, in the order of its vector.
    pub const ALL: [Exception; 20] = [
        Self::DivideError,
        Self::Debug,
        Self::NonMaskable,
        Self::Breakpoint,
        Self::Overflow,
        Self::BoundRange,
        Self::InvalidOpcode,
        Self::DeviceNotAvailable,
        Self::DoubleFault,
        Self::InvalidTss,
        Self::SegmentNotPresent,
        Self::StackFault,
        Self::GeneralProtection,
        Self::PageFault,
        Self::FloatingPoint,
        Self::AlignmentCheck,
        Self::MachineCheck,
        Self::SimdFloatingPoint,
        Self::Virtualization,
        Self::ControlProtection,
    ];

    /// Returns true if the CPU pushes an error code with it (never in real mode).
    pub const fn has_error_code(self) -> bool {
        matches!(
            self,
            Self::DoubleFault
                | Self::InvalidTss
                | Self::SegmentNotPresent
                | Self::StackFault
                | Self::GeneralProtection
                | Self::PageFault
                | Self::AlignmentCheck
                | Self::ControlProtection
        )
    }

    /// The set of vectors, as bits, whose exceptions have an error code.
    pub const WITH_ERROR_CODE: u32 = {
        let (mut set, mut index) = (0, 0);
        while index < Self::ALL.len() {
            let exception = Self::ALL[index];
            set |= (exception.has_error_code() as u32) << exception as u8;
            index += 1;
        }
        set
    };
}

impl TryFrom<u32> for Exception {
    type Error = NoException;

    fn try_from(vector: u32) -> Result<Self, NoException> {
        Self::ALL.into_iter().find(|&it| it as u32 == vector).ok_or(NoException(vector))
    }
}

/// The error for a vector without an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoException(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exception_converts_from_its_vector_and_nothing_else_does() {
        let known = (0..0x1000).filter_map(|vector| Exception::try_from(vector).ok());
        assert!(known.eq(Exception::ALL));
        assert_eq!(Exception::try_from(9), Err(NoException(9)));
        assert_eq!(Exception::try_from(TIMER), Err(NoException(TIMER)));
        assert_eq!(Exception::try_from(u32::MAX), Err(NoException(u32::MAX)));
    }

    #[test]
    fn the_vectors_with_an_error_code_are_the_manuals() {
        let vectors = (0..32).filter(|vector| Exception::WITH_ERROR_CODE >> vector & 1 == 1);
        assert!(vectors.eq([8, 10, 11, 12, 13, 14, 17, 21]));
    }
}
