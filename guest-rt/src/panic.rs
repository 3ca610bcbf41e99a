//! The panic handler of guests. Message, file, line and column go to the
//! host in one exit, and the guest ends. The host adds the calls that
//! led there, with their lines, from the image's debug information.
//!
//! `panic!`, `assert!`, an index out of bounds and `unwrap` call the handler by themselves.
//! Use a panic to report a bug in the guest. A guest that only has a bad result to report
//! ends with an [exit status](mod@crate::exit). A message of more than 512 bytes is cut off.

#[cfg(target_os = "none")]
mod handler {
    use core::{
        fmt::Write,
        panic::PanicInfo,
        sync::atomic::{AtomicBool, Ordering},
    };

    use guest_abi::block;

    use crate::{hypercall, message::Message};

    /// Set by the first panic, so that a panic in the message's own formatting also ends the guest.
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
