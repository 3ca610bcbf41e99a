//! A heap for `Box`, `Vec`, `String` and the rest of the `alloc` crate. Needs the feature `heap`.
//!
//! ```ignore
//! extern crate alloc;
//!
//! use alloc::vec::Vec;
//!
//! let squares: Vec<u32> = (0..100).map(|n| n * n).collect();
//! ```
//!
//! The feature installs the allocator, [talc](https://docs.rs/talc); no other step is needed.
//! Its memory is all memory behind the image. `--memory` sets the size: about 2 MiB by
//! default. In real mode it ends at 64 KiB, the limit of 16-bit code, and has some KiB only.
//! Use the heap for objects whose size is known at run time only. Other objects belong into a
//! `static` or onto the stack, because the linker and the guard page check those sizes.
//!
//! A failed allocation panics; the message has the requested size and the free
//! size. `Vec::try_reserve` returns an error instead. Handlers may allocate.
//! No exit. A guest without the feature, or without allocations, pays nothing.

use core::alloc::{GlobalAlloc, Layout};

use guest_abi::{layout::REAL_MODE_END, mode::CpuMode};
use talc::{
    base::{Talc, binning::DefaultBinning},
    source::Manual,
};

use crate::{
    boot,
    lock::{Guard, Lock},
};

/// The allocator of a guest with the feature `heap`.
#[cfg_attr(target_os = "none", global_allocator)]
static HEAP: Heap = Heap { talc: Lock::new(Talc::new(Manual)) };

struct Heap {
    talc: Lock<Talc<Manual, DefaultBinning>>,
}

/// The usage of a heap, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The whole heap, including the allocator's own data.
    pub size: usize,
    /// The sum of the requested sizes.
    pub used: usize,
    /// The free bytes, perhaps in several pieces.
    pub free: usize,
}

/// Returns the current usage of this guest's heap. No exit.
pub fn usage() -> Usage {
    let talc = HEAP.ready();
    let counters = talc.counters();
    let (size, used, free) = (counters.claimed_bytes, counters.allocated_bytes, counters.available_bytes);
    Usage { size, used, free }
}

impl Heap {
    /// Locks the allocator, and gives it its memory at the first call.
    fn ready(&self) -> Guard<'_, Talc<Manual, DefaultBinning>> {
        let mut talc = self.talc.lock();
        if !talc.is_metadata_established() {
            let (start, end) = free_memory();
            let memory = core::ptr::with_exposed_provenance_mut(start);
            // SAFETY: this is the guest's memory (guest_abi::layout),
            // and only this heap uses the memory behind the image.
            let _ = unsafe { talc.claim(memory, end.saturating_sub(start)) };
        }
        talc
    }
}

/// Returns the unused memory within the reach of this guest's mode: start, and one past the end.
fn free_memory() -> (usize, usize) {
    unsafe extern "C" {
        /// The end of the image; the linker defines it.
        safe static __image_end: u8;
    }
    let end = match boot::MODE {
        CpuMode::Real => REAL_MODE_END.min(boot::info().memory),
        _ => boot::info().memory,
    };
    ((&raw const __image_end).addr(), end as usize)
}

// SAFETY: talc returns memory that is not in use elsewhere,
// with the requested size and alignment, and does not unwind.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller makes the same promise to `alloc`.
        let memory = unsafe { self.ready().allocate(layout) };
        memory.map_or(core::ptr::null_mut(), |memory| memory.as_ptr())
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        unsafe { self.ready().deallocate(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as in `alloc`.
        if unsafe { self.ready().try_realloc_in_place(memory, layout, new_size) } {
            return memory;
        }
        // SAFETY: the caller promises a size that is valid for this alignment.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: the caller promises that the new size is not 0.
        let new = unsafe { self.alloc(new_layout) };
        if !new.is_null() {
            // SAFETY: both are separate allocations of at least that size: only an
            // allocation that grows gets here, because shrinking succeeds in place.
            unsafe { core::ptr::copy_nonoverlapping(memory, new, layout.size()) };
            // SAFETY: as in `dealloc`; the old memory is not used any more.
            unsafe { self.dealloc(memory, layout) };
        }
        new
    }
}

/// Reports a failed allocation; `alloc` calls it unless the guest used a fallible method.
#[cfg(target_os = "none")]
#[alloc_error_handler]
fn out_of_memory(layout: Layout) -> ! {
    let (asked, Usage { size, free, .. }) = (layout.size(), usage());
    let remedy = match boot::MODE {
        CpuMode::Real => "in real mode it ends at 64 KiB: run the guest in another",
        _ => "give the guest more with --memory",
    };
    panic!("out of memory: {asked} bytes were asked for; the heap has {size}, {free} of them free; {remedy}");
}
