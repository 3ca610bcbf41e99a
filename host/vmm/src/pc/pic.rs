//! The two interrupt controllers (Intel 8259A): their programming, their masks, and requests by edges. Only
//! the test device raises lines; timer, keyboard and serial port are not connected. There are no priorities
//! between an interrupt that is served and the next: an end of interrupt does nothing.

/// One of the two controllers.
#[derive(Clone, Copy, Debug)]
struct Controller {
    /// The vector of its first line.
    base: u8,
    /// The lines that are masked, a bit each.
    mask: u8,
    /// The lines that are high.
    lines: u8,
    /// The lines that went high and have not been acknowledged.
    requested: u8,
    /// The initialization words that are still to come on the data port.
    expected: Expected,
    words_after_base: u8,
}

/// The meaning of the next write to the data port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// The mask.
    Mask,
    /// ICW2, the vector of the first line.
    Base,
    /// This many words of an initialization, which have no effect here.
    Words(u8),
}

/// Both controllers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pics([Controller; 2]);

/// A command with this bit begins an initialization (ICW1).
const INITIALIZE: u8 = 1 << 4;
/// ICW1: a fourth word will follow.
const WANTS_ICW4: u8 = 1 << 0;
/// ICW1: there is one controller only, and no third word.
const SINGLE: u8 = 1 << 1;
/// The line of the first controller that the second one is at.
const CASCADE: u8 = 1 << 2;
/// The vectors that a PC's firmware leaves.
const FIRMWARE_BASES: [u8; 2] = [0x08, 0x70];

impl Default for Pics {
    fn default() -> Self {
        Self(FIRMWARE_BASES.map(|base| Controller {
            base,
            mask: 0,
            lines: 0,
            requested: 0,
            expected: Expected::Mask,
            words_after_base: 0,
        }))
    }
}

impl Controller {
    fn command(&mut self, value: u8) {
        // An end of interrupt and the choice of a register to read have no effect.
        if value & INITIALIZE != 0 {
            self.mask = 0;
            self.requested = 0;
            self.expected = Expected::Base;
            self.words_after_base = u8::from(value & SINGLE == 0) + u8::from(value & WANTS_ICW4 != 0);
        }
    }

    fn data(&mut self, value: u8) {
        let words = |left| if left == 0 { Expected::Mask } else { Expected::Words(left) };
        match self.expected {
            Expected::Mask => self.mask = value,
            Expected::Base => {
                self.base = value & !7;
                self.expected = words(self.words_after_base);
            }
            Expected::Words(left) => self.expected = words(left - 1),
        }
    }

    /// The first line with an interrupt to come.
    fn first(&self) -> Option<u8> {
        let open = self.requested & !self.mask;
        u8::try_from(open.trailing_zeros()).ok().filter(|_| open != 0)
    }
}

impl Pics {
    pub(super) fn write(&mut self, port: u16, value: u8) {
        let controller = &mut self.0[usize::from(port >= 0xA0)];
        match port & 1 {
            0 => controller.command(value),
            _ => controller.data(value),
        }
    }

    pub(super) fn read(&self, port: u16) -> u8 {
        let controller = &self.0[usize::from(port >= 0xA0)];
        match port & 1 {
            0 => controller.requested,
            _ => controller.mask,
        }
    }

    /// Sets a line, 0 to 15, high or low.
    pub(super) fn set_line(&mut self, line: u8, is_high: bool) {
        let controller = &mut self.0[usize::from(line >= 8)];
        let bit = 1 << (line & 7);
        if is_high {
            controller.requested |= bit & !controller.lines;
            controller.lines |= bit;
        } else {
            controller.lines &= !bit;
        }
    }

    /// The vector of the interrupt that is to come next.
    pub(super) fn pending(&self) -> Option<u8> {
        self.next().map(|(controller, line)| self.0[controller].base | line)
    }

    /// The CPU takes that interrupt.
    pub(super) fn acknowledge(&mut self) {
        if let Some((controller, line)) = self.next() {
            self.0[controller].requested &= !(1 << line);
        }
    }

    /// The controller and the line of the interrupt that is to come next.
    fn next(&self) -> Option<(usize, u8)> {
        let [first, second] = &self.0;
        let cascaded = second.first().filter(|_| first.mask & CASCADE == 0);
        match (first.first(), cascaded) {
            (Some(line @ 0..2), _) | (Some(line), None) => Some((0, line)),
            (_, Some(line)) => Some((1, line)),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remap(pics: &mut Pics) {
        for (port, value) in [
            (0x20, 0x11),
            (0xA0, 0x11),
            (0x21, 0x20),
            (0xA1, 0x28),
            (0x21, 4),
            (0xA1, 2),
            (0x21, 1),
            (0xA1, 1),
        ] {
            pics.write(port, value);
        }
    }

    #[test]
    fn initialization_words_are_not_masks() {
        let mut pics = Pics::default();
        remap(&mut pics);
        assert_eq!((pics.read(0x21), pics.read(0xA1)), (0, 0));
        pics.write(0x21, 0xFD);
        pics.write(0xA1, 0xEF);
        pics.write(0x20, 0x20);
        assert_eq!((pics.read(0x21), pics.read(0xA1), pics.read(0x20)), (0xFD, 0xEF, 0));
    }

    #[test]
    fn an_edge_is_one_interrupt_at_the_vector_that_was_programmed() {
        let mut pics = Pics::default();
        pics.set_line(11, true);
        pics.set_line(11, true);
        pics.set_line(11, false);
        assert_eq!(pics.pending(), Some(0x73));
        pics.acknowledge();
        assert_eq!(pics.pending(), None);
        remap(&mut pics);
        for (line, vector) in [(0, 0x20), (7, 0x27), (8, 0x28), (15, 0x2F)] {
            pics.set_line(line, true);
            assert_eq!(pics.pending(), Some(vector));
            pics.acknowledge();
        }
    }

    #[test]
    fn a_masked_line_waits() {
        let mut pics = Pics::default();
        pics.set_line(11, true);
        pics.write(0x21, CASCADE);
        assert_eq!(pics.pending(), None);
        pics.write(0x21, 0);
        pics.write(0xA1, 1 << 3);
        assert_eq!(pics.pending(), None);
        pics.set_line(5, true);
        assert_eq!(pics.pending(), Some(0x0D));
        pics.write(0xA1, 0);
        assert_eq!(pics.pending(), Some(0x73), "the second controller comes before line 3");
    }
}
