//! Integers in every CPU mode: overflow is a panic, and atomics have up to 64 bits.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
};

static TICKET: AtomicU64 = AtomicU64::new(u64::MAX - 1);

guest_rt::tests! {
    #[should_panic(expected = "attempt to subtract with overflow")]
    fn less_than_nothing_is_a_panic() {
        let count: u32 = black_box(0);
        black_box(count - 1);
    }

    #[should_panic(expected = "attempt to add with overflow")]
    fn an_item_more_than_a_number_can_count_is_a_panic() {
        let count: u32 = black_box(u32::MAX);
        black_box(count + 1);
    }

    #[should_panic(expected = "attempt to multiply with overflow")]
    fn a_product_that_is_too_big_is_a_panic() {
        let size: usize = black_box(usize::MAX);
        black_box(size * 2);
    }

    #[should_panic(expected = "attempt to add with overflow")]
    fn a_sum_that_is_too_big_is_a_panic() {
        let items: [u32; 2] = black_box([u32::MAX, 1]);
        black_box(items.iter().sum::<u32>());
    }

    fn what_may_wrap_wraps() {
        let count: u32 = black_box(0);
        assert_eq!(count.wrapping_sub(1), u32::MAX);
        assert_eq!(count.checked_sub(1), None);
        assert_eq!(count.saturating_sub(1), 0);
    }

    fn an_atomic_has_64_bits() {
        assert_eq!(TICKET.fetch_add(3, Ordering::SeqCst), u64::MAX - 1);
        assert_eq!(TICKET.load(Ordering::Relaxed), 1);
        TICKET.store(1 << 40, Ordering::Release);
        assert_eq!(TICKET.swap(5, Ordering::AcqRel), 1 << 40);
        assert_eq!(TICKET.compare_exchange(6, 7, Ordering::SeqCst, Ordering::SeqCst), Err(5));
        assert_eq!(TICKET.compare_exchange(5, u64::MAX, Ordering::SeqCst, Ordering::SeqCst), Ok(5));
        assert_eq!(TICKET.fetch_and(1 << 63, Ordering::SeqCst), u64::MAX);
        assert_eq!(TICKET.fetch_max(3, Ordering::SeqCst), 1 << 63);
    }
}
