//! The deadline, and a thread's own alarm: timers that get vCPU threads out of `KVM_RUN`.
//!
//! A signal makes `KVM_RUN` return with `EINTR` (KVM API, 4.10 `KVM_RUN`), but one that arrives
//! between the check of the flag and the call would be lost. So the watchdog sets the flag first
//! and then sends the signal again and again, until the thread has taken its registration back:
//! one of the signals finds the thread inside.

use std::{
    cell::Cell,
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
    /// What the watchdog waits for has changed.
    changed: Condvar,
    /// The deadline has passed.
    expiry: Condvar,
}

#[derive(Default)]
struct State {
    over: bool,
    /// `None` is so far off that the clock does not reach it.
    deadline: Option<Instant>,
    threads: Vec<Watched>,
}

/// A thread that is registered.
struct Watched {
    thread: libc::pthread_t,
    /// When its system calls are to be interrupted, beside the deadline.
    alarm: Option<Instant>,
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
        self.shared.lock().threads.push(Watched { thread, alarm: None });
        Registration { shared: &self.shared, thread, alarm: Cell::new(None) }
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

/// A thread under watch. It must be dropped on the thread that made it, while that still runs.
pub struct Registration<'a> {
    shared: &'a Shared,
    thread: libc::pthread_t,
    /// What the watchdog knows of the thread's alarm.
    alarm: Cell<Option<Instant>>,
}

impl Registration<'_> {
    /// Whether the deadline has passed.
    pub fn expired(&self) -> bool {
        self.shared.expired.load(Ordering::Relaxed)
    }

    /// Has this thread's system calls interrupted from then on, too, until another time is set, or none.
    pub fn set_alarm(&self, alarm: Option<Instant>) {
        if self.alarm.replace(alarm) == alarm {
            return;
        }
        if let Some(watched) = self.shared.lock().threads.iter_mut().find(|it| it.thread == self.thread) {
            watched.alarm = alarm;
        }
        if alarm.is_some() {
            self.shared.changed.notify_all();
        }
    }

    /// Sleeps until then, or until the deadline if that is sooner.
    pub fn sleep_until(&self, then: Instant) {
        let mut state = self.shared.lock();
        while !self.expired() {
            let Some(left) = then.checked_duration_since(Instant::now()) else { return };
            state = match self.shared.expiry.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if let Some(index) = state.threads.iter().position(|it| it.thread == self.thread) {
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

    /// The watchdog thread: waits for the deadline and for alarms, and kicks until it is heard.
    fn watch(&self) {
        let mut state = self.lock();
        while !state.over {
            let now = Instant::now();
            let passed = |time: Option<Instant>| time.is_some_and(|time| time <= now);
            if passed(state.deadline) {
                self.expired.store(true, Ordering::Relaxed);
                self.expiry.notify_all();
            }
            let due = |watched: &&Watched| passed(state.deadline) || passed(watched.alarm);
            state.threads.iter().filter(due).for_each(|watched| kick(watched.thread));
            let times = state.threads.iter().map(|watched| watched.alarm).chain([state.deadline]);
            let wait = times.flatten().min().map_or(Duration::MAX, |time| match time <= now {
                true => KICK_INTERVAL,
                false => time - now,
            });
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
    fn a_blocking_call_is_interrupted_by_the_threads_alarm() {
        let watchdog = Watchdog::start(Duration::MAX).expect("a watchdog");
        let registration = watchdog.watch_this_thread();
        registration.set_alarm(Instant::now().checked_add(Duration::from_millis(20)));
        // SAFETY: no file descriptors are passed.
        let outcome = unsafe { libc::poll(std::ptr::null_mut(), 0, -1) };
        registration.set_alarm(None);
        assert_eq!(outcome, -1);
        assert!(!registration.expired());
    }

    #[test]
    fn a_sleep_ends_at_its_time_or_at_the_deadline() {
        let watchdog = Watchdog::start(Duration::MAX).expect("a watchdog");
        let registration = watchdog.watch_this_thread();
        let then = Instant::now() + Duration::from_millis(5);
        registration.sleep_until(then);
        assert!(Instant::now() >= then && !registration.expired());
        watchdog.set(Duration::from_millis(5));
        registration.sleep_until(then + Duration::from_secs(1_000_000));
        assert!(registration.expired());
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
    fn a_run_that_is_over_in_time_is_not_disturbed() {
        let watchdog = Watchdog::start(Duration::MAX).expect("a watchdog");
        drop(watchdog.watch_this_thread());
        assert!(!watchdog.expired());
        drop(watchdog);
    }
}
