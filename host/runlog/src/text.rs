//! Text of guests and files, made safe for a terminal: a guest must not control the terminal.

use std::fmt::{self, Write};

/// Decodes UTF-8 that comes in pieces. Invalid bytes become U+FFFD. An incomplete character waits for its other bytes.
#[derive(Clone, Debug, Default)]
pub struct Utf8Stream {
    pending: Vec<u8>,
}

impl Utf8Stream {
    /// Adds bytes, and returns the text that is complete now.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        let mut rest = 0;
        for chunk in self.pending.utf8_chunks() {
            text.push_str(chunk.valid());
            rest += chunk.valid().len();
            let invalid = chunk.invalid();
            if rest + invalid.len() == self.pending.len() && could_begin_character(invalid) {
                break;
            }
            rest += invalid.len();
            if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.pending.drain(..rest);
        text
    }
}

impl Utf8Stream {
    /// Ends the stream, and returns U+FFFD if an incomplete character is left.
    pub fn finish(&mut self) -> &'static str {
        if std::mem::take(&mut self.pending).is_empty() { "" } else { "\u{FFFD}" }
    }
}

/// Returns true if the bytes are the beginning of a valid character.
fn could_begin_character(bytes: &[u8]) -> bool {
    !bytes.is_empty() && std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// Drops carriage returns at line ends. Firmware and serial lines end a line with `\r\n` or `\n\r`. A return at the
/// end or at the beginning of a line moves nothing. Any other return is kept, because it could hide text.
#[derive(Clone, Debug, Default)]
pub struct LineEnds {
    /// The number of returns before the next character.
    held: usize,
    /// True if the last character was inside a line.
    within: bool,
}

impl LineEnds {
    /// Adds a piece, and returns its text without the returns of line ends.
    pub fn push(&mut self, piece: &str) -> String {
        let mut text = String::with_capacity(piece.len());
        for character in piece.chars() {
            match character {
                '\r' => self.held += usize::from(self.within),
                '\n' => {
                    *self = Self::default();
                    text.push('\n');
                }
                _ => {
                    text.extend(std::iter::repeat_n('\r', self.held));
                    *self = Self { held: 0, within: true };
                    text.push(character);
                }
            }
        }
        text
    }

    /// Returns a whole text with `\n` as its line ends.
    pub fn of(text: &str) -> String {
        Self::default().push(text)
    }
}

/// Escapes all hidden characters of a text of several lines (see `is_hidden`). Newlines and tabs stay.
pub fn escape_control(text: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        text.chars().try_for_each(|character| match character {
            '\n' | '\t' => f.write_char(character),
            _ => write_escaped(f, character),
        })
    })
}

/// Escapes all hidden characters and newlines of a text: for names, paths and other texts inside a line.
pub fn escape_line(text: &str) -> String {
    escape_control(text).to_string().replace('\n', "\\n")
}

/// Returns the rows of a text screen as text. Each row begins with a mark, so that it cannot be taken for other
/// output.
pub fn screen_text(lines: &[String]) -> String {
    let rows = lines.iter().map(|line| match line.as_str() {
        "" => "|\n".to_owned(),
        line => format!("| {line}\n"),
    });
    std::iter::once("screen:\n".to_owned()).chain(rows).collect()
}

/// Returns true if a character controls the terminal, ends a line, changes the direction of writing, or is invisible.
pub(crate) fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            // Marks and controls of direction.
            '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{206F}'
            // Separators of lines and paragraphs.
            | '\u{2028}' | '\u{2029}'
            // Byte order marks, annotations and tags.
            | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

fn write_escaped(f: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    match character {
        '\r' => f.write_str("\\r"),
        _ if !is_hidden(character) => f.write_char(character),
        _ if character.is_ascii() => write!(f, "\\x{:02x}", character as u32),
        _ => write!(f, "{}", character.escape_unicode()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn control_characters_are_made_visible() {
        assert_eq!(escape_control("a\tb\n").to_string(), "a\tb\n");
        assert_eq!(escape_control("\x1b[2J\x07\r\x7f\0").to_string(), "\\x1b[2J\\x07\\r\\x7f\\x00");
        assert_eq!(escape_control("\u{9b}31m\u{202e}x é").to_string(), "\\u{9b}31m\\u{202e}x é");
    }

    #[test]
    fn returns_at_the_ends_of_lines_are_dropped_and_others_are_not() {
        assert_eq!(LineEnds::of("a\r\nb\n\rc\r\r\nd\r"), "a\nb\nc\nd");
        assert_eq!(LineEnds::of("\ra\rb\r\rc\r\n"), "a\rb\r\rc\n");
        let mut ends = LineEnds::default();
        let pieces = ["a", "\r", "\n", "b", "\r", "c"].map(|piece| ends.push(piece));
        assert_eq!(pieces.concat(), "a\nb\rc");
    }

    proptest! {
        /// Nothing but returns is dropped, and a text without them is not touched.
        #[test]
        fn only_returns_are_dropped(text in "[a\r\n]{0,40}") {
            let shown = LineEnds::of(&text);
            prop_assert_eq!(shown.replace('\r', ""), text.replace('\r', ""));
            prop_assert!(!shown.contains("\r\n") && !shown.contains("\n\r"));
        }

        #[test]
        fn nothing_that_drives_a_terminal_is_left(text in any::<String>()) {
            let shown = escape_control(&text).to_string();
            prop_assert!(shown.chars().all(|c| !is_hidden(c) || c == '\n' || c == '\t'));
            prop_assert!(escape_line(&text).chars().all(|c| !is_hidden(c) || c == '\t'));
        }

        /// However the bytes of a text are cut into pieces, the text is the same.
        #[test]
        fn a_text_in_pieces_is_the_text(text in any::<String>(), cut in 1..5usize) {
            let mut stream = Utf8Stream::default();
            let pieces: String = text.as_bytes().chunks(cut).map(|piece| stream.push(piece)).collect();
            prop_assert_eq!(pieces, text);
            prop_assert_eq!(stream.finish(), "");
        }

        /// Any bytes at all become text, and never wait for more than one character's rest.
        #[test]
        fn any_bytes_become_text(bytes in any::<Vec<u8>>(), cut in 1..5usize) {
            let mut stream = Utf8Stream::default();
            for piece in bytes.chunks(cut) {
                stream.push(piece);
                prop_assert!(stream.pending.len() < 4);
            }
        }
    }
}
