//! The runtime's services: arguments, clock, entropy, exit, panic.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::fmt;

use guest_rt::{
    arguments::arguments,
    boot,
    clock::{self, Instant},
    entropy::{self, Below, rand_core::Rng},
    exit::{ExitStatus, exit},
    hypercall, test,
};

/// Returns the number of exits that a function causes, without those of counting.
fn exits(function: impl FnOnce()) -> u32 {
    let before = hypercall::exit_count();
    function();
    hypercall::exit_count() - before - 1
}

guest_rt::tests! {
    fn the_first_argument_is_the_tests_name() {
        assert!(arguments().eq(["the_first_argument_is_the_tests_name"]));
        assert_eq!(exits(|| assert_eq!(arguments().count(), 1)), 0);
    }

    fn the_host_says_what_it_gave() {
        let info = boot::info();
        assert_eq!(info.vm, 1);
        assert!(info.memory >= guest_rt::abi::layout::REAL_MODE_END);
        assert_ne!(info.seed, [0; 4]);
    }

    fn the_clock_never_goes_back() {
        let start = Instant::now();
        let mut last = start;
        for _ in 0..100 {
            let now = Instant::now();
            assert!(now >= last);
            last = now;
        }
        assert!(last > start && start > Instant::START);
        assert!(last - start + (start - Instant::START) == last - Instant::START);
        assert!((start - last).is_zero());
    }

    fn the_clock_has_a_frequency_and_a_reading_is_one_exit() {
        let (frequency, before) = (clock::frequency(), clock::ticks());
        assert!(frequency >= 1000);
        assert_eq!(frequency, clock::frequency());
        assert!(clock::ticks() > before);
        assert_eq!(exits(|| _ = clock::ticks()), 1);
        assert_eq!(exits(|| _ = Instant::now()), 1);
    }

    fn generators_differ_and_stay_in_their_range() {
        let (mut one, mut other) = (entropy::generator(), entropy::generator());
        assert_ne!([one.next_u64(), one.next_u64()], [other.next_u64(), other.next_u64()]);
        assert!((0..1000).all(|_| one.below(6) < 6));
        assert!((0..1000).any(|_| one.below(6) == 5) && (0..1000).any(|_| one.below(6) == 0));
        assert_eq!((one.below(0), one.below(1)), (0, 0));
        assert_eq!(exits(|| _ = entropy::generator()), 0);
    }

    fn the_same_seed_gives_the_same_numbers() {
        use entropy::rand_core::SeedableRng;
        let mut one = entropy::Generator::seed_from_u64(7);
        let mut other = entropy::Generator::seed_from_u64(7);
        assert!((0..100).all(|_| one.next_u32() == other.next_u32()));
    }

    fn a_test_that_is_not_there_is_a_failure() {
        assert_eq!(test::run(&[("another", || ExitStatus::SUCCESS)]).0, ExitStatus::FAILURE.0);
    }

    fn an_exit_ends_the_guest() {
        exit(ExitStatus::SUCCESS);
    }

    fn a_test_may_return_a_status() -> ExitStatus {
        ExitStatus::SUCCESS
    }

    fn a_test_may_return_a_result() -> Result<(), fmt::Error> {
        Ok(())
    }

    #[should_panic(expected = "1 + 1 is 3, says line")]
    fn a_panic_has_its_message() {
        panic!("1 + 1 is {}, says line {}", 3, line!());
    }

    #[should_panic(expected = "while formatting a panic's message")]
    fn a_panic_in_a_panic_is_one() {
        struct Bad;
        impl fmt::Display for Bad {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("within")
            }
        }
        panic!("{Bad}");
    }
}
