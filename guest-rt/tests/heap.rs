//! The heap: it grows, frees memory, and reports that it is full.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::{boxed::Box, collections::VecDeque, string::String, vec::Vec};
use core::hint::black_box;

use guest_rt::heap;

/// More than the heap of any guest here.
const TOO_MUCH: usize = 1 << 24;

guest_rt::tests! {
    fn collections_hold_what_was_put_in() {
        let mut queue: VecDeque<u32> = (0..50).collect();
        queue.rotate_left(7);
        assert!(queue.iter().copied().eq((7..50).chain(0..7)));
        let text: String = ["heap", "of", "words"].concat();
        assert!(text == "heapofwords");
    }

    fn a_vector_that_grows_keeps_its_content() {
        let mut numbers = Vec::new();
        (0..1000_u32).for_each(|n| numbers.push(n));
        assert!(numbers.iter().copied().eq(0..1000));
    }

    fn alignment_is_kept() {
        #[repr(align(64))]
        struct Aligned(u8);
        let all: Vec<Box<Aligned>> = (0..8).map(|n| Box::new(Aligned(n))).collect();
        for (n, one) in (0..).zip(&all) {
            assert_eq!((&raw const **one).addr() % 64, 0);
            assert_eq!(one.0, n);
        }
    }

    fn what_is_freed_can_be_had_again() {
        let before = heap::usage();
        let half = before.free / 2;
        for _ in 0..20 {
            // The third one fits only if the memory of an earlier one was freed.
            black_box(Vec::<u8>::with_capacity(half));
        }
        assert!(heap::usage() == before);
    }

    fn usage_counts_what_was_asked_for() {
        let before = heap::usage();
        let memory = black_box(Vec::<u8>::with_capacity(1000));
        let during = heap::usage();
        assert_eq!(during.used, before.used + 1000);
        assert!(during.free + 1000 <= before.free && during.size == before.size);
        drop(memory);
        assert_eq!(heap::usage().used, before.used);
    }

    fn the_heap_is_all_that_lies_behind_the_image() {
        let heap::Usage { size, .. } = heap::usage();
        let memory = guest_rt::boot::info().memory as usize;
        match guest_rt::boot::MODE {
            guest_rt::abi::mode::CpuMode::Real => assert!((4 << 10..64 << 10).contains(&size), "{size}"),
            _ => assert!(size > memory - (256 << 10) && size < memory, "{size} of {memory}"),
        }
    }

    fn who_asks_first_is_told_that_there_is_too_little() {
        let mut memory = Vec::<u8>::new();
        assert!(memory.try_reserve(TOO_MUCH).is_err());
        assert!(memory.try_reserve(100).is_ok());
    }

    #[should_panic(expected = "out of memory: 16777216 bytes were asked for; the heap has ")]
    fn to_ask_for_too_much_is_a_panic() {
        black_box(Vec::<u8>::with_capacity(TOO_MUCH));
    }

    #[should_panic(expected = "out of memory: ")]
    fn to_ask_too_often_is_a_panic() {
        let mut all = Vec::new();
        loop {
            all.push(Box::new([0_u8; 1000]));
            black_box(&all);
        }
    }
}
