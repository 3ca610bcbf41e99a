//! The stack of the calling thread. `ulimit -s` and `RUST_MIN_STACK` can make it smaller than usual.

use std::{mem::MaybeUninit, ptr};

thread_local! {
    /// The lowest address of this thread's stack.
    static LOWEST: Option<usize> = find();
}

/// Returns the lowest address of the calling thread's stack, if the system knows it.
///
/// The first call reads a file, so a thread must make it before it enters the jail.
pub fn lowest() -> Option<usize> {
    LOWEST.with(|lowest| *lowest)
}

/// Returns the approximate value of the stack pointer.
pub fn pointer() -> usize {
    let here = 0_u8;
    (&raw const here).addr()
}

fn find() -> Option<usize> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: it has no preconditions.
    let thread = unsafe { libc::pthread_self() };
    // SAFETY: the thread is this one, and the pointer is to room for its attributes.
    if unsafe { libc::pthread_getattr_np(thread, attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    let (mut lowest, mut size) = (ptr::null_mut(), 0);
    // SAFETY: the attributes have been filled, and the pointers are to a pointer and a number.
    let found = unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut lowest, &raw mut size) };
    // SAFETY: the attributes have been filled, and are not used any more.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    (found == 0).then(|| lowest.addr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_is_no_smaller_than_it_was_made() {
        for size in [256 << 10, 4 << 20] {
            let thread = std::thread::Builder::new().stack_size(size);
            let left = thread.spawn(|| pointer() - lowest().expect("known")).expect("a thread");
            let left = left.join().expect("it ends");
            // The library may give a thread the stack of one that has ended.
            assert!((size / 2..64 << 20).contains(&left), "{left} of {size}");
        }
    }
}
