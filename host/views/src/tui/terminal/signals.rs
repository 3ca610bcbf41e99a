//! Signals while a view has the terminal. A signal that kills the process first restores the terminal. So does a
//! signal that stops it, and the view takes the terminal again when the process continues.
//!
//! The process itself handles SIGINT, SIGTERM and SIGHUP. All functions here are called from signal handlers: they
//! take no lock and allocate nothing.

#[cfg(target_os = "linux")]
use libc::__errno_location as errno;
#[cfg(not(target_os = "linux"))]
use libc::__error as errno;

use std::{
    ffi::c_int,
    fs::File,
    io,
    mem::MaybeUninit,
    os::fd::AsRawFd,
    ptr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// Leaves the alternate screen, shows the cursor, and resets the style.
const LEAVE: &[u8] = b"\x1b[0m\x1b[?1049l\x1b[?25h";

/// Enters the alternate screen, without a cursor.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";

/// The time to wait for a terminal that takes no output, in milliseconds.
const PATIENCE: c_int = 500;

/// The signals that the kernel numbers: on Linux the last is SIGRTMAX (signal(7)), elsewhere SIGUSR2.
const SIGNALS: std::ops::RangeInclusive<c_int> =
    1..=if cfg!(target_os = "linux") { 64 } else { libc::SIGUSR2 };

/// The signals that do not end a process which has no handler, or that cannot have one (signal(7)).
const SPARED: [c_int; 9] = [
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGCONT,
    libc::SIGCHLD,
    libc::SIGURG,
    libc::SIGWINCH,
];

/// The signals of faults. The instruction faults again when their handler is over.
const FAULTS: [c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// The terminal, once a view has it.
static TERMINAL: OnceLock<Terminal> = OnceLock::new();

/// True while a view has the terminal.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// True if the process continued after a stop, and nothing has been drawn since.
static RESUMED: AtomicBool = AtomicBool::new(false);

struct Terminal {
    /// The file of the terminal's modes. It stays open as long as the view.
    input: c_int,
    usual: libc::termios,
    raw: libc::termios,
    /// The former handlers of faults.
    faults: [libc::sigaction; FAULTS.len()],
}

/// Takes the terminal with the modes of `input`, and installs the handlers.
///
/// # Errors
///
/// The terminal cannot be taken.
pub(super) fn taking(input: &File, take: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let input = input.as_raw_fd();
    let usual = modes(input)?;
    take()?;
    let terminal = Terminal { input, usual, raw: modes(input)?, faults: FAULTS.map(action) };
    // A process has one view.
    let _ = TERMINAL.set(terminal);
    TAKEN.store(true, Ordering::SeqCst);
    for signal in SIGNALS.filter(|signal| !SPARED.contains(signal)) {
        if action(signal).sa_sigaction == libc::SIG_DFL || FAULTS.contains(&signal) {
            handle(signal, die, libc::SA_ONSTACK | libc::SA_RESETHAND);
        }
    }
    handle(libc::SIGTSTP, stop, libc::SA_RESTART | libc::SA_NODEFER);
    handle(libc::SIGCONT, go_on, libc::SA_RESTART);
    Ok(())
}

/// Notes that the terminal was restored: the handlers have nothing left to do.
pub(super) fn given_back() {
    TAKEN.store(false, Ordering::SeqCst);
}

/// Returns true if the process continued after a stop, so that everything must be drawn.
pub(super) fn is_resumed() -> bool {
    RESUMED.load(Ordering::SeqCst)
}

/// As [`is_resumed`], and resets the mark.
pub(super) fn has_resumed() -> bool {
    RESUMED.swap(false, Ordering::SeqCst)
}

type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut libc::c_void);

/// The handler of a signal that kills.
extern "C" fn die(signal: c_int, information: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let terminal = TERMINAL.get();
    if let Some(terminal) = terminal.filter(|_| TAKEN.swap(false, Ordering::SeqCst)) {
        terminal.become_usual();
    }
    // SAFETY: the kernel hands over a siginfo_t.
    let is_sent = unsafe { (*information).si_code } <= 0;
    let fault = FAULTS.iter().position(|fault| *fault == signal).filter(|_| !is_sent);
    match fault.zip(terminal) {
        // The library's handler has a message for it.
        Some((fault, terminal)) => set(signal, &terminal.faults[fault]),
        // The signal arrives when this handler ends, and finds no handler.
        // SAFETY: it takes a number.
        None => drop(unsafe { libc::raise(signal) }),
    }
}

/// The handler of SIGTSTP. The process stops here, without a handler, and continues here. (A process that nobody could
/// continue does not stop.)
extern "C" fn stop(signal: c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    if let Some(terminal) = TERMINAL.get().filter(|_| TAKEN.load(Ordering::SeqCst)) {
        terminal.become_usual();
    }
    // SAFETY: all-zero is a valid sigaction, and the usual one.
    set(signal, &unsafe { MaybeUninit::zeroed().assume_init() });
    // SAFETY: it takes a number.
    unsafe { libc::raise(signal) };
    handle(signal, stop, libc::SA_RESTART | libc::SA_NODEFER);
    take_again();
}

/// The handler of SIGCONT, which comes after SIGSTOP as well.
extern "C" fn go_on(_: c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    take_again();
}

fn take_again() {
    if let Some(terminal) = TERMINAL.get().filter(|_| TAKEN.load(Ordering::SeqCst)) {
        terminal.put(&terminal.raw, ENTER);
        RESUMED.store(true, Ordering::SeqCst);
    }
}

impl Terminal {
    fn become_usual(&self) {
        self.put(&self.usual, LEAVE);
    }

    /// Sets modes, and writes if the terminal takes output. `errno` is kept.
    fn put(&self, modes: &libc::termios, text: &[u8]) {
        // SAFETY: it has no preconditions.
        let errno = unsafe { errno() };
        // SAFETY: the pointer is to this thread's number.
        let before = unsafe { *errno };
        // SAFETY: the modes are such as the system gave.
        unsafe { libc::tcsetattr(self.input, libc::TCSANOW, modes) };
        let mut output = libc::pollfd { fd: libc::STDOUT_FILENO, events: libc::POLLOUT, revents: 0 };
        // SAFETY: the pointer is to one file's structure.
        if unsafe { libc::poll(&raw mut output, 1, PATIENCE) } > 0 {
            // SAFETY: the pointer and the length are the text's.
            unsafe { libc::write(output.fd, text.as_ptr().cast(), text.len()) };
        }
        // SAFETY: as above.
        unsafe { *errno = before };
    }
}

fn modes(file: c_int) -> io::Result<libc::termios> {
    let mut modes = MaybeUninit::<libc::termios>::zeroed();
    // SAFETY: the pointer is to room for modes.
    match unsafe { libc::tcgetattr(file, modes.as_mut_ptr()) } {
        // SAFETY: all-zero is valid, and it has been filled since.
        0 => Ok(unsafe { modes.assume_init() }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Returns the current action of a signal.
fn action(signal: c_int) -> libc::sigaction {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // The C library refuses its own signals. They are left alone, like ignored ones.
    // SAFETY: nothing is set, and the pointer is to a sigaction structure.
    let outcome = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all-zero is a valid sigaction.
    let mut action = unsafe { action.assume_init() };
    if outcome != 0 {
        action.sa_sigaction = libc::SIG_IGN;
    }
    action
}

fn handle(signal: c_int, handler: Handler, flags: c_int) {
    // SAFETY: all-zero is a valid sigaction, with an empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | flags;
    set(signal, &action);
}

fn set(signal: c_int, action: &libc::sigaction) {
    // SAFETY: the action is one that the system gave, or has a handler that does only what a handler may.
    unsafe { libc::sigaction(signal, action, ptr::null_mut()) };
}
