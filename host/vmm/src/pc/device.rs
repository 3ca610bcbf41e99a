//! The table of a PC's devices: their ports, and the part of each that `--pc` has.

use std::ops::RangeInclusive;

/// A device of a PC that kernels reach by ports.
#[derive(Debug, PartialEq, Eq)]
pub struct Device {
    /// A short name, for lists.
    pub name: &'static str,
    /// A few words that follow the name.
    what: &'static str,
    /// Its ports.
    ports: &'static [RangeInclusive<u16>],
    /// The part of the platform that serves these ports.
    pub(super) part: Part,
}

/// A part of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The serial port.
    Serial,
    /// A port that prints each byte.
    Console,
    /// Four ports that keep written values.
    Store,
    /// A port for each interrupt line.
    Lines,
    /// The port that ends the run with a status.
    ExitPort,
    /// The interrupt controllers.
    Pic,
    /// The interval timer.
    Pit,
    /// The speaker's port, with bits of the timer.
    Speaker,
    /// The keyboard controller.
    Keyboard,
    /// The clock and its memory.
    Cmos,
    /// The A20 gate and the fast reset.
    ControlPort,
    /// The video card's registers.
    Vga,
    /// The address register of PCI, which has the reset register among its bytes.
    Pci,
    /// Power management.
    Power,
    /// The port that takes a text and switches the power off.
    PowerText,
    /// A register that is kept by name only: writes are lost, reads give 0.
    Ignored,
    /// A device that is not there: writes are lost, reads give all ones.
    Absent,
}

impl Device {
    /// Returns true if `--pc` has the device, and not only an empty place for it.
    pub fn is_there(&self) -> bool {
        self.part != Part::Absent
    }

    /// Returns the hint for a guest that waits for the device forever, even with `--pc`.
    pub fn advice(&self) -> Option<&'static str> {
        match self.part {
            Part::Keyboard => Some("do not wait for a key: nobody types on the keyboard of --pc"),
            Part::Serial => Some("do not wait for input on COM1: with --pc nothing comes in there"),
            Part::Absent => Some("do not wait for that device: --pc does not have it"),
            _ => None,
        }
    }

    /// Returns the name and the words that follow it, for a sentence.
    pub fn description(&self) -> String {
        format!("{}, {}", self.name, self.what)
    }
}

/// Returns the device of a port, if a PC has one there.
pub fn device_at(port: u16) -> Option<&'static Device> {
    DEVICES.iter().find(|device| device.ports.iter().any(|ports| ports.contains(&port)))
}

/// Returns the device that a PC has at a guest-physical address, if it has one there.
pub fn device_in_memory_at(address: u64) -> Option<MemoryDevice> {
    match address {
        0xA_0000..0xC_0000 => Some(MemoryDevice::Screen),
        0xFEC0_0000..0xFEC0_1000 => Some(MemoryDevice::IoApic),
        0xFED0_0000..0xFED0_0400 => Some(MemoryDevice::Hpet),
        0xFEE0_0000..0xFEE0_1000 => Some(MemoryDevice::LocalApic),
        _ => None,
    }
}

/// A device that kernels reach by memory accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryDevice {
    /// The video card's memory.
    Screen,
    /// The interrupt controller of the board.
    IoApic,
    /// The event timer.
    Hpet,
    /// The interrupt controller of the CPU.
    LocalApic,
}

impl MemoryDevice {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Screen => "the memory of the screen",
            Self::IoApic => "the I/O APIC",
            Self::Hpet => "the HPET",
            Self::LocalApic => "the local APIC",
        }
    }
}

const fn device(
    name: &'static str,
    what: &'static str,
    ports: &'static [RangeInclusive<u16>],
    part: Part,
) -> Device {
    Device { name, what, ports, part }
}

/// Every device that has a name here. The course's ports are not among them: they are hypercalls everywhere.
static DEVICES: &[Device] = &[
    device("COM1", "the first serial port", &[0x3F8..=0x3FF], Part::Serial),
    device("COM2", "the second serial port", &[0x2F8..=0x2FF], Part::Absent),
    device("COM3", "the third serial port", &[0x3E8..=0x3EF], Part::Absent),
    device("COM4", "the fourth serial port", &[0x2E8..=0x2EF], Part::Absent),
    device("debugcon", "the debug console of Bochs and QEMU", &[0x402..=0x402], Part::Console),
    device("testdev", "the serial port of kvm-unit-tests' test device", &[0xF1..=0xF1], Part::Console),
    device("testdev", "the ports of kvm-unit-tests' test device", &[0xE0..=0xE3], Part::Store),
    device("testdev", "the interrupt lines of kvm-unit-tests' test device", &[0x2000..=0x2017], Part::Lines),
    device("debug-exit", "QEMU's exit port (isa-debug-exit)", &[0xF4..=0xF7], Part::ExitPort),
    device("PIC", "the interrupt controller", &[0x20..=0x21, 0xA0..=0xA1], Part::Pic),
    device("ELCR", "the interrupt controller's trigger register", &[0x4D0..=0x4D1], Part::Ignored),
    device("PIT", "the interval timer", &[0x40..=0x43], Part::Pit),
    device("speaker", "the speaker's port", &[0x61..=0x61], Part::Speaker),
    device("keyboard", "the keyboard controller", &[0x60..=0x60, 0x64..=0x64], Part::Keyboard),
    device("CMOS", "the clock and its memory", &[0x70..=0x71], Part::Cmos),
    device("POST", "the port for progress codes and short delays", &[0x80..=0x80], Part::Ignored),
    device("port 92", "the A20 gate and the fast reset", &[0x92..=0x92], Part::ControlPort),
    device("APM", "the power management interface of the firmware", &[0xB2..=0xB3], Part::Ignored),
    device("VGA", "the video card", &[0x3B0..=0x3BB, 0x3C0..=0x3DF], Part::Vga),
    device("PCI", "the address and data registers of the PCI bus", &[0xCF8..=0xCFF], Part::Pci),
    device(
        "ACPI",
        "the power management of QEMU, Bochs and VirtualBox",
        &[0x604..=0x605, 0xB004..=0xB005, 0x4004..=0x4005],
        Part::Power,
    ),
    device("shutdown", "the power-off port of Bochs", &[0x8900..=0x8900], Part::PowerText),
    device("DMA", "the DMA controller", &[0x00..=0x0F, 0x81..=0x8F, 0xC0..=0xDF], Part::Absent),
    device(
        "IDE",
        "the disk controller",
        &[0x1F0..=0x1F7, 0x170..=0x177, 0x376..=0x376, 0x3F6..=0x3F6],
        Part::Absent,
    ),
    device("floppy", "the floppy disk controller", &[0x3F0..=0x3F5, 0x3F7..=0x3F7], Part::Absent),
    device("LPT", "a parallel port", &[0x378..=0x37A, 0x278..=0x27A, 0x3BC..=0x3BE], Part::Absent),
    device("VBE", "the graphics registers of Bochs and QEMU", &[0x1CE..=0x1D0], Part::Absent),
    device("fw_cfg", "QEMU's configuration interface", &[0x510..=0x51B], Part::Absent),
    device("sound", "a sound card", &[0x220..=0x22F, 0x388..=0x38B], Part::Absent),
    device("game port", "the game port", &[0x201..=0x201], Part::Absent),
    device("VMware", "the backdoor of VMware", &[0x5658..=0x5659], Part::Absent),
];

#[cfg(test)]
mod tests {
    use guest_abi::port::Port;

    use super::*;

    #[test]
    fn no_port_has_two_devices_and_none_is_a_course_port() {
        for port in 0..=u16::MAX {
            let all = DEVICES.iter().filter(|device| device.ports.iter().any(|ports| ports.contains(&port)));
            let is_standard_port = Port::try_from(port).is_ok_and(Port::is_standard_port);
            assert!(all.count() <= usize::from(!is_standard_port), "{port:#x}");
        }
    }

    #[test]
    fn the_usual_ports_have_their_devices() {
        for (port, name, is_there) in [
            (0x3F8, "COM1", true),
            (0x3FD, "COM1", true),
            (0x2F8, "COM2", false),
            (0x20, "PIC", true),
            (0xA1, "PIC", true),
            (0x43, "PIT", true),
            (0x64, "keyboard", true),
            (0x71, "CMOS", true),
            (0x92, "port 92", true),
            (0x3D4, "VGA", true),
            (0xCFC, "PCI", true),
            (0xF4, "debug-exit", true),
            (0x402, "debugcon", true),
            (0x604, "ACPI", true),
            (0x1F7, "IDE", false),
            (0x510, "fw_cfg", false),
        ] {
            let device = device_at(port).expect("a device");
            assert_eq!((device.name, device.is_there()), (name, is_there), "{port:#x}");
        }
        assert_eq!(device_in_memory_at(0xFEE0_00F0), Some(MemoryDevice::LocalApic));
        assert_eq!(device_in_memory_at(0xB_8000), Some(MemoryDevice::Screen));
        assert_eq!(device_in_memory_at(0x20_0000), None);
        assert_eq!(device_at(0x1234), None);
        assert_eq!(device_at(0xE9), None);
    }
}
