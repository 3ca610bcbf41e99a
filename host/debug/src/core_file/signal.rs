//! The signals of core files.

/// The signal that gdb names as the reason of the end, by its number on Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Signal {
    /// An instruction that does not exist.
    Ill = 4,
    /// A breakpoint or a single step.
    Trap = 5,
    /// A panic.
    Abort = 6,
    /// An arithmetic fault.
    Fpe = 8,
    /// Any other crash.
    Segv = 11,
    /// The time was up.
    Alarm = 14,
    /// The number of exits was up.
    CpuLimit = 24,
}
