//! COM1: the registers are those of the crate `vm-superio`. It receives nothing and raises no interrupt.

use std::convert::Infallible;

use vm_superio::{Serial, Trigger, serial::NoEvents};

/// The first port.
const BASE: u16 = 0x3F8;

/// An interrupt line that leads nowhere.
struct Unconnected;

impl Trigger for Unconnected {
    type E = Infallible;

    fn trigger(&self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// The serial port.
pub(super) struct Com1(Serial<Unconnected, NoEvents, Vec<u8>>);

impl Default for Com1 {
    fn default() -> Self {
        Self(Serial::new(Unconnected, Vec::new()))
    }
}

impl Clone for Com1 {
    fn clone(&self) -> Self {
        // Only a state with more received bytes than there is room for is refused. This port receives none.
        let copy = Serial::from_state(&self.0.state(), Unconnected, NoEvents, Vec::new());
        copy.map_or_else(|_| Self::default(), Self)
    }
}

impl Com1 {
    /// Takes a write. Returns the byte that was sent, if there is one.
    pub(super) fn write(&mut self, port: u16, value: u8) -> Option<u8> {
        // Neither a `Vec` nor an unconnected line fails.
        self.0.write(register(port), value).ok()?;
        self.0.writer_mut().pop()
    }

    pub(super) fn read(&mut self, port: u16) -> u8 {
        self.0.read(register(port))
    }
}

fn register(port: u16) -> u8 {
    port.wrapping_sub(BASE).to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_up(serial: &mut Com1) {
        for (port, value) in [(1, 0), (3, 0x80), (0, 3), (1, 0), (3, 3), (2, 0xC7), (4, 0x0B)] {
            assert_eq!(serial.write(BASE + port, value), None);
        }
    }

    #[test]
    fn the_usual_test_in_loopback_mode_goes_well() {
        let mut serial = Com1::default();
        set_up(&mut serial);
        assert_eq!(serial.write(BASE + 4, 0x1E), None);
        assert_eq!(serial.write(BASE, 0xAE), None);
        assert_eq!(serial.read(BASE), 0xAE);
        assert_eq!(serial.write(BASE + 4, 0x0F), None);
        assert_eq!(serial.write(BASE, b'!'), Some(b'!'));
    }

    #[test]
    fn it_is_ready_to_send_and_has_nothing_to_read() {
        let mut serial = Com1::default();
        assert_eq!(serial.read(BASE + 5) & 0x21, 0x20);
        assert_eq!(serial.read(BASE), 0);
        assert_eq!(serial.read(BASE + 2) & 1, 1, "no interrupt is pending");
        serial.write(BASE + 7, 0x5A);
        assert_eq!(serial.read(BASE + 7), 0x5A);
    }
}
