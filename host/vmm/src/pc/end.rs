//! Ends of a guest by a device.

/// An end of a guest by a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It wrote a value to the exit port.
    Exit {
        /// The value.
        value: u32,
        /// True if that means success.
        is_success: bool,
    },
    /// It switched the power off.
    PowerOff,
    /// It asked for a reset.
    Reset,
}

impl End {
    /// Returns the end's name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exit { .. } => "exit-port",
            Self::PowerOff => "power-off",
            Self::Reset => "reset",
        }
    }

    /// Returns true if the end is a success.
    pub fn is_success(self) -> bool {
        !matches!(self, Self::Exit { is_success: false, .. })
    }

    /// Returns the value that was written to the exit port, if the guest ended so.
    pub fn value(self) -> Option<u32> {
        match self {
            Self::Exit { value, .. } => Some(value),
            Self::PowerOff | Self::Reset => None,
        }
    }
}
