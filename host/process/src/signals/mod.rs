//! Interruption: SIGINT, SIGTERM and SIGHUP end the work in good order; on Windows Ctrl-C, Ctrl-Break and the closing of
//! the console.
//!
//! The first signal ends the work as a deadline does: a callback ([`on_signal`]) interrupts its threads, and they
//! find the signal here ([`signal`]). At the end the program dies of the signal ([`die`]). A second signal kills at
//! once, and so does a signal while there is no work.

mod signal;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::{
    io,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicI32, Ordering},
    },
    time::{Duration, Instant},
};

use crate::jail::Jail;

#[cfg(unix)]
use unix::{end_by, start};
#[cfg(windows)]
use windows::{end_by, start};

pub use signal::Signal;
#[cfg(unix)]
pub use unix::survive_full_files;
#[cfg(windows)]
pub use windows::survive_full_files;

/// The time in which another signal counts as the first one again. `timeout` and service managers signal a process,
/// and then its whole group.
const ECHO: Duration = Duration::from_millis(200);

/// The signal that interrupted the process, or 0. It is global, as signals are.
static INTERRUPTED: AtomicI32 = AtomicI32::new(0);

/// Interrupts the work, if there is any.
static INTERRUPT_WORK: OnceLock<fn() -> bool> = OnceLock::new();

/// Runs before the process dies of a signal.
static LAST_ACT: OnceLock<fn()> = OnceLock::new();

/// Returns the signal that interrupted the process, if one did.
pub fn signal() -> Option<Signal> {
    match INTERRUPTED.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(Signal(signal)),
    }
}

/// Makes signals interrupt the work from now on. A signal that is ignored, for example by `nohup`, stays ignored. On Unix
/// a thread in the jail receives them.
///
/// # Errors
///
/// The system did not install a handler or start a thread, or refused the jail.
pub fn listen(jail: &Jail) -> io::Result<()> {
    start(jail, received)
}

/// Handles a signal.
fn received(signal: Signal) {
    /// The time of the first signal.
    static FIRST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
    match *first {
        Some(first) if first.elapsed() < ECHO => {}
        Some(_) => die(signal),
        None => {
            *first = Some(Instant::now());
            INTERRUPTED.store(signal.0, Ordering::Relaxed);
            if !interrupt_work() {
                die(signal);
            }
        }
    }
}

/// Sets the function that interrupts the work after a signal. It returns true if there is work. Later calls have no
/// effect.
pub fn on_signal(interrupt_work: fn() -> bool) {
    INTERRUPT_WORK.get_or_init(|| interrupt_work);
}

fn interrupt_work() -> bool {
    INTERRUPT_WORK.get().is_some_and(|interrupt_work| interrupt_work())
}

/// Interrupts the work as SIGINT does. A terminal in raw mode does not send that signal.
pub fn interrupt() {
    // An earlier signal stays the reason.
    let _ = INTERRUPTED.compare_exchange(0, Signal::INTERRUPT.0, Ordering::Relaxed, Ordering::Relaxed);
    interrupt_work();
}

/// Sets the function that runs before the process dies of a signal. Later calls have no effect.
pub fn before_death(last_act: fn()) {
    LAST_ACT.get_or_init(|| last_act);
}

/// Ends the process by a signal, so that its parent sees the signal. Where that is not possible, the status is 128 and the
/// signal's number, as in shells.
pub fn die(signal: Signal) -> ! {
    if let Some(last_act) = LAST_ACT.get() {
        last_act();
    }
    end_by(signal.0);
    std::process::exit(128 + signal.0)
}
