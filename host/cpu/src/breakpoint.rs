//! Breakpoints and watchpoints.

/// A breakpoint or a watchpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breakpoint {
    /// The linear address.
    pub address: u64,
    /// The access that meets it.
    pub kind: BreakpointKind,
}

/// The access that meets a breakpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakpointKind {
    /// The instruction at the address is about to be executed.
    Execute,
    /// One of `len` bytes was written: 1, 2, 4 or 8.
    Write {
        /// The number of bytes.
        len: u8,
    },
    /// One of `len` bytes was read or written.
    Access {
        /// The number of bytes.
        len: u8,
    },
}
