//! What happens when a guest panics: its message, file, line and column go to the host in one
//! exit, and the guest ends. The host adds the calls that led there, with their lines, from the image's
//! debug information.
//!
//! There is nothing to call here: `panic!`, `assert!`, an index out of bounds or an `unwrap` end here by
//! themselves. Panics are for what must not happen; a guest that merely has nothing good to report ends
//! with an [exit status](mod@crate::exit). A message of more than 512 bytes is cut off.

#[cfg(target_os = "none")]
mod handler {
    use core::{
        fmt::Write,
        panic::PanicInfo,
        sync::atomic::{AtomicBool, Ordering},
    };

    use guest_abi::block;

    use crate::{hypercall, message::Message};

    /// Set by the first panic, so that a message that panics while it is formatted ends too.
    static PANICKING: AtomicBool = AtomicBool::new(false);

    #[panic_handler]
    fn report(info: &PanicInfo<'_>) -> ! {
        let mut message = Message::new();
        if PANICKING.swap(true, Ordering::Relaxed) {
            let _ = message.write_str("panicked while formatting a panic's message");
        } else {
            let _ = write!(message, "{}", info.message());
        }
        let mut panic = block::Panic { message: hypercall::text(message.as_bytes()), ..Default::default() };
        if let Some(location) = info.location() {
            panic.file = hypercall::text(location.file().as_bytes());
            panic.line = location.line();
            panic.column = location.column();
        }
        hypercall::panic(&panic)
    }
}
