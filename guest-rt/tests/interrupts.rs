//! Traps, interrupts, the timer, and locks shared with handlers.

#![no_std]
#![no_main]

use core::{
    cell::Cell,
    hint::spin_loop,
    sync::atomic::{AtomicU32, Ordering},
};

use guest_rt::{
    interrupts,
    lock::Lock,
    timer,
    traps::{self, Exception, Trap, Vector},
};

const SOON_IN_MICROSECONDS: u32 = 1000;

static TICKS: AtomicU32 = AtomicU32::new(0);
static COUNT: Lock<u32> = Lock::new(0);

fn ticks() -> u32 {
    TICKS.load(Ordering::Relaxed)
}

/// Counts the timer's interrupt, in an atomic and behind the lock.
fn count_ticks() {
    traps::set_handler(Vector::Timer, |_| {
        *COUNT.lock() += 1;
        TICKS.fetch_add(1, Ordering::Relaxed);
    });
}

/// Executes an undefined instruction, and continues after it.
fn undefined_instruction() {
    // SAFETY: `skip_undefined` continues after the instruction, which changes nothing.
    unsafe { core::arch::asm!("ud2") };
}

fn skip_undefined(trap: &mut Trap) {
    /// The size of `ud2` (SDM 2B, "UD").
    const UD2: usize = 2;
    TICKS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the next instruction is there, and this one changed no register.
    unsafe { trap.set_instruction_pointer(trap.instruction_pointer() + UD2) };
}

guest_rt::tests! {
    fn a_guest_starts_with_interrupts_off() {
        assert!(!interrupts::are_enabled());
    }

    fn interrupts_are_turned_on_and_off() {
        interrupts::enable();
        assert!(interrupts::are_enabled());
        interrupts::without(|| assert!(!interrupts::are_enabled()));
        assert!(interrupts::are_enabled());
        interrupts::disable();
        interrupts::without(|| assert!(!interrupts::are_enabled()));
        assert!(!interrupts::are_enabled());
    }

    fn a_handler_goes_on_behind_an_exception() {
        traps::set_handler(Vector::Exception(Exception::InvalidOpcode), skip_undefined);
        undefined_instruction();
        undefined_instruction();
        assert_eq!(ticks(), 2);
    }

    fn the_timer_wakes_one_who_waits() {
        count_ticks();
        for tick in 1..=3 {
            timer::set(SOON_IN_MICROSECONDS);
            while ticks() < tick {
                interrupts::wait();
            }
        }
        assert_eq!(ticks(), 3);
        assert!(!interrupts::are_enabled());
    }

    fn the_timer_interrupts_a_loop() {
        count_ticks();
        timer::set(SOON_IN_MICROSECONDS);
        interrupts::enable();
        while ticks() == 0 {
            spin_loop();
        }
    }

    fn a_timer_that_is_cancelled_does_not_come() {
        count_ticks();
        timer::set(SOON_IN_MICROSECONDS);
        timer::cancel();
        interrupts::enable();
        // Exits take time. An interrupt that was due would come at the next one.
        let start = guest_rt::clock::Instant::now();
        while start.elapsed().as_micros() < 2 * u128::from(SOON_IN_MICROSECONDS) {}
        assert_eq!(ticks(), 0);
    }

    fn a_lock_keeps_interrupts_off_and_restores_them() {
        assert!(!interrupts::are_enabled());
        drop(COUNT.lock());
        assert!(!interrupts::are_enabled());
        interrupts::enable();
        let held = COUNT.lock();
        assert!(!interrupts::are_enabled());
        drop(held);
        assert!(interrupts::are_enabled());
    }

    fn interrupts_stay_off_until_the_last_lock_is_released_in_whatever_order() {
        static OTHER: Lock<u32> = Lock::new(0);
        interrupts::enable();
        let first = COUNT.lock();
        let second = OTHER.lock();
        drop(first);
        assert!(!interrupts::are_enabled());
        let third = COUNT.lock();
        drop((second, third));
        assert!(interrupts::are_enabled());
    }

    fn no_handler_comes_while_a_lock_is_held() {
        count_ticks();
        interrupts::enable();
        for tick in 1..=20 {
            let mut count = COUNT.lock();
            timer::set(1);
            // The interrupt is due and must wait: otherwise its handler would find the lock held.
            (0..100).for_each(|_| spin_loop());
            let _ = guest_rt::clock::ticks();
            assert_eq!((*count, ticks()), (tick - 1, tick - 1));
            *count += 0;
            drop(count);
            while ticks() < tick {
                spin_loop();
            }
        }
        assert_eq!(*COUNT.lock(), 20);
    }

    fn a_critical_section_keeps_interrupts_off_and_restores_them() {
        critical_section::with(|_| assert!(!interrupts::are_enabled()));
        assert!(!interrupts::are_enabled());
        interrupts::enable();
        critical_section::with(|_| {
            critical_section::with(|_| assert!(!interrupts::are_enabled()));
            assert!(!interrupts::are_enabled());
        });
        assert!(interrupts::are_enabled());
    }

    fn a_lock_may_outlive_a_critical_section() {
        interrupts::enable();
        let held = critical_section::with(|_| COUNT.lock());
        assert!(!interrupts::are_enabled());
        drop(held);
        assert!(interrupts::are_enabled());
    }

    fn no_handler_comes_in_a_critical_section() {
        static SHARED: critical_section::Mutex<Cell<u32>> = critical_section::Mutex::new(Cell::new(0));
        traps::set_handler(Vector::Timer, |_| {
            critical_section::with(|section| SHARED.borrow(section).set(7));
            TICKS.fetch_add(1, Ordering::Relaxed);
        });
        interrupts::enable();
        critical_section::with(|section| {
            timer::set(1);
            (0..100).for_each(|_| spin_loop());
            let _ = guest_rt::clock::ticks();
            assert_eq!((SHARED.borrow(section).get(), ticks()), (0, 0));
        });
        while ticks() == 0 {
            spin_loop();
        }
        assert_eq!(critical_section::with(|section| SHARED.borrow(section).get()), 7);
    }

    fn a_lock_that_is_held_is_not_had_twice() {
        interrupts::enable();
        let held = COUNT.lock();
        assert!(COUNT.try_lock().is_none());
        assert!(!interrupts::are_enabled());
        drop(held);
        assert!(interrupts::are_enabled());
        assert!(COUNT.try_lock().is_some());
    }

    #[should_panic(expected = "this lock is held already")]
    fn to_wait_for_oneself_is_a_panic() {
        let _held = COUNT.lock();
        let _again = COUNT.lock();
    }

    #[should_panic(expected = "this lock is held already")]
    fn an_exceptions_handler_is_told_that_a_lock_is_held() {
        traps::set_handler(Vector::Exception(Exception::InvalidOpcode), |trap| {
            *COUNT.lock() += 1;
            skip_undefined(trap);
        });
        let _held = COUNT.lock();
        undefined_instruction();
    }

    #[should_panic(expected = "invalid opcode (#UD)")]
    fn an_exception_without_a_handler_ends_the_guest() {
        undefined_instruction();
    }

    #[should_panic(expected = "invalid opcode (#UD)")]
    fn an_exception_in_the_handler_of_another_ends_the_guest() {
        traps::set_handler(Vector::Exception(Exception::InvalidOpcode), |_| undefined_instruction());
        undefined_instruction();
    }
}
