//! Keys, from the bytes that a terminal of Unix sends for them.
//!
//! crossterm could decode them, too. But its event source reads on forever when the terminal is gone:
//! `event/source/unix/mio.rs` of 0.29 ignores the end of the file.

use crate::tui::keys::Key;

const ESCAPE: u8 = 0x1b;

/// Decodes keys from bytes. A key of several bytes may come in pieces.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// An incomplete escape sequence.
    pending: Vec<u8>,
}

impl Decoder {
    /// Adds bytes, and returns the keys that are complete now. Unknown keys are left out.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Key> {
        bytes.iter().filter_map(|&byte| self.byte(byte)).collect()
    }

    /// Returns the Escape key if no more bytes follow an escape character.
    pub(super) fn pause(&mut self) -> Option<Key> {
        let pending = std::mem::take(&mut self.pending);
        (pending == [ESCAPE]).then_some(Key::Escape)
    }

    fn byte(&mut self, byte: u8) -> Option<Key> {
        match (self.pending.as_slice(), byte) {
            ([], ESCAPE) => self.pending.push(ESCAPE),
            ([], byte) => return single(byte),
            // Escape, and the next key at once.
            ([ESCAPE], ESCAPE) => return Some(Key::Escape),
            ([ESCAPE], b'[' | b'O') => self.pending.push(byte),
            ([ESCAPE], _) => self.pending.clear(),
            // ECMA-48, 5.4: parameters and intermediates are 20 to 3F, and one of 40 to 7E ends a sequence.
            (_, 0x20..=0x3f) if self.pending.len() < 16 => self.pending.push(byte),
            (pending, _) => {
                let key = sequence(&pending[2..], byte);
                self.pending.clear();
                return key;
            }
        }
        None
    }
}

fn single(byte: u8) -> Option<Key> {
    match byte {
        b' '..=b'~' => Some(Key::Char(char::from(byte))),
        b'\r' | b'\n' => Some(Key::Enter),
        b'\t' => Some(Key::Tab),
        0x7f | 0x08 => Some(Key::Backspace),
        0x03 => Some(Key::Interrupt),
        _ => None,
    }
}

/// The key of a control sequence, by its parameters and its last byte. Shift keys are ignored.
fn sequence(parameters: &[u8], last: u8) -> Option<Key> {
    let first = parameters.split(|&byte| byte == b';').next().unwrap_or_default();
    match (first, last) {
        (_, b'A') => Some(Key::Up),
        (_, b'B') => Some(Key::Down),
        (_, b'C') => Some(Key::Right),
        (_, b'D') => Some(Key::Left),
        (_, b'H') | (b"1" | b"7", b'~') => Some(Key::Home),
        (_, b'F') | (b"4" | b"8", b'~') => Some(Key::End),
        (b"5", b'~') => Some(Key::PageUp),
        (b"6", b'~') => Some(Key::PageDown),
        (_, b'M') => Some(Key::Enter),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        Decoder::default().push(bytes)
    }

    #[test]
    fn keys_are_what_terminals_send_for_them() {
        assert_eq!(
            keys(b"q\r\x7f\x03\t"),
            [Key::Char('q'), Key::Enter, Key::Backspace, Key::Interrupt, Key::Tab]
        );
        assert_eq!(keys(b"\x1b[D\x1bOC\x1b[1;5C"), [Key::Left, Key::Right, Key::Right]);
        assert_eq!(keys(b"\x1b[H\x1b[1~\x1b[F\x1b[4~"), [Key::Home, Key::Home, Key::End, Key::End]);
        assert_eq!(keys(b"\x1b[5~\x1b[6~\x1b[A"), [Key::PageUp, Key::PageDown, Key::Up]);
        assert_eq!(keys("é\x1b[15~x".as_bytes()), [Key::Char('x')]);
    }

    #[test]
    fn an_escape_alone_is_a_key_when_nothing_follows() {
        let mut decoder = Decoder::default();
        assert_eq!(
            (decoder.push(b"\x1b"), decoder.pause(), decoder.pause()),
            (vec![], Some(Key::Escape), None)
        );
        assert_eq!((decoder.push(b"\x1b["), decoder.push(b"C")), (vec![], vec![Key::Right]));
        assert_eq!(
            (decoder.push(b"\x1b[1"), decoder.pause(), decoder.push(b"x")),
            (vec![], None, vec![Key::Char('x')])
        );
    }

    proptest! {
        /// All bytes are accepted, and a key after a pause is understood.
        #[test]
        fn any_bytes_are_digested(bytes in any::<Vec<u8>>()) {
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            prop_assert!(decoder.pending.len() <= 16);
            decoder.pause();
            prop_assert_eq!(decoder.push(b"q"), [Key::Char('q')]);
        }
    }
}
