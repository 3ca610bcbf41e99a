//! Interruption: SIGINT, SIGTERM and SIGHUP end what runs, in good order.
//!
//! The first of them gets the machines of all runs to stop, as a deadline does; each run brings its
//! output to its reader and ends with [`Error::Interrupted`](crate::lab::error::Error::Interrupted), and the
//! program dies by the signal then. A second one kills at once, and so does one that finds no run.

use std::{
    ffi::c_int,
    fmt, io,
    mem::MaybeUninit,
    sync::{
        OnceLock,
        atomic::{AtomicI32, Ordering},
    },
    time::{Duration, Instant},
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
    low_level,
};

use crate::process::{
    jail::{self, Jail},
    watchdog,
};

/// Signals that come so soon after the first are the same one again: `timeout` and service managers
/// signal a process, and then its whole group.
const ECHO: Duration = Duration::from_millis(200);

/// The signal that interrupted the process; 0 is none. Like signals, it is the process's.
static INTERRUPTED: AtomicI32 = AtomicI32::new(0);

/// What is done before the process ends by a signal.
static LAST_ACT: OnceLock<fn()> = OnceLock::new();

/// A signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(c_int);

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match low_level::signal_name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

/// The signal that interrupted the process, if one did.
pub fn signal() -> Option<Signal> {
    match INTERRUPTED.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(Signal(signal)),
    }
}

/// From now on, for the rest of the process, signals interrupt runs. One that is ignored, as `nohup` has
/// it, stays so. The thread that hears them is in the jail.
///
/// # Errors
///
/// The system gave no handler or no thread, or refused the jail.
pub fn listen(jail: &Jail) -> io::Result<()> {
    let heard = [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|&signal| !is_ignored(signal));
    let mut signals = Signals::new(heard)?;
    jail::spawn(jail, jail::Thread::Signals, move || {
        let mut first: Option<Instant> = None;
        for signal in signals.forever() {
            match first {
                Some(first) if first.elapsed() < ECHO => {}
                Some(_) => die(Signal(signal)),
                None => {
                    first = Some(Instant::now());
                    INTERRUPTED.store(signal, Ordering::Relaxed);
                    if !watchdog::wake_all() {
                        die(Signal(signal));
                    }
                }
            }
        }
    })?;
    Ok(())
}

/// Has a file that may not become larger be an error of the write, rather than the end of the process (SIGXFSZ).
pub fn survive_full_files() {
    // SAFETY: nothing but the signal's default is replaced.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Interrupts all runs, as SIGINT does. A terminal in raw mode does not send that.
pub fn interrupt() {
    // A signal that came before it stays the one.
    let _ = INTERRUPTED.compare_exchange(0, SIGINT, Ordering::Relaxed, Ordering::Relaxed);
    watchdog::wake_all();
}

/// Has something done before the process ends by a signal. There is one such thing.
pub fn before_death(last_act: fn()) {
    LAST_ACT.get_or_init(|| last_act);
}

/// Ends the process by a signal, so that its parent sees what it was.
pub fn die(Signal(signal): Signal) -> ! {
    if let Some(last_act) = LAST_ACT.get() {
        last_act();
    }
    // It comes back only if the system refuses, and then the status that shells use must do.
    let _ = low_level::emulate_default_handler(signal);
    std::process::exit(128 + signal)
}

fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: nothing is set, and the pointer is to a sigaction structure.
    if unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: sigaction is a plain C structure, for which all-zero is valid; it has been filled since.
    unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}
