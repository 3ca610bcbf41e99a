//! The interval timer (Intel 8254), and the bits of it that the speaker's port shows.
//!
//! It has no clock, so that a run can be repeated: its counters go down by a fixed number at each reading. A loop that
//! waits for a count ends, after a time that means nothing.

/// The difference between two readings of a count.
const STEP: u32 = 64;

/// One counter.
#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    reload: u16,
    /// 0 to 65536, of which the lower 16 bits are read.
    count: u32,
    access: Access,
    /// The next byte is the high one.
    high: bool,
    /// A count that was latched, to be read.
    latched: Option<u16>,
    /// The count went through 0 since it was set.
    is_over: bool,
}

/// The bytes of a count that are read and written.
#[derive(Clone, Copy, Debug, Default)]
enum Access {
    Low,
    High,
    #[default]
    Both,
}

impl Counter {
    /// Returns the start of the count: a reload value of 0 stands for 65536.
    fn beginning(&self) -> u32 {
        if self.reload == 0 { 1 << 16 } else { self.reload.into() }
    }

    /// Reads the count, and lowers it.
    fn take(&mut self) -> u16 {
        self.count = self.count.checked_sub(STEP).unwrap_or_else(|| {
            self.is_over = true;
            self.beginning()
        });
        self.shown()
    }

    /// Returns the low 16 bits of the count.
    fn shown(&self) -> u16 {
        let [low, high, ..] = self.count.to_le_bytes();
        u16::from_le_bytes([low, high])
    }

    fn write(&mut self, value: u8) {
        let [low, high] = self.reload.to_le_bytes();
        let (reload, is_whole) = match (self.access, self.high) {
            (Access::Low, _) => ([value, 0], true),
            (Access::High, _) => ([0, value], true),
            (Access::Both, false) => ([value, high], false),
            (Access::Both, true) => ([low, value], true),
        };
        self.reload = u16::from_le_bytes(reload);
        self.high = !is_whole;
        if is_whole {
            self.count = self.beginning();
            self.is_over = false;
        }
    }

    fn read(&mut self) -> u8 {
        let count = match (self.latched, self.access, self.high) {
            (Some(count), ..) => count,
            // Both bytes are of one count.
            (None, Access::Both, true) => self.shown(),
            (None, ..) => self.take(),
        };
        let [low, high] = count.to_le_bytes();
        let (byte, is_whole) = match (self.access, self.high) {
            (Access::Low, _) => (low, true),
            (Access::High, _) => (high, true),
            (Access::Both, false) => (low, false),
            (Access::Both, true) => (high, true),
        };
        self.high = !is_whole;
        if is_whole {
            self.latched = None;
        }
        byte
    }

    fn latch(&mut self) {
        if self.latched.is_none() {
            self.latched = Some(self.take());
            self.high = false;
        }
    }
}

/// The timer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pit {
    counters: [Counter; 3],
    speaker: u8,
    refresh: bool,
}

/// The speaker's port: the bits that are written and read back.
const SPEAKER_BITS: u8 = 0b1111;
/// The speaker's port: the refresh bit, which changes all the time.
const REFRESH: u8 = 1 << 4;
/// The speaker's port: the output of counter 2.
const OUTPUT: u8 = 1 << 5;

impl Pit {
    pub(super) fn write(&mut self, port: u16, value: u8) {
        match self.counters.get_mut(usize::from(port & 3)) {
            Some(counter) => counter.write(value),
            None => self.command(value),
        }
    }

    pub(super) fn read(&mut self, port: u16) -> u8 {
        // The command register cannot be read.
        self.counters.get_mut(usize::from(port & 3)).map_or(0xFF, Counter::read)
    }

    fn command(&mut self, value: u8) {
        let select = usize::from(value >> 6);
        match self.counters.get_mut(select) {
            Some(counter) => match value >> 4 & 3 {
                0 => counter.latch(),
                access => {
                    let access = [Access::Low, Access::High, Access::Both][usize::from(access - 1)];
                    *counter = Counter { access, ..Counter::default() };
                }
            },
            // The read-back command: bit 5 is clear where counts are to be latched.
            None if value & 1 << 5 == 0 => {
                let chosen = |(index, _): &(usize, &mut Counter)| value & 2 << index != 0;
                self.counters.iter_mut().enumerate().filter(chosen).for_each(|(_, counter)| counter.latch());
            }
            None => {}
        }
    }

    pub(super) fn write_speaker(&mut self, value: u8) {
        self.speaker = value & SPEAKER_BITS;
    }

    pub(super) fn read_speaker(&mut self) -> u8 {
        self.refresh = !self.refresh;
        let counter = &mut self.counters[2];
        counter.take();
        let bit = |is_set, bit| if is_set { bit } else { 0 };
        self.speaker | bit(self.refresh, REFRESH) | bit(counter.is_over, OUTPUT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latched_count_is_read_in_two_bytes_and_goes_down() {
        let mut pit = Pit::default();
        pit.write(0x43, 0x34);
        pit.write(0x40, 0x00);
        pit.write(0x40, 0x10);
        let mut count = || {
            pit.write(0x43, 0);
            u16::from_le_bytes([pit.read(0x40), pit.read(0x40)])
        };
        assert_eq!([count(), count()], [0x0FC0, 0x0F80]);
        assert!((0..200).any(|_| count() < 64), "it comes to its end");
        assert!((0..200).all(|_| count() <= 0x1000), "and begins anew");
    }

    #[test]
    fn a_wait_for_the_second_counters_output_ends() {
        let mut pit = Pit::default();
        for (port, value) in [(0x43, 0xB0), (0x42, 0xFF), (0x42, 0xFF)] {
            pit.write(port, value);
        }
        pit.write_speaker(1);
        assert_eq!(pit.read_speaker() & OUTPUT, 0);
        assert!((0..2000).any(|_| pit.read_speaker() & OUTPUT != 0));
        assert_ne!(pit.read_speaker() & REFRESH, pit.read_speaker() & REFRESH);
        assert_eq!(pit.read_speaker() & SPEAKER_BITS, 1);
    }
}
