//! What guests share with a handler: lock, heap, console, mailbox. The timer's interrupt may come between any two
//! instructions; `explore --interrupts` tries each place.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::{boxed::Box, vec::Vec};
use core::sync::atomic::{AtomicU32, Ordering};

use guest_rt::{
    interrupts,
    lock::Lock,
    mailbox::Mailbox,
    print, println, timer,
    traps::{self, Vector},
};

/// Later than any of these tests ends.
const LATER_IN_MICROSECONDS: u32 = 1_000_000;

static TICKS: AtomicU32 = AtomicU32::new(0);
static COUNT: Lock<u32> = Lock::new(0);
static KEPT: Lock<Vec<u32>> = Lock::new(Vec::new());

/// Runs a function that the handler may interrupt at any place. Returns the number of interrupts.
fn with_handler(handler: traps::Handler, function: impl FnOnce()) -> u32 {
    traps::set_handler(Vector::Timer, handler);
    timer::set(LATER_IN_MICROSECONDS);
    interrupts::enable();
    function();
    interrupts::disable();
    timer::cancel();
    TICKS.load(Ordering::Relaxed)
}

/// Counts an interrupt. After the first one, a second may come.
fn tick() {
    if TICKS.fetch_add(1, Ordering::Relaxed) == 0 {
        timer::set(LATER_IN_MICROSECONDS);
    }
}

guest_rt::tests! {
    fn a_lock_is_shared_with_a_handler() {
        const ROUNDS: u32 = 4;
        let handler: traps::Handler = |_| {
            *COUNT.lock() += 1;
            tick();
        };
        let ticks = with_handler(handler, || (0..ROUNDS).for_each(|_| *COUNT.lock() += 1));
        assert_eq!(*COUNT.lock(), ROUNDS + ticks);
    }

    fn locks_overlap_while_a_handler_comes() {
        static OTHER: Lock<u32> = Lock::new(0);
        let handler: traps::Handler = |_| {
            let (mut one, mut other) = (COUNT.lock(), OTHER.lock());
            (*one, *other) = (*one + 1, *other + 1);
            tick();
        };
        let ticks = with_handler(handler, || {
            let mut one = COUNT.lock();
            *one += 1;
            let mut other = OTHER.lock();
            drop(one);
            *other += 1;
        });
        assert_eq!((*COUNT.lock(), *OTHER.lock()), (1 + ticks, 1 + ticks));
    }

    fn a_handler_uses_the_heap_that_it_interrupts() {
        let handler: traps::Handler = |_| {
            KEPT.lock().push(7);
            drop(Box::new([1_u32; 4]));
            tick();
        };
        let mut numbers = Vec::new();
        let ticks = with_handler(handler, || {
            for number in 0..6 {
                numbers.push(Box::new(number));
            }
            drop(numbers.remove(2));
            numbers.push(Box::new(6));
        });
        assert!(numbers.iter().map(|number| **number).eq([0, 1, 3, 4, 5, 6]));
        let kept = KEPT.lock();
        assert_eq!((kept.iter().sum::<u32>(), kept.len()), (7 * ticks, ticks as usize));
    }

    fn a_handler_prints_in_the_middle_of_a_line() {
        let handler: traps::Handler = |_| {
            println!("tick {}", TICKS.load(Ordering::Relaxed));
            tick();
        };
        with_handler(handler, || {
            print!("{} and ", 1);
            println!("{:5}", 2);
        });
    }

    fn a_handler_comes_while_the_mailbox_goes_around() {
        let mut mailbox = Mailbox::<[u32; 2]>::attach();
        with_handler(|_| tick(), || {
            mailbox.write([1, 2]);
            mailbox.end_turn();
            assert_eq!(mailbox.read(), [1, 2]);
            mailbox.write([3, 4]);
        });
        assert_eq!(mailbox.read(), [3, 4]);
    }
}
