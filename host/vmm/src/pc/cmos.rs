//! The clock and its memory (Motorola MC146818). The clock stands still, so that a run can be repeated.

/// The registers.
#[derive(Clone, Debug)]
pub(super) struct Cmos {
    index: u8,
    registers: [u8; 128],
    /// The next reading of register A reports an update.
    updates: bool,
}

/// Register A, whose highest bit says that the clock is being updated.
const STATUS_A: u8 = 0x0A;
const UPDATING: u8 = 1 << 7;
/// The highest register that is the clock's own.
const CLOCK_END: u8 = 0x0D;

/// The first values of the registers: midnight of 1 January 2000, a Saturday, in BCD and 24 hours.
const BEGINNING: [(usize, u8); 9] = [
    (0x06, 7),
    (0x07, 1),
    (0x08, 1),
    (0x0A, 0x26),
    // 24 hours.
    (0x0B, 0x02),
    // The battery is good.
    (0x0D, 0x80),
    // 640 KiB of base memory.
    (0x15, 0x80),
    (0x16, 0x02),
    // The century.
    (0x32, 0x20),
];

impl Cmos {
    /// The registers of a PC with this much memory in bytes.
    pub(super) fn new(memory: u32) -> Self {
        let mut registers = [0; 128];
        for (register, value) in BEGINNING {
            registers[register] = value;
        }
        // In KiB above 1 MiB, limited to 16 bits; and in units of 64 KiB above 16 MiB.
        let extended = u16::try_from((memory >> 10).saturating_sub(1024)).unwrap_or(u16::MAX).to_le_bytes();
        let high = u16::try_from((memory >> 16).saturating_sub(256)).unwrap_or(u16::MAX).to_le_bytes();
        for (register, value) in [(0x17, extended), (0x30, extended), (0x34, high)] {
            registers[register..register + 2].copy_from_slice(&value);
        }
        Self { index: 0, registers, updates: false }
    }

    pub(super) fn write(&mut self, port: u16, value: u8) {
        match port & 1 {
            // The highest bit masks non-maskable interrupts, of which there are none.
            0 => self.index = value & 0x7F,
            // Ignore writes to the time: the clock stands still.
            _ if self.index <= CLOCK_END && self.index != 0x0B => {}
            _ => self.registers[usize::from(self.index)] = value,
        }
    }

    pub(super) fn read(&mut self, port: u16) -> u8 {
        if port & 1 == 0 {
            return 0xFF;
        }
        let value = self.registers[usize::from(self.index)];
        if self.index != STATUS_A {
            return value;
        }
        // Some kernels wait for the start of an update, and some for its end.
        self.updates = !self.updates;
        if !self.updates { value | UPDATING } else { value & !UPDATING }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cmos: &mut Cmos, index: u8) -> u8 {
        cmos.write(0x70, index | 0x80);
        cmos.read(0x71)
    }

    #[test]
    fn the_clock_stands_still_and_its_updates_come_and_go() {
        let mut cmos = Cmos::new(2 << 20);
        let time = [0, 2, 4, 7, 8, 9, 0x32].map(|index| read(&mut cmos, index));
        assert_eq!(time, [0, 0, 0, 1, 1, 0, 0x20]);
        let updating = [0; 4].map(|_| read(&mut cmos, STATUS_A) & UPDATING != 0);
        assert_eq!(updating, [false, true, false, true]);
        cmos.write(0x70, 0);
        cmos.write(0x71, 0x59);
        assert_eq!(read(&mut cmos, 0), 0);
    }

    #[test]
    fn the_size_of_memory_is_there_in_each_of_its_forms() {
        let sizes = |memory| {
            let mut cmos = Cmos::new(memory);
            let mut word = |index| u16::from_le_bytes([read(&mut cmos, index), read(&mut cmos, index + 1)]);
            [word(0x15), word(0x17), word(0x30), word(0x34)]
        };
        assert_eq!(sizes(2 << 20), [640, 1024, 1024, 0]);
        assert_eq!(sizes(32 << 20), [640, 31 << 10, 31 << 10, 256]);
        assert_eq!(sizes(0xC000_0000), [640, u16::MAX, u16::MAX, 0xBF00]);
        assert_eq!(sizes(0x1000), [640, 0, 0, 0]);
    }
}
