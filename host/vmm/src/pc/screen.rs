//! The text screen: 80 columns and 25 rows of cells in memory, a character and its colours each.

use std::collections::BTreeSet;

use guest_abi::layout::PAGE_SIZE;

use guestlab_cpu::GuestMemory;

use crate::image::Image;

/// The number of cells in a row.
const COLUMNS: usize = 80;
/// The number of rows.
const ROWS: usize = 25;
/// The bytes of a cell: the character, then its colours.
const CELL: usize = 2;
/// The bytes of the screen.
const SIZE: usize = COLUMNS * ROWS * CELL;
/// A cell as the firmware leaves it: a blank, grey on black.
const BLANK: [u8; CELL] = [b' ', 7];

/// The start of a screen's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The colour screen's.
    Color = 0xB_8000,
    /// The monochrome screen's.
    Mono = 0xB_0000,
}

/// The size of the memory that a screen's picture can begin in.
const WINDOW: usize = 0x8000;
const WINDOW_PAGES: usize = WINDOW / PAGE_SIZE as usize;

/// The text on a screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screen {
    /// The address of its memory.
    pub address: u32,
    /// The rows up to the last that is not empty, without the blanks at their ends. The characters are those of the card's
    /// own font (code page 437), without control characters.
    pub lines: Vec<String>,
}

impl Screen {
    /// Returns the text on the screen. The picture begins `start` cells into its memory. Returns `None` if the screen is
    /// empty or is not memory.
    pub fn read(memory: &dyn GuestMemory, base: Base, start: u16) -> Option<Self> {
        let cells = cells(memory, base, start)?;
        let mut lines: Vec<String> = cells.chunks(COLUMNS * CELL).map(line).collect();
        lines.truncate(lines.iter().rposition(|line| !line.is_empty())? + 1);
        Some(Self { address: base as u32, lines })
    }

    /// Returns the text on the screen, unless the screen's memory seems to contain other data.
    pub fn read_likely(memory: &dyn GuestMemory, base: Base) -> Option<Self> {
        let cells = cells(memory, base, 0)?;
        is_likely(&cells).then(|| Self::read(memory, base, 0)).flatten()
    }

    /// Returns true if an image is loaded to a screen's memory.
    pub fn is_covered_by(image: &Image, base: Base) -> bool {
        (base as u32..).step_by(PAGE_SIZE as usize).take(WINDOW_PAGES).any(|page| image.takes(page))
    }

    /// Makes a screen blank, as firmware does, if the guest has that memory.
    pub fn clear(memory: &mut dyn GuestMemory, base: Base) {
        // A guest without that memory has no screen.
        let _ = memory.write(base as u64, &BLANK.repeat(COLUMNS * ROWS));
    }
}

/// The cells of a screen's picture, if it is memory.
fn cells(memory: &dyn GuestMemory, base: Base, start: u16) -> Option<Vec<u8>> {
    // A picture that reaches the end of the card's memory continues at its beginning.
    let start = usize::from(start) * CELL % WINDOW;
    let mut window = vec![0; WINDOW];
    let end = if start + SIZE <= WINDOW { start + SIZE } else { WINDOW };
    memory.read(base as u64, &mut window[..end]).ok()?;
    Some(window.iter().cycle().skip(start).take(SIZE).copied().collect())
}

fn line(row: &[u8]) -> String {
    let text: String = row.chunks_exact(CELL).map(|cell| shown(cell[0])).collect();
    text.trim_end_matches(' ').to_owned()
}

/// Returns true if cells look like text: mostly letters and the like, in few colours.
fn is_likely(cells: &[u8]) -> bool {
    let cells = || cells.chunks_exact(CELL).map(|cell| (cell[0], cell[1])).filter(|&cell| cell != (0, 0));
    let (written, colors) = (cells().count(), cells().map(|(_, color)| color).collect::<BTreeSet<_>>().len());
    let plain = cells().filter(|&cell| is_plain(cell)).count();
    let shows = cells().any(|(character, _)| character.is_ascii_graphic());
    shows && 4 * plain >= 3 * written && 4 * colors <= written + 8
}

/// Some kernels leave the colours as the firmware left them, which are 0 here.
fn is_plain((character, color): (u8, u8)) -> bool {
    character.is_ascii_graphic() || color != 0 && matches!(character, 0 | b' ')
}

/// The characters 0x01 to 0x1F of code page 437.
const SYMBOLS: &str = "☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼";

/// Those from 0x80 to 0xFE.
const UPPER: &str = "\
ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀\
αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■";

/// A character as the card's font shows it.
fn shown(character: u8) -> char {
    let of = |table: &str, first: u8| table.chars().nth(usize::from(character - first)).unwrap_or(' ');
    match character {
        0 | 0xFF => ' ',
        1..0x20 => of(SYMBOLS, 1),
        0x20..0x7F => character.into(),
        0x7F => '⌂',
        0x80..0xFF => of(UPPER, 0x80),
    }
}

#[cfg(test)]
mod tests {
    use guest_abi::layout::DEFAULT_MEMORY;

    use guestlab_cpu::{Cpu, Engine, MemoryPlan};
    use guestlab_soft::Soft;

    use super::*;

    fn guest() -> Box<dyn Cpu> {
        Soft.create(&MemoryPlan::below(DEFAULT_MEMORY.into())).expect("2 MiB")
    }

    fn put(memory: &mut dyn GuestMemory, cell: u32, text: &[u8], color: u8) {
        let bytes: Vec<u8> = text.iter().flat_map(|&character| [character, color]).collect();
        memory.write(Base::Color as u64 + u64::from(2 * cell), &bytes).expect("memory");
    }

    fn lines(memory: &dyn GuestMemory, start: u16) -> Option<Vec<String>> {
        Screen::read(memory, Base::Color, start).map(|screen| screen.lines)
    }

    #[test]
    fn code_page_437_is_whole_and_has_no_control_characters() {
        assert_eq!((SYMBOLS.chars().count(), UPPER.chars().count()), (0x1F, 0x7F));
        assert!((0..=u8::MAX).all(|character| !shown(character).is_control()));
        assert_eq!([0x01, b'A', 0x81, 0xDB, 0xE1, 0xFE].map(shown), ['☺', 'A', 'ü', '█', 'ß', '■']);
        assert_eq!([0xB3, 0xC4, 0xD9, 0xDA].map(shown), ['│', '─', '┘', '┌']);
    }

    #[test]
    fn rows_are_shown_without_trailing_blanks() {
        let mut guest = guest();
        assert_eq!(lines(guest.memory(), 0), None);
        Screen::clear(guest.memory_mut(), Base::Color);
        assert_eq!(lines(guest.memory(), 0), None);
        put(guest.memory_mut(), 80, b" Hello \x1b[2J ", 0x0F);
        put(guest.memory_mut(), 3 * 80 + 79, b"!", 0x0F);
        let last = " ".repeat(79) + "!";
        assert_eq!(lines(guest.memory(), 0), Some(vec!["".into(), " Hello ←[2J".into(), "".into(), last]));
    }

    #[test]
    fn the_picture_begins_at_the_cards_start_address() {
        let mut guest = guest();
        put(guest.memory_mut(), 160, b"scrolled", 7);
        assert_eq!(lines(guest.memory(), 160), Some(vec!["scrolled".into()]));
        for start in [0x3FFF, 0x4000, u16::MAX] {
            assert!(lines(guest.memory(), start).is_some(), "{start:#x}");
        }
    }

    #[test]
    fn a_guest_without_that_memory_has_no_screen() {
        let mut guest = Soft.create(&MemoryPlan::below(0xB_9000)).expect("memory");
        Screen::clear(guest.memory_mut(), Base::Color);
        assert_eq!(lines(guest.memory(), 0), None);
        assert_eq!(lines(Soft.create(&MemoryPlan::below(0xB_0000)).expect("memory").memory(), 0), None);
    }

    #[test]
    fn text_is_distinguished_from_other_data() {
        let likely = |bytes: &[u8]| {
            let mut guest = guest();
            guest.memory_mut().write(Base::Color as u64, bytes).expect("memory");
            Screen::read_likely(guest.memory(), Base::Color).is_some()
        };
        assert!(likely(b"O\x2FK\x2F"));
        assert!(likely(b"X\x0F"));
        assert!(likely(&[&[b' ', 7].repeat(1000)[..], b"H\x07i\x07"].concat()));
        assert!(!likely(&[b' ', 7].repeat(2000)), "a blank screen");
        assert!(!likely(&[0; 100]));
        assert!(!likely(b"a plain text of some length, with letters where the colours would be"));
        assert!(!likely(&[0xAA, 0x55].repeat(2000)), "a test of memory");
        assert!(!likely(b"\x00\x80\x0b\x00\x12\x34\x56\x78"), "numbers");
        assert!(likely(b"A\0B\0C\0"), "letters without colours");
    }
}
