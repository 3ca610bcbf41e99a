//! A heap: `Box`, `Vec`, `String` and all else of the `alloc` crate. With the feature `heap`.
//!
//! ```ignore
//! extern crate alloc;
//!
//! use alloc::vec::Vec;
//!
//! let squares: Vec<u32> = (0..100).map(|n| n * n).collect();
//! ```
//!
//! That is all: with the feature the allocator is there. It is [talc](https://docs.rs/talc), and its memory
//! is all that lies behind the image, which `--memory` sets: about 2 MiB where nothing is said. In real mode
//! it ends at 64 KiB, where 16-bit code ends to reach, and is some KiB only. Use it where the size of things is
//! known at run time only; what is known before lies better in a `static` or on the stack, whose sizes the
//! linker and the guard page check.
//!
//! A guest that asks for more than there is panics, with what it asked for and what there was; to be asked
//! instead, there is `Vec::try_reserve`. Handlers may allocate. No exit, and no cost where the feature is off
//! or nothing is allocated.

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

/// What there is of a heap, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// All of it, the allocator's own account included.
    pub size: usize,
    /// What is taken, by what was asked for.
    pub used: usize,
    /// What is free, though perhaps not in one piece.
    pub free: usize,
}

/// What there is of this guest's heap now. No exit.
pub fn usage() -> Usage {
    let talc = HEAP.ready();
    let counters = talc.counters();
    let (size, used, free) = (counters.claimed_bytes, counters.allocated_bytes, counters.available_bytes);
    Usage { size, used, free }
}

impl Heap {
    /// The allocator, which has its memory.
    fn ready(&self) -> Guard<'_, Talc<Manual, DefaultBinning>> {
        let mut talc = self.talc.lock();
        if !talc.is_metadata_established() {
            let (start, end) = free_memory();
            let memory = core::ptr::with_exposed_provenance_mut(start);
            // SAFETY: it is this guest's memory (guest_abi::layout), and nothing but this heap uses what
            // lies behind the image.
            let _ = unsafe { talc.claim(memory, end.saturating_sub(start)) };
        }
        talc
    }
}

/// Where memory is that nobody uses, as far as this guest's mode reaches: start, and one past the end.
fn free_memory() -> (usize, usize) {
    unsafe extern "C" {
        /// The image's end, which the linker knows.
        safe static __image_end: u8;
    }
    let end = match boot::MODE {
        CpuMode::Real => REAL_MODE_END.min(boot::info().memory),
        _ => boot::info().memory,
    };
    ((&raw const __image_end).addr(), end as usize)
}

// SAFETY: talc hands out memory that is nobody else's, of the size and alignment that were asked for, and
// does not unwind.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the one that is asked for.
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
        // SAFETY: the caller promises that this size is one for that alignment.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: the caller promises that the new size is not 0.
        let new = unsafe { self.alloc(new_layout) };
        if !new.is_null() {
            // SAFETY: both are allocated, apart from each other, and have that size: only what is to grow
            // was not done in place.
            unsafe { core::ptr::copy_nonoverlapping(memory, new, layout.size()) };
            // SAFETY: as in `dealloc`; it is not used any more.
            unsafe { self.dealloc(memory, layout) };
        }
        new
    }
}

/// Called by `alloc` where something is not to be had and the guest has not asked whether it is.
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
