//! The registers of the video card. They keep written values, for example the cursor's position. The card stays in its text
//! mode of 80 columns and 25 rows for any values.

/// A group of registers: an index, and the data behind it.
#[derive(Clone, Debug)]
struct Indexed {
    index: u8,
    data: Box<[u8; 256]>,
}

impl Default for Indexed {
    fn default() -> Self {
        Self { index: 0, data: Box::new([0; 256]) }
    }
}

impl Indexed {
    /// The lower port is the index, the higher one the data.
    fn write(&mut self, is_data: bool, value: u8) {
        match is_data {
            false => self.index = value,
            true => self.data[usize::from(self.index)] = value,
        }
    }

    fn read(&self, is_data: bool) -> u8 {
        if is_data { self.data[usize::from(self.index)] } else { self.index }
    }
}

/// The registers.
#[derive(Clone, Debug, Default)]
pub(super) struct Vga {
    crt: Indexed,
    sequencer: Indexed,
    graphics: Indexed,
    misc: u8,
    /// The bits of the status register that change all the time.
    retrace: bool,
}

/// Input status: the display is between two lines or two pictures.
const RETRACE: u8 = 0b1001;

/// CRT controller: the start of the picture in the video memory, in cells.
const START_HIGH: usize = 0x0C;
const START_LOW: usize = 0x0D;

impl Vga {
    pub(super) fn write(&mut self, port: u16, value: u8) {
        let is_data = port & 1 == 1;
        match port {
            0x3B4 | 0x3B5 | 0x3D4 | 0x3D5 => self.crt.write(is_data, value),
            0x3C4 | 0x3C5 => self.sequencer.write(is_data, value),
            0x3CE | 0x3CF => self.graphics.write(is_data, value),
            0x3C2 => self.misc = value,
            _ => {}
        }
    }

    pub(super) fn read(&mut self, port: u16) -> u8 {
        let is_data = port & 1 == 1;
        match port {
            0x3B4 | 0x3B5 | 0x3D4 | 0x3D5 => self.crt.read(is_data),
            0x3C4 | 0x3C5 => self.sequencer.read(is_data),
            0x3CE | 0x3CF => self.graphics.read(is_data),
            0x3CC => self.misc,
            0x3BA | 0x3DA => {
                self.retrace = !self.retrace;
                if self.retrace { RETRACE } else { 0 }
            }
            _ => 0,
        }
    }

    /// Returns the start of the picture in the video memory, in cells.
    pub(super) fn start(&self) -> u16 {
        u16::from_be_bytes([self.crt.data[START_HIGH], self.crt.data[START_LOW]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_is_where_it_was_put() {
        let mut vga = Vga::default();
        for (index, value) in [(0x0E, 0x01), (0x0F, 0x40), (0x0C, 0), (0x0D, 80)] {
            vga.write(0x3D4, index);
            vga.write(0x3D5, value);
        }
        vga.write(0x3D4, 0x0E);
        assert_eq!(vga.read(0x3D5), 1);
        assert_eq!(vga.start(), 80);
    }

    #[test]
    fn waits_for_the_retrace_end() {
        let mut vga = Vga::default();
        let vertical = 1 << 3;
        let readings = [(); 4].map(|()| vga.read(0x3DA) & vertical != 0);
        assert_eq!(readings, [true, false, true, false]);
    }
}
