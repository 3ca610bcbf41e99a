//! Memory that the host reads or writes while this guest is stopped. The compiler does not know
//! of the host, so that every access to it is volatile.

use core::cell::UnsafeCell;

use zerocopy::{FromBytes, IntoBytes};

/// A value that is shared with the host. It can be copied in and out, and there is never a
/// reference to it.
#[repr(transparent)]
pub(crate) struct Volatile<T>(UnsafeCell<T>);

// SAFETY: a guest has one CPU, and the host touches guest memory only while that is stopped, so
// that no two accesses happen at once. Any bytes are a `T`.
unsafe impl<T: Copy + FromBytes + IntoBytes> Sync for Volatile<T> {}

impl<T: Copy + FromBytes + IntoBytes> Volatile<T> {
    /// A shared value that begins as this one.
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// A copy of the value as it is now.
    pub(crate) fn get(&self) -> T {
        // SAFETY: the pointer is to a live value, and any bytes that the host wrote are a `T`.
        unsafe { self.0.get().read_volatile() }
    }

    /// Replaces the value.
    pub(crate) fn set(&self, value: T) {
        // SAFETY: the pointer is to a live value that nothing else accesses now (see `Sync`).
        unsafe { self.0.get().write_volatile(value) }
    }
}
