//! The message of a process in the jail that is about to die of a signal.
//!
//! A system call that is not listed raises SIGSYS. While a thread's signals are blocked (at its end, or while it
//! signals another) the kernel kills at once, without a message. A fault raises SIGSEGV or SIGBUS. The standard
//! library's handler of these makes a call that is not listed, so this file has its own.

use std::{ffi::c_int, io, mem::MaybeUninit, panic, ptr};

/// The beginning of the message about a call that is not listed.
pub const VIOLATION: &str = "guestlab: killed by its own jail: system call ";

/// The end of that message.
const ADVICE: &str = " is not allowed while guests run\n  \
    try: please report this, with the version of the C library; --no-seccomp runs without the jail\n";

/// The end of a message about a fault.
const FAULT_ADVICE: &str =
    "\n  try: please report this, with the command; it is a bug of this program or a library\n";

/// The size of a message's buffer.
const ROOM: usize = 256;

/// The index of the stack pointer among the registers of a context.
const STACK_POINTER: usize = libc::REG_RSP as usize;

/// The largest distance of an access from the stack pointer when the stack is used up. Probes of large frames touch
/// each page.
const PROBE: usize = 16 << 10;

/// Installs handlers that name the call or the fault that the process dies of. Installs a panic hook without a
/// backtrace, because a backtrace would need files; `report` writes its text.
///
/// # Errors
///
/// The system did not install a handler.
pub(super) fn install(report: fn(&str)) -> io::Result<()> {
    panic::set_hook(Box::new(move |panic| {
        report(&format!("{panic}\n  for a backtrace: RUST_BACKTRACE=1, and --no-seccomp"));
    }));
    handle(libc::SIGSYS, call_refused)?;
    handle(libc::SIGSEGV, faulted)?;
    handle(libc::SIGBUS, faulted)
}

type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut libc::c_void);

/// Installs a handler for one occurrence of a signal. When the signal comes again, in any thread, it kills. The
/// handler runs on the thread's alternate stack, since the usual one may be used up.
fn handle(signal: c_int, handler: Handler) -> io::Result<()> {
    // SAFETY: sigaction is a plain C structure, for which all-zero is valid: an empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESETHAND | libc::SA_ONSTACK;
    // SAFETY: the action is initialised, and its handler does only what a handler may.
    match unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Handles SIGSYS.
extern "C" fn call_refused(_: c_int, information: *mut libc::siginfo_t, _: *mut libc::c_void) {
    /// The beginning of `siginfo_t`, up to the call's number (sigaction(2), `si_syscall`).
    #[repr(C)]
    struct Information {
        signal: [c_int; 4],
        address: usize,
        number: c_int,
    }
    // SAFETY: the kernel hands over a siginfo_t, of which this is the beginning when the signal is SIGSYS.
    let number = unsafe { (*information.cast::<Information>()).number };
    let mut message = Message::new();
    message.push(VIOLATION).push_number(u64::from(number.unsigned_abs()), 10).push(ADVICE);
    message.write();
    loop {
        // This call is not listed either, and the handler is gone, so the kernel kills the process.
        // SAFETY: it is not carried out, and had no effect on memory otherwise.
        unsafe { libc::syscall(libc::SYS_getppid) };
    }
}

/// Handles SIGSEGV and SIGBUS.
extern "C" fn faulted(signal: c_int, information: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel hands over a siginfo_t, which is the handler's.
    let information = unsafe { &*information };
    // SAFETY: where the signal comes from a process it is a number without a meaning, but a number.
    let address = unsafe { information.si_addr() }.addr();
    // SAFETY: the kernel hands over a ucontext_t.
    let stack = unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[STACK_POINTER] };
    let stack = usize::try_from(stack).unwrap_or(0);
    let name = if signal == libc::SIGBUS { "SIGBUS" } else { "SIGSEGV" };
    // A signal that a process sent does not have a positive code (sigaction(2), `si_code`).
    let is_sent = information.si_code <= 0;
    let mut message = Message::new();
    message.push("guestlab: killed by ").push(name);
    if is_sent {
        message.push(", which another process sent\n");
    } else if address.abs_diff(stack) < PROBE {
        message.push(": the stack of a thread is used up").push(FAULT_ADVICE);
    } else {
        message.push(": a bad access to memory at 0x").push_number(address as u64, 16).push(FAULT_ADVICE);
    }
    message.write();
    if is_sent {
        die(signal);
    }
    // The instruction faults again, and the handler is gone, so the kernel kills the process.
}

/// Sends the calling thread a signal, which arrives when its handler returns.
fn die(signal: c_int) {
    // SAFETY: it has no preconditions.
    let process = unsafe { libc::getpid() };
    // SAFETY: likewise.
    let thread = unsafe { libc::gettid() };
    // SAFETY: it takes numbers, and there is no handler any more that could be surprised.
    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal) };
}

/// A message, made without allocation or lock. Text beyond the buffer is left out.
struct Message {
    bytes: [u8; ROOM],
    len: usize,
}

impl Message {
    fn new() -> Self {
        Self { bytes: [0; ROOM], len: 0 }
    }

    fn push(&mut self, text: &str) -> &mut Self {
        let room = &mut self.bytes[self.len..];
        let len = text.len().min(room.len());
        room[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        self
    }

    fn push_number(&mut self, mut number: u64, base: u64) -> &mut Self {
        let mut digits = [0; 20];
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b"0123456789abcdef"[usize::try_from(number % base).unwrap_or(0)];
            number /= base;
            if number == 0 || first == 0 {
                break;
            }
        }
        self.push(std::str::from_utf8(&digits[first..]).unwrap_or_default())
    }

    /// Writes the message to standard error in one call, because the process may die at any time.
    fn write(&self) {
        // SAFETY: the pointer is to as many bytes.
        unsafe { libc::write(libc::STDERR_FILENO, self.bytes.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_digits() {
        for number in [0, 7, 10, 257, u64::from(u32::MAX), u64::MAX] {
            let mut message = Message::new();
            message.push_number(number, 10).push(" ").push_number(number, 16);
            assert_eq!(&message.bytes[..message.len], format!("{number} {number:x}").as_bytes());
        }
    }

    #[test]
    fn every_message_fits() {
        let mut message = Message::new();
        message.push(VIOLATION).push_number(u64::from(u32::MAX), 10).push(ADVICE);
        assert!(message.len < ROOM);
        let mut message = Message::new();
        message.push("guestlab: killed by SIGSEGV: a bad access to memory at 0x");
        message.push_number(u64::MAX, 16).push(FAULT_ADVICE);
        assert!(message.len < ROOM);
        assert_eq!(message.push(&"x".repeat(2 * ROOM)).len, ROOM);
    }
}
