//! The ways in which an instruction ends other than by its end.

/// An exception that an instruction raises (Intel SDM volume 3A, 6.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The vector, 0 to 31.
    pub(crate) vector: u8,
    /// The error code, for the exceptions that have one. Its upper bits are 0.
    pub(crate) code: Option<u16>,
}

/// The event that ended an instruction early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It raised an exception. No register or memory has changed, as far as the manual says so.
    Fault(Fault),
    /// It needs the machine: the exit is in [`Cpu::exit`](crate::cpu::SoftCpu).
    Exit,
    /// The interpreter does not have this instruction, or there is no memory to fetch it from.
    Missing,
}

/// The result of an instruction or of a part of it.
pub(crate) type Step<T = ()> = Result<T, Event>;

impl From<Fault> for Event {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

pub(crate) const DE: u8 = 0;
pub(crate) const DB: u8 = 1;
pub(crate) const BP: u8 = 3;
pub(crate) const OF: u8 = 4;
pub(crate) const BR: u8 = 5;
pub(crate) const UD: u8 = 6;
pub(crate) const NM: u8 = 7;
pub(crate) const DF: u8 = 8;
pub(crate) const TS: u8 = 10;
pub(crate) const NP: u8 = 11;
pub(crate) const SS: u8 = 12;
pub(crate) const GP: u8 = 13;
pub(crate) const PF: u8 = 14;
pub(crate) const MF: u8 = 16;
pub(crate) const AC: u8 = 17;
pub(crate) const XM: u8 = 19;

/// Returns the event of an exception without an error code.
pub(crate) fn fault(vector: u8) -> Event {
    Event::Fault(Fault { vector, code: None })
}

/// Returns the event of an exception with an error code.
pub(crate) fn fault_code(vector: u8, code: u16) -> Event {
    Event::Fault(Fault { vector, code: Some(code) })
}

/// Returns #GP(0).
pub(crate) fn gp0() -> Event {
    fault_code(GP, 0)
}

/// Returns #UD.
pub(crate) fn ud() -> Event {
    fault(UD)
}

impl Event {
    /// Returns the event of an exception that the delivery of an earlier exception or of an interrupt from outside raises:
    /// bit 0 of its error code, EXT, is set (Intel SDM volume 3A, 6.13). That of a page fault has no such bit.
    pub(crate) fn in_delivery(self) -> Self {
        match self {
            Self::Fault(Fault { vector, code: Some(code) }) if vector != PF => fault_code(vector, code | 1),
            other => other,
        }
    }

    /// Returns the event of an exception that the first use of a new stack raises: a stack fault names its selector.
    pub(crate) fn of_new_stack(self, selector: u16) -> Self {
        if self == fault_code(SS, 0) { fault_code(SS, selector & !3) } else { self }
    }
}

impl Fault {
    /// Returns true for the exceptions that are reported before their instruction (Intel SDM volume 3A, table 6-1).
    pub(crate) fn is_restartable(self) -> bool {
        !matches!(self.vector, DB | BP | OF | DF)
    }

    /// Returns true for the exceptions that make a double fault with another one (Intel SDM volume 3A, table 6-5).
    pub(crate) fn is_contributory(self) -> bool {
        matches!(self.vector, DE | TS | NP | SS | GP)
    }
}
