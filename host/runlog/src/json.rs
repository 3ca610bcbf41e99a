//! JSON that is safe to print in a terminal: hidden characters are escaped.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Serializer, ser::Formatter};

use crate::text::is_hidden;

/// Writes a value as JSON, on one line.
///
/// # Errors
///
/// The writer's.
pub fn write(writer: impl Write, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(writer, Visible)).map_err(io::Error::from)
}

/// Writes a value as a line of JSON.
///
/// # Errors
///
/// The writer's.
pub fn write_line(mut writer: impl Write, value: &impl Serialize) -> io::Result<()> {
    write(&mut writer, value)?;
    writer.write_all(b"\n")
}

/// A value as JSON, on one line.
pub fn text(value: &impl Serialize) -> String {
    let mut bytes = Vec::new();
    match write(&mut bytes, value) {
        Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => error.to_string(),
    }
}

struct Visible;

impl Formatter for Visible {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        // Most texts have no such character, and are written at once.
        if text.bytes().all(|byte| byte < 0x7F) {
            return writer.write_all(text.as_bytes());
        }
        let mut shown = 0;
        for (at, character) in text.char_indices().filter(|(_, character)| is_hidden(*character)) {
            writer.write_all(&text.as_bytes()[shown..at])?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            shown = at + character.len_utf8();
        }
        writer.write_all(&text.as_bytes()[shown..])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_hidden_is_left_and_the_rest_is_as_it_was() {
        assert_eq!(
            text(&"é \u{7f}\u{9b}2J\u{202e}\u{2028}\u{e0041}"),
            r#""é \u007f\u009b2J\u202e\u2028\udb40\udc41""#
        );
        assert_eq!(text(&["a\"\n"]), r#"["a\"\n"]"#);
    }

    proptest! {
        #[test]
        fn it_is_read_as_it_was(value in any::<String>()) {
            let text = text(&value);
            prop_assert!(!text.chars().any(is_hidden), "{text}");
            prop_assert_eq!(serde_json::from_str::<String>(&text).expect("JSON"), value);
        }
    }
}
