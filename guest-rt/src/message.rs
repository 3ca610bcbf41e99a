//! Text of limited length, for messages that leave the guest whole and in one exit.

use core::fmt::{self, Write};

/// The most bytes of the message of a panic or a log record that reach the host.
pub(crate) const MESSAGE_SIZE: usize = 512;

/// A message of limited length; longer text is cut off.
pub(crate) struct Message {
    bytes: [u8; MESSAGE_SIZE],
    len: usize,
}

impl Message {
    /// Creates an empty message.
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; MESSAGE_SIZE], len: 0 }
    }

    /// Returns the text.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.len..];
        let len = text.len().min(room.len());
        room[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}
