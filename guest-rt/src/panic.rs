//! What happens when a guest panics: its message, file, line and column go to the host in one
//! exit, and the guest ends.

use core::fmt::{self, Write};

/// The most bytes of a panic's message that reach the host.
const MESSAGE_SIZE: usize = 512;

/// A message of limited length; what does not fit is cut off.
#[cfg_attr(not(target_os = "none"), expect(dead_code, reason = "the panic handler is the guest's"))]
struct Message {
    bytes: [u8; MESSAGE_SIZE],
    len: usize,
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

#[cfg(target_os = "none")]
mod handler {
    use core::{
        panic::PanicInfo,
        sync::atomic::{AtomicBool, Ordering},
    };

    use guest_abi::block;

    use super::*;
    use crate::hypercall;

    /// Set by the first panic, so that a message that panics while it is formatted ends too.
    static PANICKING: AtomicBool = AtomicBool::new(false);

    #[panic_handler]
    fn report(info: &PanicInfo<'_>) -> ! {
        let mut message = Message { bytes: [0; MESSAGE_SIZE], len: 0 };
        if PANICKING.swap(true, Ordering::Relaxed) {
            let _ = message.write_str("panicked while formatting a panic's message");
        } else {
            let _ = write!(message, "{}", info.message());
        }
        let mut panic =
            block::Panic { message: hypercall::text(&message.bytes[..message.len]), ..Default::default() };
        if let Some(location) = info.location() {
            panic.file = hypercall::text(location.file().as_bytes());
            panic.line = location.line();
            panic.column = location.column();
        }
        hypercall::panic(&panic)
    }
}
