//! `--pc`: the devices of a PC that kernels expect, for images that others built.
//!
//! The devices accept the writes of such kernels, and answer so that the kernels continue. Nothing depends on a clock, and
//! only the test device raises interrupts, so that a run can be repeated. [`device_at`] returns the device of a port.
//! docs/guide/kernels.md lists for each device what works.

mod cmos;
pub(crate) mod device;
pub(crate) mod end;
mod keyboard;
mod pic;
mod pit;
mod screen;
mod serial;
#[cfg(test)]
mod tests;
mod vga;

pub use device::{Device, MemoryDevice, device_at, device_in_memory_at};
pub use end::End;
pub use screen::{Base, Screen};

use cmos::Cmos;
use device::Part;
use keyboard::Keyboard;
use pic::Pics;
use pit::Pit;
use serial::Com1;
use vga::Vga;

use guestlab_cpu::{Exit, GuestMemory, Width};

use crate::{
    reply::{Reply, StopReason},
    services::{Console, ConsoleOutput},
};

/// The settings of the platform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The only value at the exit port that means success. With `None`, [`SUCCESSES`] mean success.
    pub exit_ok: Option<u32>,
}

/// The values at the exit port that mean success, if no other was named: that of kvm-unit-tests, and that of
/// the tutorials for kernels in Rust.
pub const SUCCESSES: [u32; 2] = [0, 0x10];

impl Settings {
    fn is_success(self, value: u32) -> bool {
        self.exit_ok.map_or(SUCCESSES.contains(&value), |ok| ok == value)
    }
}

/// The effect of a write outside its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    None,
    Print(u8),
    End(End),
}

/// The value that reads of Bochs' debug console return, at both ports.
const DEBUG_CONSOLE: u8 = 0xE9;
/// The course's port for one byte, which Bochs has for the same purpose and lets be read.
const PRINT_BYTE: u16 = guest_abi::port::Port::PrintByte as u16;

/// The address register of PCI, which takes accesses of 32 bits.
const PCI_ADDRESS: u16 = 0xCF8;
/// The first of PCI's data ports.
const PCI_DATA: u16 = 0xCFC;
/// The reset register, one of PCI's ports.
const RESET_CONTROL: u16 = 0xCF9;
/// The reset register's bit that resets the CPU.
const RESET_CPU: u8 = 1 << 2;
/// Port 0x92's bit that resets the CPU.
const FAST_RESET: u8 = 1 << 0;
/// Port 0x92's bit for the A20 line, which is always on.
const A20: u8 = 1 << 1;
/// ACPI's PM1 control register: go to sleep, in the state that other bits say. All of those are off here.
const SLEEP: u32 = 1 << 13;
/// ACPI's PM1 control register: ACPI is enabled.
const ACPI_ENABLED: u32 = 1;
/// The text that switches Bochs off, written to its power-off port byte by byte.
const SHUTDOWN: &[u8] = b"Shutdown";

/// The platform.
#[derive(Clone)]
pub struct Pc {
    settings: Settings,
    serial: Com1,
    pics: Pics,
    pit: Pit,
    keyboard: Keyboard,
    cmos: Cmos,
    vga: Vga,
    pci_address: u32,
    store: [u8; 4],
    /// The number of bytes of the power-off text that the guest has written.
    shutdown: usize,
}

impl Pc {
    /// Returns the platform of a PC with this much memory in bytes.
    pub fn new(settings: Settings, memory: u32) -> Self {
        Self {
            settings,
            serial: Com1::default(),
            pics: Pics::default(),
            pit: Pit::default(),
            keyboard: Keyboard::default(),
            cmos: Cmos::new(memory),
            vga: Vga::default(),
            pci_address: 0,
            store: [0; 4],
            shutdown: 0,
        }
    }

    /// Returns the settings.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Serves an exit, if it is an access to one of the devices. `console` takes the output.
    pub fn serve(&mut self, exit: &Exit, console: &mut Console<'_>) -> Option<Reply> {
        match exit {
            Exit::Out { port, width, values } => {
                device_at(*port)?;
                let mut text = Vec::new();
                let mut end = None;
                for &value in values.as_slice() {
                    if end.is_none() {
                        end = self.write(*port, *width, value, &mut text);
                    }
                }
                if !text.is_empty() && !console(ConsoleOutput::Text(&text)) {
                    return Some(Reply::Stop(StopReason::OutputClosed));
                }
                Some(end.map_or(Reply::Resume, |end| Reply::Stop(StopReason::Device(end))))
            }
            Exit::In { port: PRINT_BYTE, width: Width::Byte, .. } => {
                Some(Reply::Answer(DEBUG_CONSOLE.into()))
            }
            Exit::In { port, width, .. } => {
                device_at(*port)?;
                Some(Reply::Answer(self.read(*port, *width)))
            }
            Exit::Halt { interrupts: true } if self.interrupt().is_some() => Some(Reply::Resume),
            _ => None,
        }
    }

    /// Returns the vector of the interrupt that waits for the CPU, if there is one.
    pub fn interrupt(&self) -> Option<u8> {
        self.pics.pending()
    }

    /// Notes that the CPU takes the waiting interrupt.
    pub fn acknowledge(&mut self) {
        self.pics.acknowledge();
    }

    /// Returns the text on the screens.
    pub fn screens(&self, memory: &dyn GuestMemory) -> Vec<Screen> {
        let color = Screen::read(memory, Base::Color, self.vga.start());
        color.into_iter().chain(Screen::read_likely(memory, Base::Mono)).collect()
    }

    /// One write. Printed bytes are added to `text`.
    fn write(&mut self, port: u16, width: Width, value: u32, text: &mut Vec<u8>) -> Option<End> {
        let bytes = value.to_le_bytes();
        let effects = match (device_at(port)?.part, width) {
            (Part::ExitPort, _) => {
                return Some(End::Exit { value, is_success: self.settings.is_success(value) });
            }
            (Part::Power, _) => return (value & SLEEP != 0).then_some(End::PowerOff),
            (Part::Lines, _) => {
                // Those above 15 would be an IOAPIC's.
                let line = (port & 0x1F).to_le_bytes()[0];
                if line < 16 {
                    self.pics.set_line(line, value != 0);
                }
                return None;
            }
            (Part::Pci, Width::Long) => {
                if port == PCI_ADDRESS {
                    self.pci_address = value;
                }
                return None;
            }
            // A wider access is one byte to each port, as on the bus of these devices.
            _ => (port..).zip(&bytes[..width.bytes()]).map(|(port, &byte)| self.write_byte(port, byte)),
        };
        for effect in effects {
            match effect {
                Effect::None => {}
                Effect::Print(byte) => text.push(byte),
                Effect::End(end) => return Some(end),
            }
        }
        None
    }

    fn write_byte(&mut self, port: u16, value: u8) -> Effect {
        let Some(device) = device_at(port) else { return Effect::None };
        let end_if = |is_end, end| if is_end { Effect::End(end) } else { Effect::None };
        match device.part {
            Part::Serial => return self.serial.write(port, value).map_or(Effect::None, Effect::Print),
            Part::Console => return Effect::Print(value),
            Part::Keyboard => return end_if(self.keyboard.write(port, value), End::Reset),
            Part::ControlPort => return end_if(value & FAST_RESET != 0, End::Reset),
            Part::Pci => return end_if(port == RESET_CONTROL && value & RESET_CPU != 0, End::Reset),
            Part::PowerText => return end_if(self.is_shut_down_by(value), End::PowerOff),
            Part::Store => self.store[usize::from(port & 3)] = value,
            Part::Pic => self.pics.write(port, value),
            Part::Pit => self.pit.write(port, value),
            Part::Speaker => self.pit.write_speaker(value),
            Part::Cmos => self.cmos.write(port, value),
            Part::Vga => self.vga.write(port, value),
            // An access to a neighbour does not reach those that are more than a byte wide.
            Part::ExitPort | Part::Power | Part::Lines | Part::Ignored | Part::Absent => {}
        }
        Effect::None
    }

    /// Takes a byte for Bochs' power-off port. Returns true if the text is complete.
    fn is_shut_down_by(&mut self, byte: u8) -> bool {
        let is_next = SHUTDOWN.get(self.shutdown) == Some(&byte);
        self.shutdown =
            if is_next { self.shutdown + 1 } else { usize::from(SHUTDOWN.first() == Some(&byte)) };
        self.shutdown == SHUTDOWN.len()
    }

    fn read(&mut self, port: u16, width: Width) -> u32 {
        match (port, width) {
            (PCI_ADDRESS, Width::Long) => self.pci_address,
            _ => (port..)
                .take(width.bytes())
                .enumerate()
                .fold(0, |value, (index, port)| value | u32::from(self.read_byte(port)) << (8 * index)),
        }
    }

    fn read_byte(&mut self, port: u16) -> u8 {
        /// The value that reads of a port without a device return.
        const NOTHING: u8 = 0xFF;
        let Some(device) = device_at(port) else { return NOTHING };
        match device.part {
            Part::Serial => self.serial.read(port),
            Part::Console => DEBUG_CONSOLE,
            Part::Store => self.store[usize::from(port & 3)],
            Part::Pic => self.pics.read(port),
            Part::Pit => self.pit.read(port),
            Part::Speaker => self.pit.read_speaker(),
            Part::Keyboard => self.keyboard.read(port),
            Part::Cmos => self.cmos.read(port),
            Part::ControlPort => A20,
            Part::Vga => self.vga.read(port),
            Part::Power => ACPI_ENABLED.to_le_bytes()[usize::from(port & 1)],
            Part::Pci if port < PCI_DATA => 0,
            Part::Ignored | Part::ExitPort | Part::PowerText | Part::Lines => 0,
            Part::Pci | Part::Absent => NOTHING,
        }
    }
}
