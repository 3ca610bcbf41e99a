//! Deadlines, of a run and of each turn, and a thread's own alarm: timers that get vCPU threads out of `KVM_RUN`.
//!
//! A signal makes `KVM_RUN` return with `EINTR` (KVM API, 4.10 `KVM_RUN`), but one that arrives
//! between the check of the flag and the call would be lost. So the watchdog sets the flag first
//! and then sends the signal again and again, until the thread has taken its registration back:
//! one of the signals finds the thread inside. An interruption of the process comes the same way.

use std::{
    cell::Cell,
    io,
    mem::MaybeUninit,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::process::{
    jail::{self, Jail},
    signals::{self, Signal},
};

/// How often threads are signalled once their time is up.
const KICK_INTERVAL: Duration = Duration::from_millis(2);

/// The watchdogs of this process, for an interruption: like signals, they are the process's.
static RUNNING: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// Has all watchdogs look whether the process is interrupted; whether there is one.
pub fn wake_all() -> bool {
    let running: Vec<_> = lock(&RUNNING).iter().filter_map(Weak::upgrade).collect();
    for shared in &running {
        // With the lock, so that none is between its look and its sleep.
        let _state = lock(&shared.state);
        shared.changed.notify_all();
    }
    !running.is_empty()
}

/// Why a thread's time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// The process was interrupted.
    Interrupted(Signal),
    /// The run's deadline passed, or the run was stopped.
    Run,
    /// The deadline of the thread's registration passed: its turn's.
    Turn,
}

/// The watchdog of one run. Dropping it ends its thread.
pub struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Whether the run's time is up.
    expired: AtomicBool,
    state: Mutex<State>,
    /// What the watchdog waits for has changed.
    changed: Condvar,
    /// A thread's time is up.
    expiry: Condvar,
}

#[derive(Default)]
struct State {
    /// Whether the watchdog is to end.
    over: bool,
    stopped: bool,
    /// The run's deadline. `None` is so far off that the clock does not reach it.
    deadline: Option<Instant>,
    threads: Vec<Watched>,
    /// When the watchdog looks at the clock again; `None` is not of its own accord.
    wakes: Option<Instant>,
}

/// The watchdog's side of a registration.
struct Watched {
    thread: libc::pthread_t,
    /// The registration's own deadline.
    deadline: Option<Instant>,
    /// Whether that has passed.
    expired: Arc<AtomicBool>,
    /// When its system calls are to be interrupted, beside that.
    alarm: Option<Instant>,
}

impl Watchdog {
    /// Starts a watchdog that expires after `timeout`.
    ///
    /// # Errors
    ///
    /// The system gave no thread or no signal handler.
    pub fn start(timeout: Duration) -> io::Result<Self> {
        Self::start_in(&Jail::Open, timeout)
    }

    /// The same, with its thread in the jail.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); or the jail cannot be entered.
    pub fn start_in(jail: &Jail, timeout: Duration) -> io::Result<Self> {
        install_handler()?;
        let shared = Arc::new(Shared::default());
        shared.set(timeout);
        lock(&RUNNING).push(Arc::downgrade(&shared));
        let watching = Arc::clone(&shared);
        let thread = jail::spawn(jail, jail::Thread::Watchdog, move || watching.watch())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Sets the run's deadline anew, to `timeout` from now, whether it has passed or not.
    pub fn set(&self, timeout: Duration) {
        self.shared.set(timeout);
    }

    /// Has the run expire now, or, with `false`, at its deadline again.
    pub fn stop(&self, stopped: bool) {
        let mut state = lock(&self.shared.state);
        state.stopped = stopped;
        self.shared.expired.store(state.is_over(Instant::now()), Ordering::Relaxed);
        self.shared.changed.notify_all();
    }

    /// Registers the calling thread, with a deadline of its own if it is to have one: once that or the
    /// run's has passed, its system calls are interrupted until the registration is dropped. The thread
    /// must check [`expiry`](Registration::expiry) whenever it is interrupted, and before each `KVM_RUN`.
    pub fn watch_this_thread(&self, timeout: Option<Duration>) -> Registration<'_> {
        // SAFETY: pthread_self has no preconditions.
        let thread = unsafe { libc::pthread_self() };
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let expired = Arc::new(AtomicBool::new(false));
        let alarm = Cell::new(None);
        let registration = Registration { shared: &self.shared, expired: Arc::clone(&expired), alarm };
        let mut state = lock(&self.shared.state);
        state.threads.push(Watched { thread, deadline, expired, alarm: None });
        // A thread whose time is up before it begins is to be kicked as well.
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
            // The thread has nothing to report; should it have panicked, its message is out.
            let _ = thread.join();
        }
    }
}

/// A thread under watch. It must be dropped on the thread that made it, while that still runs.
pub struct Registration<'a> {
    shared: &'a Shared,
    /// Whether its own deadline has passed.
    expired: Arc<AtomicBool>,
    /// What the watchdog knows of the thread's alarm.
    alarm: Cell<Option<Instant>>,
}

impl Registration<'_> {
    /// Has this thread's system calls interrupted from then on, too, until another time is set, or none.
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

    /// Stops the clock until the pause is dropped: the run's deadline and this thread's are put off by as
    /// long as it lasts. The thread has no alarm then.
    pub fn pause(&self) -> Pause<'_> {
        self.set_alarm(None);
        let now = Instant::now();
        let left = |deadline: &mut Option<Instant>| Some(deadline.take()?.saturating_duration_since(now));
        let mut state = lock(&self.shared.state);
        let run = left(&mut state.deadline);
        let own = state.threads.iter_mut().find(|it| self.is_of(it)).and_then(|it| left(&mut it.deadline));
        Pause { registration: self, run, own }
    }

    /// Sleeps until then, or until this thread's time is up if that is sooner.
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

    /// Whether the thread's time is up, and why.
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

/// A clock that stands still, with the time that is left of the run and of the thread's turn.
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

/// What a mutex of this module holds is whole at every point at which a thread could panic.
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

    /// The watchdog thread: waits for the next deadline, and kicks whoever's time is up.
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

    /// Kicks the threads whose time is up; whether there are any.
    fn kick(&self, state: &State, now: Instant) -> bool {
        let expired = state.is_over(now);
        self.expired.store(expired, Ordering::Relaxed);
        let all = expired || signals::signal().is_some();
        let mut kicked = false;
        for watched in &state.threads {
            let own = has_passed(watched.deadline, now);
            watched.expired.store(own, Ordering::Relaxed);
            if all || own || has_passed(watched.alarm, now) {
                kick(watched.thread);
                kicked = true;
            }
        }
        self.expiry.notify_all();
        kicked
    }
}

impl State {
    /// Whether the run's time is up.
    fn is_over(&self, now: Instant) -> bool {
        self.stopped || has_passed(self.deadline, now)
    }

    /// The first deadline or alarm after `now`.
    fn next(&self, now: Instant) -> Option<Instant> {
        let own = self.threads.iter().flat_map(|watched| [watched.deadline, watched.alarm]).flatten();
        own.chain(self.deadline).filter(|&deadline| deadline > now).min()
    }

    /// Whether a new deadline is before the watchdog's next look, so that it must be woken.
    fn is_sooner(&mut self, deadline: Option<Instant>) -> bool {
        let sooner = deadline.is_some_and(|new| self.wakes.is_none_or(|wakes| new < wakes));
        if sooner {
            self.wakes = deadline;
        }
        sooner
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
