//! A system call that is not listed: it is told of, and then the process is killed. Where a thread's signals
//! are blocked (it ends, or signals another) the kernel kills at once, and nothing is said.

use std::{io, mem::MaybeUninit, panic, ptr};

use crate::output;

/// What the message begins with.
pub const VIOLATION: &str = "guestlab: killed by its own jail: system call ";

/// What it ends with.
const ADVICE: &[u8] = b" is not among those that it may make while guests run\n  \
    try: please report this, with the version of the C library; --no-seccomp runs without the jail\n";

const _: () = assert!(VIOLATION.len() + 10 + ADVICE.len() <= 256, "the message has room");

/// Has the process tell of a call that is not listed before it dies of SIGSYS; and has panics told of
/// without a backtrace, for which files would have to be read.
///
/// # Errors
///
/// The system gave no handler.
pub(super) fn install() -> io::Result<()> {
    panic::set_hook(Box::new(|panic| {
        output::complain(&panic.to_string());
        output::complain("  for a backtrace: RUST_BACKTRACE=1, and --no-seccomp");
    }));
    // SAFETY: sigaction is a plain C structure, for which all-zero is valid: an empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction =
        tell as extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) as libc::sighandler_t;
    // Once: the next call that is not listed, in whatever thread, finds no handler, and kills.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESETHAND;
    // SAFETY: the action is initialised, and its handler does only what a handler may.
    match unsafe { libc::sigaction(libc::SIGSYS, &raw const action, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The handler of SIGSYS: one message, without allocation or lock, and the end.
extern "C" fn tell(_: libc::c_int, information: *mut libc::siginfo_t, _: *mut libc::c_void) {
    /// As much of `siginfo_t` as a call's number needs (sigaction(2), `si_syscall`).
    #[repr(C)]
    struct Information {
        signal: [libc::c_int; 4],
        address: usize,
        number: libc::c_int,
    }
    // SAFETY: the kernel hands over a siginfo_t, of which this is the beginning when the signal is SIGSYS.
    let number = unsafe { (*information.cast::<Information>()).number };
    let mut message = [0; 256];
    let mut len = 0;
    for part in [VIOLATION.as_bytes(), decimal(number.unsigned_abs(), &mut [0; 10]), ADVICE] {
        message[len..len + part.len()].copy_from_slice(part);
        len += part.len();
    }
    // One write: another thread may be killed meanwhile, and this one with it. Who cannot be told is not told.
    // SAFETY: the pointer is to as many bytes.
    unsafe { libc::write(libc::STDERR_FILENO, message.as_ptr().cast(), len) };
    loop {
        // Not listed either; and there is no handler any more: the kernel kills the process.
        // SAFETY: it is not carried out, and had no effect on memory otherwise.
        unsafe { libc::syscall(libc::SYS_getppid) };
    }
}

/// A number in decimal.
fn decimal(mut number: u32, digits: &mut [u8; 10]) -> &[u8] {
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 || first == 0 {
            return &digits[first..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 7, 10, 257, u32::MAX] {
            assert_eq!(decimal(number, &mut [0; 10]), number.to_string().as_bytes());
        }
    }
}
