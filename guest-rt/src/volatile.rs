//! Memory that the host reads or writes while this guest is stopped.
//! The compiler does not know the host, so every access is volatile.

use core::cell::UnsafeCell;

use zerocopy::{FromBytes, IntoBytes};

/// A value that is shared with the host. It can be
/// copied in and out; there is never a reference to it.
#[repr(transparent)]
pub(crate) struct Volatile<T>(UnsafeCell<T>);

// SAFETY: a guest has one CPU, and the host accesses guest memory only while that
// CPU is stopped. No two accesses happen at once. Any bytes are a valid `T`.
unsafe impl<T: Copy + FromBytes + IntoBytes> Sync for Volatile<T> {}

impl<T: Copy + FromBytes + IntoBytes> Volatile<T> {
    /// Creates a shared value.
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Returns a copy of the current value.
    pub(crate) fn get(&self) -> T {
        // SAFETY: the pointer is to a live value, and any bytes from the host are a valid `T`.
        unsafe { self.0.get().read_volatile() }
    }

    /// Replaces the value.
    pub(crate) fn set(&self, value: T) {
        // SAFETY: the pointer is to a live value without another access at this moment (see `Sync`).
        unsafe { self.0.get().write_volatile(value) }
    }
}
