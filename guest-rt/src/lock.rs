//! A lock for what a guest shares with its [handlers](crate::traps): a `spin` lock that keeps
//! interrupts off as long as it is held.
//!
//! ```ignore
//! static QUEUE: Lock<Queue> = Lock::new(Queue::new());
//!
//! traps::set_handler(Vector::Timer, |_| QUEUE.lock().push(1));
//! interrupts::enable();
//! QUEUE.lock().push(2);
//! ```
//!
//! A guest has one CPU: a handler that waited for a lock of the code that it interrupted would wait for
//! ever. So a lock turns interrupts off while it is held, and back to what they were when the last one that
//! is held is released, in whatever order. What can still find a lock held, a value's own method or the handler
//! of an exception, is told so by a panic instead of a hang. For a flag or a number an atomic is enough,
//! and for a `static` that is never written none is needed. No exit.
//!
//! Crates that are built on [`critical-section`](https://docs.rs/critical-section) find one here: it keeps interrupts
//! off as a lock does.

use core::{
    marker::PhantomData,
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use spin::mutex::{SpinMutex, SpinMutexGuard};

use crate::interrupts;

/// A value behind a lock that is safe against interrupts.
pub struct Lock<T: ?Sized> {
    value: SpinMutex<T>,
}

impl<T> Lock<T> {
    /// A value behind a lock that nobody holds.
    pub const fn new(value: T) -> Self {
        Self { value: SpinMutex::new(value) }
    }
}

impl<T: ?Sized> Lock<T> {
    /// Takes the lock, and turns interrupts off until it is released.
    ///
    /// # Panics
    ///
    /// If it is held already. There is one CPU: who holds it does so below on the same stack, and would
    /// never release it.
    #[track_caller]
    pub fn lock(&self) -> Guard<'_, T> {
        self.try_lock().expect("this lock is held already, by what was called or interrupted here")
    }

    /// Takes the lock if it is not held, and turns interrupts off until it is released.
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        let quiet = Quiet::begin();
        let value = self.value.try_lock()?;
        Some(Guard { value, _quiet: quiet })
    }
}

/// A lock that is held: the value, until this is dropped.
pub struct Guard<'a, T: ?Sized> {
    // Fields are dropped in this order: the lock is released before interrupts can come.
    value: SpinMutexGuard<'a, T>,
    _quiet: Quiet,
}

impl<T: ?Sized> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: ?Sized> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// The number of locks that are held.
static HELD: AtomicU32 = AtomicU32::new(0);

/// Whether interrupts could come before the first of them was taken.
static ENABLED: AtomicBool = AtomicBool::new(false);

/// A time in which no interrupt comes; such times may overlap.
struct Quiet {
    /// Not to be sent elsewhere: it is about this CPU.
    _local: PhantomData<*const ()>,
}

impl Quiet {
    fn begin() -> Self {
        let enabled = interrupts::are_enabled();
        interrupts::disable();
        // From here on nothing comes between, so that plain loads and stores will do.
        let held = HELD.load(Ordering::Relaxed);
        if held == 0 {
            ENABLED.store(enabled, Ordering::Relaxed);
        }
        HELD.store(held + 1, Ordering::Relaxed);
        Self { _local: PhantomData }
    }
}

impl Quiet {
    /// Ends the time of one that was begun.
    fn end() {
        let held = HELD.load(Ordering::Relaxed) - 1;
        HELD.store(held, Ordering::Relaxed);
        if held == 0 && ENABLED.load(Ordering::Relaxed) {
            interrupts::enable();
        }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        Self::end();
    }
}

/// What crates over `critical-section` call.
#[cfg(target_os = "none")]
mod critical {
    use critical_section::{Impl, RawRestoreState, set_impl};

    use super::Quiet;

    /// The critical sections of other crates. They count as locks do, so that the two may overlap: a lock that
    /// outlives the section in which it was taken still keeps interrupts off.
    struct CriticalSection;

    set_impl!(CriticalSection);

    // SAFETY: between the two no interrupt comes, and there is one CPU. Sections may lie within each other, and
    // interrupts come again after the last.
    unsafe impl Impl for CriticalSection {
        unsafe fn acquire() -> RawRestoreState {
            core::mem::forget(Quiet::begin());
            // What is restored stands beside the count. Which type this is, features of other crates may say.
            RawRestoreState::default()
        }

        unsafe fn release(_: RawRestoreState) {
            Quiet::end();
        }
    }
}
