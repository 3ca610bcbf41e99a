//! The tests in an image. Each is an ELF note next to the [ABI's](crate::note), so the host can list tests
//! without running the image. A test runs in its own VM; the first [argument](crate::arguments) is its name.
//!
//! A note's descriptor is text, in parts that each end with a NUL: the
//! test's name; for a test that must panic, `p` and a part of the panic's
//! message; for an ignored test, `i` and the reason. NULs fill the rest.

use crate::note::{NAME, NAME_SIZE};

/// The type of these notes.
pub const TYPE: u32 = 2;

/// The description of a test in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test<'a> {
    /// The test's name.
    pub name: &'a str,
    /// The text that the panic's message must contain, if the test must panic.
    pub should_panic: Option<&'a str>,
    /// The reason, perhaps empty, if the test is ignored.
    pub ignored: Option<&'a str>,
}

impl<'a> Test<'a> {
    /// Reads a note's descriptor, or returns `None` if it is malformed. It
    /// ignores parts that it does not know, which may come from a newer version.
    pub fn parse(descriptor: &'a [u8]) -> Option<Self> {
        let mut parts = core::str::from_utf8(descriptor).ok()?.split('\0');
        let name = parts.next().filter(|name| !name.is_empty())?;
        let mut test = Self { name, should_panic: None, ignored: None };
        for part in parts {
            match part.split_at_checked(1) {
                Some(("p", expected)) => test.should_panic = Some(expected),
                Some(("i", reason)) => test.ignored = Some(reason),
                _ => {}
            }
        }
        Some(test)
    }
}

/// A test's note, in its file layout; the descriptor has [`padded`] size.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Note<const SIZE: usize> {
    name_size: u32,
    descriptor_size: u32,
    note_type: u32,
    /// Padded to four bytes.
    name: [u8; 12],
    descriptor: [u8; SIZE],
}

/// Returns the size of the descriptor for a text of `len` bytes: the next multiple of 4.
pub const fn padded(len: usize) -> usize {
    len.next_multiple_of(4)
}

impl<const SIZE: usize> Note<SIZE> {
    /// Creates the note with this text.
    ///
    /// # Panics
    ///
    /// If the text is longer than `SIZE`, or `SIZE` is not a multiple of 4.
    pub const fn new(text: &str) -> Self {
        assert!(SIZE.is_multiple_of(4) && text.len() <= SIZE);
        let (mut name, mut descriptor) = ([0; 12], [0; SIZE]);
        name.split_at_mut(NAME.len()).0.copy_from_slice(&NAME);
        descriptor.split_at_mut(text.len()).0.copy_from_slice(text.as_bytes());
        #[expect(clippy::cast_possible_truncation, reason = "the source of a test is shorter")]
        let descriptor_size = SIZE as u32;
        Self { name_size: NAME_SIZE, descriptor_size, note_type: TYPE, name, descriptor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_reads_as_what_was_written() {
        const TEXT: &str = "adds\0poverflow\0islow\0";
        let note = Note::<{ padded(TEXT.len()) }>::new(TEXT);
        assert_eq!((note.descriptor_size, note.descriptor.len()), (24, 24));
        assert_eq!(
            Test::parse(&note.descriptor),
            Some(Test { name: "adds", should_panic: Some("overflow"), ignored: Some("slow") })
        );
    }

    #[test]
    fn what_is_not_said_is_not_so() {
        let plain = Test { name: "adds", should_panic: None, ignored: None };
        assert_eq!(Test::parse(b"adds\0\0\0\0"), Some(plain));
        assert_eq!(Test::parse(b"adds"), Some(plain));
        assert_eq!(Test::parse(b"adds\0p\0"), Some(Test { should_panic: Some(""), ..plain }));
        assert_eq!(Test::parse(b"adds\0znew\0i\0"), Some(Test { ignored: Some(""), ..plain }));
    }

    #[test]
    fn what_is_no_test_is_none() {
        assert_eq!(Test::parse(b""), None);
        assert_eq!(Test::parse(b"\0p\0"), None);
        assert_eq!(Test::parse(b"\xFF\0"), None);
    }
}
