//! The arguments of a guest, in guest memory at
//! [`ARGUMENTS`](crate::layout::ARGUMENTS): UTF-8, each argument terminated by a NUL.
//! [`BootInfo::arguments`](crate::boot::BootInfo::arguments) is their total length.

use core::iter::FusedIterator;

/// An iterator over the arguments in a piece of memory with any content.
/// An argument that is not UTF-8 reads as an empty one, so that the others
/// keep their positions. Bytes without a NUL after them are ignored.
#[derive(Clone, Debug)]
pub struct Arguments<'a> {
    rest: &'a [u8],
}

impl<'a> Arguments<'a> {
    /// Creates an iterator over the arguments in `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Arguments<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let end = self.rest.iter().position(|&byte| byte == 0)?;
        let argument = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        Some(core::str::from_utf8(argument).unwrap_or(""))
    }
}

impl FusedIterator for Arguments<'_> {}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    #[track_caller]
    fn reads_as(bytes: &[u8], expected: &[&str]) {
        assert_eq!(Arguments::new(bytes).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_argument_ends_at_its_nul() {
        reads_as(b"", &[]);
        reads_as(b"\0", &[""]);
        reads_as(b"ping\0", &["ping"]);
        reads_as("ping\0\0zw\u{f6}lf pong\0".as_bytes(), &["ping", "", "zw\u{f6}lf pong"]);
    }

    #[test]
    fn what_no_nul_follows_is_no_argument() {
        reads_as(b"ping\0po", &["ping"]);
        reads_as(b"ping", &[]);
    }

    #[test]
    fn what_is_not_utf_8_keeps_its_place() {
        reads_as(b"a\0\xFF\xFE\0b\0", &["a", "", "b"]);
    }
}
