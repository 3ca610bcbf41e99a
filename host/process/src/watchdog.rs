//! Deadlines of the work and of single threads, and alarms of threads: timers that interrupt system calls.
//!
//! An interruption (`kick`: on Unix a signal) makes a blocking system call return early, but it has no effect if it
//! arrives between a thread's check of the flag and the call. Therefore the watchdog sets the flag first, and then
//! interrupts repeatedly until the thread drops its registration. One of the interruptions arrives during the call. An
//! interruption of the process (SIGINT) reaches threads in the same way.

use std::{
    cell::Cell,
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::{
    jail::{self, Jail},
    kick::{self, Target},
    signals::{self, Signal},
};

/// The time between two signals to a thread whose time is up.
const KICK_INTERVAL: Duration = Duration::from_millis(2);

/// The watchdogs of this process, for an interruption. The list is global, as signals are.
static RUNNING: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// Makes all watchdogs check whether the process is interrupted. Returns true if there is a watchdog.
fn wake_all() -> bool {
    let running: Vec<_> = lock(&RUNNING).iter().filter_map(Weak::upgrade).collect();
    for shared in &running {
        // The lock is held, so that the watchdog is not between its check and its sleep.
        let _state = lock(&shared.state);
        shared.changed.notify_all();
    }
    !running.is_empty()
}

/// The reason why a thread's time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// The process was interrupted.
    Interrupted(Signal),
    /// The deadline of the whole work passed, or the work was stopped.
    Run,
    /// The deadline of the thread's own registration passed.
    Turn,
}

/// The watchdog of one run of the work. Dropping it ends its thread.
pub struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// True if the run's time is up.
    expired: AtomicBool,
    state: Mutex<State>,
    /// Notified when the watchdog must read the state again.
    changed: Condvar,
    /// Notified when a thread's time may be up.
    expiry: Condvar,
}

#[derive(Default)]
struct State {
    /// True if the watchdog's thread must end.
    over: bool,
    stopped: bool,
    /// The run's deadline. `None` is beyond the range of the clock.
    deadline: Option<Instant>,
    threads: Vec<Watched>,
    /// The time at which the watchdog reads the clock again. `None` is never, unless it is notified.
    wakes: Option<Instant>,
}

/// The watchdog's side of a registration.
struct Watched {
    thread: Target,
    /// The registration's own deadline.
    deadline: Option<Instant>,
    /// True if that deadline has passed.
    expired: Arc<AtomicBool>,
    /// Another time from which its system calls are interrupted.
    alarm: Option<Instant>,
}

impl Watchdog {
    /// Starts a watchdog that expires after `timeout`.
    ///
    /// # Errors
    ///
    /// The system did not start a thread or install a signal handler.
    pub fn start(timeout: Duration) -> io::Result<Self> {
        Self::start_in(&Jail::Open, timeout)
    }

    /// Starts a watchdog whose thread is in the jail.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), or the system refused the jail.
    pub fn start_in(jail: &Jail, timeout: Duration) -> io::Result<Self> {
        kick::prepare()?;
        signals::on_signal(wake_all);
        let shared = Arc::new(Shared::default());
        shared.set(timeout);
        lock(&RUNNING).push(Arc::downgrade(&shared));
        let watching = Arc::clone(&shared);
        let thread = jail::spawn(jail, jail::Thread::Watchdog, move || watching.watch())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Sets the run's deadline to `timeout` from now, even if it has passed.
    pub fn set(&self, timeout: Duration) {
        self.shared.set(timeout);
    }

    /// Makes the run expire now, or, with `false`, at its deadline again.
    pub fn stop(&self, stopped: bool) {
        let mut state = lock(&self.shared.state);
        state.stopped = stopped;
        self.shared.expired.store(state.is_over(Instant::now()), Ordering::Relaxed);
        self.shared.changed.notify_all();
    }

    /// Registers the calling thread, perhaps with a deadline of its own. When that deadline or the run's has passed,
    /// the watchdog interrupts its system calls until the registration is dropped. The thread must check
    /// [`expiry`](Registration::expiry) after each interruption, and before each blocking call.
    pub fn watch_this_thread(&self, timeout: Option<Duration>) -> Registration<'_> {
        let thread = Target::this_thread();
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let expired = Arc::new(AtomicBool::new(false));
        let alarm = Cell::new(None);
        let registration = Registration { shared: &self.shared, expired: Arc::clone(&expired), alarm };
        let mut state = lock(&self.shared.state);
        state.threads.push(Watched { thread, deadline, expired, alarm: None });
        // The time of a thread can be up before it begins.
        if registration.expiry().is_some() || state.is_sooner(deadline) {
            self.shared.changed.notify_all();
        }
        drop(state);
        registration
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let own = Arc::as_ptr(&self.shared);
        lock(&RUNNING).retain(|other| other.strong_count() > 0 && other.as_ptr() != own);
        lock(&self.shared.state).over = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // The thread returns nothing. If it has panicked, its message is already written.
            let _ = thread.join();
        }
    }
}

/// A thread under watch. The thread that made the registration must drop it before it ends.
pub struct Registration<'a> {
    shared: &'a Shared,
    /// True if its own deadline has passed.
    expired: Arc<AtomicBool>,
    /// The alarm that the watchdog has for this thread.
    alarm: Cell<Option<Instant>>,
}

impl Registration<'_> {
    /// Sets the alarm: the watchdog also interrupts this thread's system calls from then on, until another time or
    /// `None` is set.
    pub fn set_alarm(&self, alarm: Option<Instant>) {
        if self.alarm.replace(alarm) == alarm {
            return;
        }
        let mut state = lock(&self.shared.state);
        if let Some(watched) = state.threads.iter_mut().find(|it| self.is_of(it)) {
            watched.alarm = alarm;
        }
        if state.is_sooner(alarm) {
            self.shared.changed.notify_all();
        }
    }

    /// Stops the clock until the pause is dropped. The run's deadline and this thread's move by the length of the
    /// pause. The pause removes the thread's alarm.
    pub fn pause(&self) -> Pause<'_> {
        self.set_alarm(None);
        let now = Instant::now();
        let left = |deadline: &mut Option<Instant>| Some(deadline.take()?.saturating_duration_since(now));
        let mut state = lock(&self.shared.state);
        let run = left(&mut state.deadline);
        let own = state.threads.iter_mut().find(|it| self.is_of(it)).and_then(|it| left(&mut it.deadline));
        Pause { registration: self, run, own }
    }

    /// Sleeps until `then`, or until this thread's time is up if that is earlier.
    pub fn sleep_until(&self, then: Instant) {
        let mut state = lock(&self.shared.state);
        while self.expiry().is_none() {
            let Some(left) = then.checked_duration_since(Instant::now()) else { return };
            state = match self.shared.expiry.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    fn is_of(&self, watched: &Watched) -> bool {
        Arc::ptr_eq(&watched.expired, &self.expired)
    }

    /// Returns the reason why the thread's time is up, or `None` if it is not.
    pub fn expiry(&self) -> Option<Expiry> {
        match signals::signal() {
            Some(signal) => Some(Expiry::Interrupted(signal)),
            None if self.shared.expired.load(Ordering::Relaxed) => Some(Expiry::Run),
            None if self.expired.load(Ordering::Relaxed) => Some(Expiry::Turn),
            None => None,
        }
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        if let Some(index) = state.threads.iter().position(|it| self.is_of(it)) {
            state.threads.swap_remove(index);
        }
    }
}

/// A stopped clock, with the remaining time of the run and of the thread.
pub struct Pause<'a> {
    registration: &'a Registration<'a>,
    run: Option<Duration>,
    own: Option<Duration>,
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        let Registration { shared, .. } = self.registration;
        let now = Instant::now();
        let [run, own] = [self.run, self.own].map(|left| left.and_then(|left| now.checked_add(left)));
        let mut state = lock(&shared.state);
        state.deadline = run;
        if let Some(watched) = state.threads.iter_mut().find(|it| self.registration.is_of(it)) {
            watched.deadline = own;
        }
        let sooner = [run, own].map(|deadline| state.is_sooner(deadline));
        if sooner.contains(&true) {
            shared.changed.notify_all();
        }
    }
}

fn has_passed(deadline: Option<Instant>, now: Instant) -> bool {
    deadline.is_some_and(|deadline| deadline <= now)
}

/// Locks a mutex, even after a panic: the values in this module's mutexes are valid at every point of a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn set(&self, timeout: Duration) {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = lock(&self.state);
        state.deadline = deadline;
        state.stopped = false;
        self.expired.store(false, Ordering::Relaxed);
        if state.is_sooner(deadline) {
            self.changed.notify_all();
        }
    }

    /// Runs the watchdog's thread: waits for the next deadline, and signals the threads whose time is up.
    fn watch(&self) {
        let mut state = lock(&self.state);
        while !state.over {
            let now = Instant::now();
            let kicked = self.kick(&state, now);
            state.wakes = if kicked { now.checked_add(KICK_INTERVAL) } else { state.next(now) };
            let wait = state.wakes.map_or(Duration::MAX, |wakes| wakes - now);
            state = match self.changed.wait_timeout(state, wait) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Signals the threads whose time is up. Returns true if there are any.
    fn kick(&self, state: &State, now: Instant) -> bool {
        let expired = state.is_over(now);
        self.expired.store(expired, Ordering::Relaxed);
        let all = expired || signals::signal().is_some();
        let mut kicked = false;
        for watched in &state.threads {
            let own = has_passed(watched.deadline, now);
            watched.expired.store(own, Ordering::Relaxed);
            if all || own || has_passed(watched.alarm, now) {
                watched.thread.interrupt();
                kicked = true;
            }
        }
        self.expiry.notify_all();
        kicked
    }
}

impl State {
    /// Returns true if the run's time is up.
    fn is_over(&self, now: Instant) -> bool {
        self.stopped || has_passed(self.deadline, now)
    }

    /// Returns the first deadline or alarm after `now`.
    fn next(&self, now: Instant) -> Option<Instant> {
        let own = self.threads.iter().flat_map(|watched| [watched.deadline, watched.alarm]).flatten();
        own.chain(self.deadline).filter(|&deadline| deadline > now).min()
    }

    /// Returns true if a new deadline is before the watchdog's next check, so that it must be notified.
    fn is_sooner(&mut self, deadline: Option<Instant>) -> bool {
        let sooner = deadline.is_some_and(|new| self.wakes.is_none_or(|wakes| new < wakes));
        if sooner {
            self.wakes = deadline;
        }
        sooner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits for a signal, and says why it came.
    fn wait(registration: &Registration<'_>) -> Option<Expiry> {
        // poll without files and without a time limit returns for a signal only.
        // SAFETY: no file descriptors are passed.
        let outcome = unsafe { libc::poll(std::ptr::null_mut(), 0, -1) };
        assert_eq!((outcome, io::Error::last_os_error().kind()), (-1, io::ErrorKind::Interrupted));
        registration.expiry()
    }

    #[test]
    fn a_blocking_call_is_interrupted_once_the_deadline_has_passed() {
        let watchdog = Watchdog::start(Duration::from_millis(20)).expect("a watchdog");
        let registration = watchdog.watch_this_thread(None);
        assert_eq!(wait(&registration), Some(Expiry::Run));
        drop(registration);
        // Whoever comes too late is kicked as well.
        assert_eq!(wait(&watchdog.watch_this_thread(Some(Duration::MAX))), Some(Expiry::Run));
    }

    #[test]
    fn a_registrations_own_deadline_is_its_own() {
        let watchdog = Watchdog::start(Duration::MAX).expect("a watchdog");
        let other = watchdog.watch_this_thread(Some(Duration::from_secs(600)));
        for _ in 0..3 {
            let registration = watchdog.watch_this_thread(Some(Duration::from_millis(5)));
            assert_eq!((wait(&registration), other.expiry()), (Some(Expiry::Turn), None));
        }
    }

    #[test]
    fn a_deadline_goes_with_its_registration() {
        let watchdog = Watchdog::start(Duration::MAX).expect("a watchdog");
        let short = Duration::from_millis(20);
        drop(watchdog.watch_this_thread(Some(short)));
        let next = watchdog.watch_this_thread(Some(Duration::from_secs(600)));
        std::thread::sleep(5 * short);
        assert_eq!(next.expiry(), None);
    }

    #[test]
    fn a_blocking_call_is_interrupted_by_the_threads_alarm() {
        let watchdog = Watchdog::start(Duration::MAX).expect("a watchdog");
        let registration = watchdog.watch_this_thread(None);
        registration.set_alarm(Instant::now().checked_add(Duration::from_millis(20)));
        // SAFETY: no file descriptors are passed.
        let outcome = unsafe { libc::poll(std::ptr::null_mut(), 0, -1) };
        registration.set_alarm(None);
        assert_eq!(outcome, -1);
        assert_eq!(registration.expiry(), None);
    }

    #[test]
    fn a_sleep_ends_at_its_time_or_at_the_deadline() {
        let watchdog = Watchdog::start(Duration::MAX).expect("a watchdog");
        let registration = watchdog.watch_this_thread(None);
        let then = Instant::now() + Duration::from_millis(5);
        registration.sleep_until(then);
        assert!(Instant::now() >= then && registration.expiry().is_none());
        watchdog.set(Duration::from_millis(5));
        registration.sleep_until(then + Duration::from_secs(1_000_000));
        assert_eq!(registration.expiry(), Some(Expiry::Run));
    }

    #[test]
    fn a_deadline_that_has_passed_can_be_set_anew_and_a_far_one_brought_near() {
        let watchdog = Watchdog::start(Duration::ZERO).expect("a watchdog");
        let registration = watchdog.watch_this_thread(None);
        assert_eq!(wait(&registration), Some(Expiry::Run));
        watchdog.set(Duration::MAX);
        assert_eq!(registration.expiry(), None);
        watchdog.set(Duration::ZERO);
        assert_eq!(wait(&registration), Some(Expiry::Run));
    }

    #[test]
    fn a_run_can_be_stopped_and_go_on() {
        let watchdog = Watchdog::start(Duration::MAX).expect("a watchdog");
        let registration = watchdog.watch_this_thread(None);
        watchdog.stop(true);
        assert_eq!(wait(&registration), Some(Expiry::Run));
        watchdog.stop(false);
        assert_eq!(registration.expiry(), None);
        watchdog.set(Duration::ZERO);
        watchdog.stop(false);
        assert_eq!(registration.expiry(), Some(Expiry::Run), "a deadline that has passed stays so");
    }

    #[test]
    fn a_pause_stops_the_clocks_of_the_run_and_of_the_turn() {
        let (long, short) = (Duration::from_secs(600), Duration::from_millis(20));
        for (run, turn, expiry) in [(short, long, Expiry::Run), (long, short, Expiry::Turn)] {
            let watchdog = Watchdog::start(run).expect("a watchdog");
            let registration = watchdog.watch_this_thread(Some(turn));
            let pause = registration.pause();
            std::thread::sleep(3 * short);
            assert_eq!(registration.expiry(), None);
            drop(pause);
            assert_eq!(wait(&registration), Some(expiry));
        }
    }

    #[test]
    fn a_run_that_is_over_in_time_is_not_disturbed() {
        let watchdog = Watchdog::start(Duration::MAX).expect("a watchdog");
        assert_eq!(watchdog.watch_this_thread(None).expiry(), None);
    }
}
