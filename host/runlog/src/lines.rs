//! A file of lines, read one by one.

use std::io::{self, BufRead, Read};

/// The longest line that is read, in bytes. Schedules and guests' texts are far shorter. A parsed line of JSON may
/// take sixteen times the memory of its text.
const MAX_LINE_SIZE: u64 = 4 << 20;

/// Returns the complete lines of the input without their ends, each with its number, from 1. An incomplete last line
/// is left out.
pub(crate) fn lines(mut from: impl BufRead) -> impl Iterator<Item = (usize, io::Result<Vec<u8>>)> {
    let mut next = move || {
        let mut line = Vec::new();
        let len = from.by_ref().take(MAX_LINE_SIZE).read_until(b'\n', &mut line)? as u64;
        match line.pop() {
            Some(b'\n') => Ok(Some(line)),
            Some(_) if len == MAX_LINE_SIZE => {
                let message = format!("the line has {} MiB or more", MAX_LINE_SIZE >> 20);
                Err(io::Error::new(io::ErrorKind::InvalidData, message))
            }
            _ => Ok(None),
        }
    };
    (1..).map_while(move |number| Some((number, next().transpose()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_and_not_endless() {
        let read = |bytes: &[u8]| -> Vec<(usize, Option<Vec<u8>>)> {
            lines(bytes).map(|(number, line)| (number, line.ok())).take(3).collect()
        };
        assert_eq!(read(b"one\n\nthr"), [(1, Some(b"one".into())), (2, Some(Vec::new()))]);
        assert!(read(b"").is_empty() && read(b"cut off").is_empty());
        let size = usize::try_from(MAX_LINE_SIZE).expect("small");
        let long =
            [b"one\n".to_vec(), vec![b'x'; size - 1], b"\n".to_vec(), vec![b'x'; size], b"\n".to_vec()];
        let long = read(&long.concat());
        assert_eq!((long[1].1.as_ref().map(Vec::len), &long[2]), (Some(size - 1), &(3, None)));
    }
}
