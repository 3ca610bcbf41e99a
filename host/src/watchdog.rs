//! The deadline: a timer that gets vCPU threads out of `KVM_RUN`.
//!
//! A signal makes `KVM_RUN` return with `EINTR` (KVM API, 4.10 `KVM_RUN`), but one that arrives
//! between the check of the flag and the call would be lost. So the watchdog sets the flag first
//! and then sends the signal again and again, until the thread has taken its registration back:
//! one of the signals finds the thread inside.

use std::{
    io,
    mem::MaybeUninit,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How often threads are signalled once the deadline has passed.
const KICK_INTERVAL: Duration = Duration::from_millis(2);

/// The watchdog of one run. Dropping it ends its thread.
pub struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    expired: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    over: bool,
    /// `None` is so far off that the clock does not reach it.
    deadline: Option<Instant>,
    /// How often threads are signalled before that, if they are.
    tick: Option<Duration>,
    threads: Vec<libc::pthread_t>,
}

impl Watchdog {
    /// Starts a watchdog that expires after `timeout`.
    ///
    /// # Errors
    ///
    /// The system gave no thread or no signal handler.
    pub fn start(timeout: Duration) -> io::Result<Self> {
        install_handler()?;
        let shared = Arc::new(Shared::default());
        shared.set(timeout);
        let thread = std::thread::Builder::new().name("watchdog".into()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.watch()
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Sets the deadline anew, to `timeout` from now, whether it has passed or not.
    pub fn set(&self, timeout: Duration) {
        self.shared.set(timeout);
    }

    /// Stops the clock until the pause is dropped.
    pub fn pause(&self) -> Pause<'_> {
        let left = self.shared.lock().deadline.take().map(|at| at.saturating_duration_since(Instant::now()));
        Pause { shared: &self.shared, left }
    }

    /// Interrupts the registered threads' system calls this often from now on. A signal may be lost on a
    /// thread that is not in one; the next comes.
    pub fn tick(&self, interval: Duration) {
        self.shared.lock().tick = Some(interval);
        self.shared.changed.notify_all();
    }

    /// Whether the deadline has passed.
    pub fn expired(&self) -> bool {
        self.shared.expired.load(Ordering::Relaxed)
    }

    /// Registers the calling thread: once the deadline has passed, its system calls are
    /// interrupted until the registration is dropped. The thread must check
    /// [`expired`](Self::expired) whenever it is interrupted, and before each `KVM_RUN`.
    pub fn watch_this_thread(&self) -> Registration<'_> {
        // SAFETY: pthread_self has no preconditions.
        let thread = unsafe { libc::pthread_self() };
        self.shared.lock().threads.push(thread);
        Registration { shared: &self.shared, thread }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // The thread has nothing to report; should it have panicked, its message is out.
            let _ = thread.join();
        }
    }
}

/// A watchdog whose clock stands still.
pub struct Pause<'a> {
    shared: &'a Shared,
    left: Option<Duration>,
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        if let Some(left) = self.left {
            self.shared.set(left);
        }
    }
}

/// A thread under watch. It must be dropped on the thread that made it, while that still runs.
pub struct Registration<'a> {
    shared: &'a Shared,
    thread: libc::pthread_t,
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if let Some(index) = state.threads.iter().position(|&thread| thread == self.thread) {
            state.threads.swap_remove(index);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole at every point at which a thread could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, timeout: Duration) {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        // The watchdog sleeps until the deadline that it knows of and then looks for a new one: only
        // one that is sooner must wake it.
        let sooner = match (deadline, state.deadline) {
            (Some(new), Some(old)) => new < old,
            (new, _) => new.is_some(),
        };
        state.deadline = deadline;
        self.expired.store(false, Ordering::Relaxed);
        drop(state);
        if sooner {
            self.changed.notify_all();
        }
    }

    /// The watchdog thread: waits for the deadline, then kicks until the run is over.
    fn watch(&self) {
        let mut state = self.lock();
        while !state.over {
            let now = Instant::now();
            let wait = match state.deadline {
                None => Duration::MAX,
                Some(deadline) if now < deadline => deadline - now,
                Some(_) => {
                    self.expired.store(true, Ordering::Relaxed);
                    state.threads.iter().for_each(|&thread| kick(thread));
                    KICK_INTERVAL
                }
            };
            let wait = match state.tick {
                None => wait,
                Some(tick) => {
                    state.threads.iter().for_each(|&thread| kick(thread));
                    wait.min(tick)
                }
            };
            state = match self.changed.wait_timeout(state, wait) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

/// The signal that interrupts `KVM_RUN`. The program uses it for nothing else.
fn kick_signal() -> libc::c_int {
    libc::SIGRTMIN()
}

fn kick(thread: libc::pthread_t) {
    // SAFETY: the thread is registered, and the registration, which the caller's lock holds in
    // place, is dropped by the thread itself: so it is alive.
    unsafe { libc::pthread_kill(thread, kick_signal()) };
}

/// Gives the signal a handler that does nothing, and no automatic restart of system calls.
fn install_handler() -> io::Result<()> {
    extern "C" fn interrupted(_signal: libc::c_int) {}
    // SAFETY: sigaction is a plain C structure, for which all-zero is valid: no flags (so no
    // SA_RESTART), an empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = interrupted as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the action is initialised, and its handler does nothing, which is safe at any
    // point of the program.
    match unsafe { libc::sigaction(kick_signal(), &raw const action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocking_call_is_interrupted_once_the_deadline_has_passed() {
        let watchdog = Watchdog::start(Duration::from_millis(20)).expect("a watchdog");
        assert!(!watchdog.expired());
        let registration = watchdog.watch_this_thread();
        // poll without files and without a time limit returns for a signal only.
        // SAFETY: no file descriptors are passed.
        let outcome = unsafe { libc::poll(std::ptr::null_mut(), 0, -1) };
        let error = io::Error::last_os_error();
        drop(registration);
        assert_eq!((outcome, error.kind()), (-1, io::ErrorKind::Interrupted));
        assert!(watchdog.expired());
    }

    #[test]
    fn a_deadline_that_has_passed_can_be_set_anew_and_a_far_one_brought_near() {
        let watchdog = Watchdog::start(Duration::ZERO).expect("a watchdog");
        while !watchdog.expired() {
            std::thread::yield_now();
        }
        watchdog.set(Duration::MAX);
        assert!(!watchdog.expired());
        watchdog.set(Duration::ZERO);
        while !watchdog.expired() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_pause_stops_the_clock_and_a_tick_does_not_run_it() {
        let watchdog = Watchdog::start(Duration::from_millis(20)).expect("a watchdog");
        let pause = watchdog.pause();
        watchdog.tick(Duration::from_millis(1));
        std::thread::sleep(Duration::from_millis(60));
        assert!(!watchdog.expired());
        drop(pause);
        while !watchdog.expired() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_run_that_is_over_in_time_is_not_disturbed() {
        let watchdog = Watchdog::start(Duration::MAX).expect("a watchdog");
        drop(watchdog.watch_this_thread());
        assert!(!watchdog.expired());
        drop(watchdog);
    }
}
