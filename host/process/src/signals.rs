//! Interruption: SIGINT, SIGTERM and SIGHUP end the work in good order.
//!
//! The first signal ends the work as a deadline does: a callback ([`on_signal`]) interrupts its threads, and they
//! find the signal here ([`signal`]). At the end the program dies of the signal ([`die`]). A second signal kills at
//! once, and so does a signal while there is no work.

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

use crate::jail::{self, Jail};

/// The time in which another signal counts as the first one again. `timeout` and service managers signal a process,
/// and then its whole group.
const ECHO: Duration = Duration::from_millis(200);

/// The signal that interrupted the process, or 0. It is global, as signals are.
static INTERRUPTED: AtomicI32 = AtomicI32::new(0);

/// Interrupts the work, if there is any.
static INTERRUPT_WORK: OnceLock<fn() -> bool> = OnceLock::new();

/// Runs before the process dies of a signal.
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

/// Returns the signal that interrupted the process, if one did.
pub fn signal() -> Option<Signal> {
    match INTERRUPTED.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(Signal(signal)),
    }
}

/// Starts the thread that receives signals, in the jail. From now on signals interrupt the work. A signal that is
/// ignored, for example by `nohup`, stays ignored.
///
/// # Errors
///
/// The system did not install a handler or start a thread, or refused the jail.
pub fn listen(jail: &Jail) -> io::Result<()> {
    let handled = [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|&signal| !is_ignored(signal));
    let mut signals = Signals::new(handled)?;
    jail::spawn(jail, jail::Thread::Signals, move || {
        let mut first: Option<Instant> = None;
        for signal in signals.forever() {
            match first {
                Some(first) if first.elapsed() < ECHO => {}
                Some(_) => die(Signal(signal)),
                None => {
                    first = Some(Instant::now());
                    INTERRUPTED.store(signal, Ordering::Relaxed);
                    if !interrupt_work() {
                        die(Signal(signal));
                    }
                }
            }
        }
    })?;
    Ok(())
}

/// Sets the function that interrupts the work after a signal. It returns true if there is work. Later calls have no
/// effect.
pub fn on_signal(interrupt_work: fn() -> bool) {
    INTERRUPT_WORK.get_or_init(|| interrupt_work);
}

fn interrupt_work() -> bool {
    INTERRUPT_WORK.get().is_some_and(|interrupt_work| interrupt_work())
}

/// Ignores SIGXFSZ: a write to a file at its size limit fails, instead of killing the process.
pub fn survive_full_files() {
    // SAFETY: only the signal's default action is replaced.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Interrupts the work as SIGINT does. A terminal in raw mode does not send that signal.
pub fn interrupt() {
    // An earlier signal stays the reason.
    let _ = INTERRUPTED.compare_exchange(0, SIGINT, Ordering::Relaxed, Ordering::Relaxed);
    interrupt_work();
}

/// Sets the function that runs before the process dies of a signal. Later calls have no effect.
pub fn before_death(last_act: fn()) {
    LAST_ACT.get_or_init(|| last_act);
}

/// Ends the process by a signal, so that its parent sees the signal.
pub fn die(Signal(signal): Signal) -> ! {
    if let Some(last_act) = LAST_ACT.get() {
        last_act();
    }
    // It returns only if the system refuses. Then the status that shells use stands for the signal.
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
