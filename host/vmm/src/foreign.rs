//! Images that others built: their hypercalls, and hints that differ from those for guests of guest-rt.

use std::borrow::Cow;

use guest_abi::port::Port;

use crate::fault::Crash;

/// The hint for an image that ran through empty memory until its time was up.
pub const EMPTY_MEMORY: &str = "it runs through empty memory, where two zeros are an `add`: look for a jump, a call or a return to where nothing was loaded";

/// Returns the hypercall of a port. `foreign` guests have only the course's hypercalls.
pub fn hypercall(port: u16, foreign: bool) -> Option<Port> {
    Port::try_from(port).ok().filter(|port| is_known(*port, foreign))
}

/// Returns true if a guest has this hypercall.
pub fn is_known(port: Port, foreign: bool) -> bool {
    !foreign || port.is_standard_port()
}

/// Returns the hint for a crash, if it differs from the hint for guests of guest-rt.
pub fn hint(crash: &Crash) -> Option<Cow<'static, str>> {
    match crash {
        Crash::UnknownPort { .. } | Crash::WrongAccess { .. } => {
            Some(format!("use one of the ports that such an image has: {}", ports()).into())
        }
        Crash::Unhandled(unhandled) if unhandled.calls_firmware() => {
            Some(format!("use the ports that such an image has instead: {}", ports()).into())
        }
        Crash::Unemulated(unemulated) => Some(unemulated.hint(true).into()),
        _ => None,
    }
}

/// Returns the ports of the course, each with width, direction and purpose.
fn ports() -> String {
    let courses = Port::ALL.into_iter().filter(|port| port.is_standard_port());
    let ports = courses.filter_map(|port| {
        let (direction, deed) = match port {
            Port::PrintByte => ("out", "prints a byte"),
            Port::PrintDecimal => ("out", "prints a number in decimal"),
            Port::ExitCount => ("in", "reads the number of exits"),
            Port::PrintString => ("out", "prints the NUL-terminated string at an address"),
            Port::ExitText => ("in", "reads the address of a text of exit counts"),
            Port::Translate => ("out, then in", "translates an address"),
            _ => return None,
        };
        Some(
            format!("{:#04X} ({}-bit {direction}) {deed}", port as u16, 8 * port.width()).replace("0X", "0x"),
        )
    });
    ports.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_lists_the_six_ports_with_width_and_direction() {
        let ports = ports();
        for port in Port::ALL {
            let number = format!("0x{:X}", port as u16);
            assert_eq!(ports.contains(&number), port.is_standard_port(), "{port:?}: {ports}");
        }
        assert!(ports.starts_with("0xE9 (8-bit out) prints a byte, 0xEA (32-bit out) prints"), "{ports}");
        assert!(ports.contains("0xEB (32-bit in) reads") && ports.contains("0xEE (32-bit out, then in)"));
    }

    #[test]
    fn foreign_guests_lack_the_hypercalls_of_guest_rt() {
        assert_eq!(hypercall(0xF0, false), Some(Port::Exit));
        assert_eq!(hypercall(0xF0, true), None);
        assert_eq!(hypercall(0xE9, true), Some(Port::PrintByte));
        assert_eq!(hypercall(0x80, false), None);
    }
}
