//! The CPU modes that a guest can run in after its boot.

/// A CPU mode (Intel SDM volume 3A, 2.2 "Modes of Operation").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum CpuMode {
    /// 16-bit code in real-address mode.
    Real = 0,
    /// 32-bit protected mode without paging.
    Protected = 1,
    /// 32-bit protected mode with paging.
    Paged = 2,
    /// 64-bit mode, which always has paging.
    Long = 3,
}

impl CpuMode {
    /// All modes, in the order in which a boot reaches them.
    pub const ALL: [CpuMode; 4] = [Self::Real, Self::Protected, Self::Paged, Self::Long];

    /// Returns the mode's name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Protected => "protected",
            Self::Paged => "paged",
            Self::Long => "long",
        }
    }
}

impl TryFrom<u32> for CpuMode {
    type Error = UnknownMode;

    fn try_from(raw: u32) -> Result<Self, UnknownMode> {
        match raw {
            0 => Ok(Self::Real),
            1 => Ok(Self::Protected),
            2 => Ok(Self::Paged),
            3 => Ok(Self::Long),
            _ => Err(UnknownMode(raw)),
        }
    }
}

/// The error for a number without a CPU mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownMode(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_converts_from_its_own_number_and_nothing_else_does() {
        for mode in CpuMode::ALL {
            assert_eq!(CpuMode::try_from(mode as u32), Ok(mode));
        }
        assert_eq!(CpuMode::try_from(4), Err(UnknownMode(4)));
        assert_eq!(CpuMode::try_from(u32::MAX), Err(UnknownMode(u32::MAX)));
    }
}
