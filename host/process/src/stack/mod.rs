//! The stack of the calling thread. `ulimit -s` and `RUST_MIN_STACK` can make it smaller than usual.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
use linux::find;
#[cfg(target_os = "macos")]
use macos::find;
#[cfg(windows)]
use windows::find;

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
