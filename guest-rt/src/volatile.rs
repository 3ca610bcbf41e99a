//! Access to memory that the host reads or writes while this guest is stopped. The compiler
//! does not know of the host, so that every such access is volatile.

use core::cell::UnsafeCell;

/// Reads a record that the host may have written.
///
/// # Safety
///
/// As [`core::ptr::read_volatile`]: `source` must be valid for reads, aligned, and hold a `T`.
pub(crate) unsafe fn read<T: Copy>(source: *const T) -> T {
    // SAFETY: the caller's promise is the one that is asked for.
    unsafe { source.read_volatile() }
}

/// Writes a record that the host will read.
///
/// # Safety
///
/// As [`core::ptr::write_volatile`]: `target` must be valid for writes and aligned.
pub(crate) unsafe fn write<T: Copy>(target: *mut T, value: T) {
    // SAFETY: the caller's promise is the one that is asked for.
    unsafe { target.write_volatile(value) }
}

/// A static that is shared with the host. No reference into it is ever made: it is reached
/// through its address only.
#[repr(transparent)]
pub(crate) struct Shared<T>(UnsafeCell<T>);

// SAFETY: `Shared` gives out nothing but a raw pointer; who dereferences it sees to it that no
// two accesses meet. (The host accesses it only while the guest's one CPU is stopped.)
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// A shared static with this first value.
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The address of the value.
    pub(crate) const fn get(&self) -> *mut T {
        self.0.get()
    }
}
