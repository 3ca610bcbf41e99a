//! A lock for data that a guest shares with its [handlers](crate::traps):
//! a `spin` lock that disables interrupts while it is held.
//!
//! ```ignore
//! static QUEUE: Lock<Queue> = Lock::new(Queue::new());
//!
//! traps::set_handler(Vector::Timer, |_| QUEUE.lock().push(1));
//! interrupts::enable();
//! QUEUE.lock().push(2);
//! ```
//!
//! A guest has one CPU. If a handler waited for a lock of the code that it interrupted, it would
//! wait for ever. A lock therefore disables interrupts while it is held. When the last lock is
//! released, in any order, interrupts return to their former state. A value's own method or the
//! handler of an exception can still find a lock held; it then panics instead of hanging. For a flag
//! or a number an atomic is enough, and a `static` that is never written needs no lock. No exit.
//!
//! Crates that use [`critical-section`](https://docs.rs/critical-section)
//! get an implementation here: it disables interrupts like a lock.

use core::{
    marker::PhantomData,
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use spin::mutex::{SpinMutex, SpinMutexGuard};

use crate::interrupts;

/// A value behind a lock that interrupt handlers can share.
pub struct Lock<T: ?Sized> {
    value: SpinMutex<T>,
}

impl<T> Lock<T> {
    /// Creates a lock that is not held.
    pub const fn new(value: T) -> Self {
        Self { value: SpinMutex::new(value) }
    }
}

impl<T: ?Sized> Lock<T> {
    /// Takes the lock, and disables interrupts until it is released.
    ///
    /// # Panics
    ///
    /// If the lock is already held. There is one CPU, so the holder
    /// is below on the same stack and would never release it.
    #[track_caller]
    pub fn lock(&self) -> Guard<'_, T> {
        self.try_lock().expect("this lock is held already, by what was called or interrupted here")
    }

    /// Takes the lock if it is not held, and disables interrupts until it is released.
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        let quiet = Quiet::begin();
        let value = self.value.try_lock()?;
        Some(Guard { value, _quiet: quiet })
    }
}

/// A held lock; it gives access to the value until it is dropped.
pub struct Guard<'a, T: ?Sized> {
    // Fields are dropped in this order: the lock must be released before interrupts are enabled.
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

/// True if interrupts were enabled before the first lock was taken.
static ENABLED: AtomicBool = AtomicBool::new(false);

/// A period without interrupts; such periods may overlap.
struct Quiet {
    /// Makes the type `!Send`: it describes this CPU.
    _local: PhantomData<*const ()>,
}

impl Quiet {
    fn begin() -> Self {
        let enabled = interrupts::are_enabled();
        interrupts::disable();
        // Interrupts are off from here on, so plain loads and stores are enough.
        let held = HELD.load(Ordering::Relaxed);
        if held == 0 {
            ENABLED.store(enabled, Ordering::Relaxed);
        }
        HELD.store(held + 1, Ordering::Relaxed);
        Self { _local: PhantomData }
    }
}

impl Quiet {
    /// Ends one such period.
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

/// The implementation for the crate `critical-section`.
#[cfg(target_os = "none")]
mod critical {
    use critical_section::{Impl, RawRestoreState, set_impl};

    use super::Quiet;

    /// The critical sections of other crates. They count like locks, so that both may overlap:
    /// a lock that outlives the section in which it was taken still keeps interrupts off.
    struct CriticalSection;

    set_impl!(CriticalSection);

    // SAFETY: no interrupt comes between the two functions, and there is one
    // CPU. Sections may nest; the end of the last one enables interrupts.
    unsafe impl Impl for CriticalSection {
        unsafe fn acquire() -> RawRestoreState {
            core::mem::forget(Quiet::begin());
            // `ENABLED` holds the state to restore, so this value is unused. Features of other crates may choose its type.
            RawRestoreState::default()
        }

        unsafe fn release(_: RawRestoreState) {
            Quiet::end();
        }
    }
}
