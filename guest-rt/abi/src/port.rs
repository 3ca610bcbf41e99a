//! The hypercalls. A hypercall is one port instruction. The port selects
//! the call. EAX holds the argument or the guest-physical address of a
//! [request block](crate::block). EAX or the block receives the result.
//!
//! Ports 0xE9 to 0xEE have the same meaning as in
//! the course, so that its guests run unchanged.

/// Defines [`Port`] from one list, with everything that must cover
/// all calls: a new line in the list is enough for this file.
macro_rules! ports {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)+) => {
        /// A port that is a hypercall.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Port {
            $($(#[$doc])* $name = $number,)+
        }

        impl Port {
            /// Every hypercall.
            pub const ALL: [Port; [$($number),+].len()] = [$(Self::$name),+];
        }

        impl TryFrom<u16> for Port {
            type Error = UnknownPort;

            fn try_from(raw: u16) -> Result<Self, UnknownPort> {
                match raw {
                    $($number => Ok(Self::$name),)+
                    _ => Err(UnknownPort(raw)),
                }
            }
        }
    };
}

ports! {
    /// `out`, 8 bits: print one byte.
    PrintByte = 0xE9,
    /// `out`, 32 bits: print the value in decimal, and a newline.
    PrintDecimal = 0xEA,
    /// `in`, 32 bits: the number of VM exits so far, including
    /// this one. An `out` is accepted and counts as an exit.
    ExitCount = 0xEB,
    /// `out`, 32 bits: print the NUL-terminated string at this guest address.
    PrintString = 0xEC,
    /// `in`, 32 bits: the guest address of a text `IO in: X\nIO out: Y\n`, NUL-terminated: the port
    /// reads and writes so far, including this one. An `out` is accepted and counts as an exit.
    ExitText = 0xED,
    /// `out`, 32 bits: translate this guest-virtual address; then `in`, 32 bits: the low half of
    /// the host-virtual address, or 0.
    Translate = 0xEE,
    /// `out`, 32 bits: end the guest; the value is its exit status.
    Exit = 0xF0,
    /// `out`, 32 bits: report a panic; the address of a [`Panic`](crate::block::Panic).
    Panic = 0xF1,
    /// `out`, 32 bits: print text; the address of a [`Text`](crate::block::Text).
    Print = 0xF2,
    /// `out`, 32 bits: register the mailbox; the address of a
    /// [`MailboxAttach`](crate::block::MailboxAttach). Once per guest, before its first turn.
    MailboxAttach = 0xF3,
    /// `out`, 32 bits: end the turn, with the result in the mailbox; the value is ignored. The
    /// next instruction runs when the guest's next turn has begun and the mailbox has new content.
    EndTurn = 0xF4,
    /// `out`, 32 bits: report an exception or an interrupt without
    /// a handler; the address of a [`Trap`](crate::block::Trap).
    Trap = 0xF5,
    /// `out`, 32 bits: request one interrupt, with vector [`TIMER`](crate::trap::TIMER),
    /// after this many microseconds; 0 cancels it. A new value replaces the old one.
    TimerSet = 0xF6,
    /// `out`, 32 bits: log a record; the address of a
    /// [`Log`](crate::block::Log). Since version 1.1.
    Log = 0xF7,
    /// `out`, 32 bits: read the clock; the host writes a
    /// [`Clock`](crate::block::Clock) to this guest address. Since version 1.1.
    Clock = 0xF8,
}

impl Port {
    /// Returns the width of the port's accesses in bytes: 1 or 4.
    pub const fn width(self) -> u8 {
        match self {
            Self::PrintByte => 1,
            _ => 4,
        }
    }

    /// Returns true if the port can be read.
    pub const fn reads(self) -> bool {
        matches!(self, Self::ExitCount | Self::ExitText | Self::Translate)
    }

    /// Returns true if the port is one of the course, which every guest may use.
    pub const fn is_standard_port(self) -> bool {
        (self as u16) <= Self::Translate as u16
    }

    /// Returns true if the port can be written.
    pub const fn writes(self) -> bool {
        true
    }
}

/// The error for a port without a hypercall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPort(pub u16);

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;

    use super::*;

    #[test]
    fn every_port_converts_from_its_own_number() {
        for port in Port::ALL {
            assert_eq!(Port::try_from(port as u16), Ok(port));
        }
    }

    #[test]
    fn no_other_number_is_a_port() {
        let known = (0..=u16::MAX).filter(|&raw| Port::try_from(raw).is_ok());
        assert_eq!(known.count(), Port::ALL.len());
    }

    #[test]
    fn the_guide_has_every_call() {
        let guide = include_str!("../../../docs/guide/hypercalls.md");
        let rows = || guide.lines().filter(|line| line.starts_with("| 0x"));
        for port in Port::ALL {
            let number = format!("{:#X}", port as u16).replace("0X", "0x");
            let width = format!("{}", u32::from(port.width()) * 8);
            let row = rows().find(|row| row.split(" | ").next().is_some_and(|cell| cell.contains(&number)));
            let access =
                row.and_then(|row| row.split(" | ").nth(1)).unwrap_or_else(|| panic!("{port:?} is missing"));
            assert!(
                access.ends_with(&width) && access.contains("`in`") == port.reads(),
                "{port:?}: {access}"
            );
        }
    }

    #[test]
    fn the_courses_ports_have_the_courses_numbers() {
        assert_eq!(Port::PrintByte as u16, 0xE9);
        assert_eq!(Port::PrintDecimal as u16, 0xEA);
        assert_eq!(Port::ExitCount as u16, 0xEB);
        assert_eq!(Port::PrintString as u16, 0xEC);
        assert_eq!(Port::ExitText as u16, 0xED);
        assert_eq!(Port::Translate as u16, 0xEE);
        assert_eq!(Port::ALL.into_iter().filter(|port| port.is_standard_port()).count(), 6);
    }
}
