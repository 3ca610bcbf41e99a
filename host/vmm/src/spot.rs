//! The instruction at which a guest's CPU was stopped, in words.

use std::fmt;

use guest_abi::mode::CpuMode;

/// An instruction of a guest, and its place. `guestlab-debug` decodes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The linear address.
    pub address: u64,
    /// The selector and the offset.
    pub pointer: (u16, u64),
    /// The CPU mode.
    pub mode: CpuMode,
    /// The instruction; `None` if the bytes are not one.
    pub instruction: Option<Instruction>,
}

/// An instruction in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// The text, in Intel syntax.
    pub text: String,
    /// The length in bytes.
    pub len: usize,
    /// The name of its extension of the instruction set, if it belongs to one: x87, SSE2, RDRAND.
    pub extension: Option<String>,
    /// The vector that it asks for: `int`, `int3` or `int1`.
    pub asks_for: Option<u8>,
    /// The exception that it raises most likely.
    pub likely_exception: &'static str,
}

impl Spot {
    /// Returns the name of the instruction's extension, if it belongs to one.
    pub fn extension(&self) -> Option<&str> {
        self.instruction.as_ref()?.extension.as_deref()
    }

    /// Returns the exception that the instruction most likely raised.
    pub fn likely_exception(&self) -> &'static str {
        self.instruction.as_ref().map_or("invalid opcode (#UD)", |instruction| instruction.likely_exception)
    }

    /// Returns the selector and the offset, for example `0000:7c03`.
    pub fn pointer(&self) -> String {
        let (selector, offset) = self.pointer;
        let digits = match self.mode {
            CpuMode::Real => 4,
            CpuMode::Protected | CpuMode::Paged => 8,
            CpuMode::Long => 16,
        };
        format!("{selector:04x}:{offset:0digits$x}")
    }
}

/// For example ``0x7c03 (0000:7c03, `div cx`)``.
impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} ({}, ", self.address, self.pointer())?;
        match &self.instruction {
            Some(Instruction { text, .. }) => write!(f, "`{text}`)"),
            None => f.write_str("no instruction)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_the_digits_of_its_mode() {
        let shown = |mode, text: Option<&str>| {
            let instruction = text.map(|text| Instruction {
                text: text.into(),
                len: 2,
                extension: None,
                asks_for: Some(0x10),
                likely_exception: "",
            });
            Spot { address: 0x7C10, pointer: (0x7C0, 0x10), mode, instruction }.to_string()
        };
        let int = Some("int 0x10");
        assert_eq!(shown(CpuMode::Real, int), "0x7c10 (07c0:0010, `int 0x10`)");
        assert_eq!(shown(CpuMode::Protected, int), "0x7c10 (07c0:00000010, `int 0x10`)");
        assert_eq!(shown(CpuMode::Long, int), "0x7c10 (07c0:0000000000000010, `int 0x10`)");
        assert_eq!(shown(CpuMode::Real, None), "0x7c10 (07c0:0010, no instruction)");
    }
}
