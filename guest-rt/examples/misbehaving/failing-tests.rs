//! Tests that fail, each in a different way, and some tests that pass.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::{exit::ExitStatus, log, println};

guest_rt::tests! {
    fn passes() {
        println!("nobody wants to read this");
    }

    fn fails_an_assertion() {
        println!("before\x1b[2J it fails");
        log::init();
        log::warn!("it will");
        assert_eq!(1 + 1, 3, "arithmetic");
    }

    fn returns_a_status() -> ExitStatus {
        ExitStatus(7)
    }

    fn returns_an_error() -> Result<(), &'static str> {
        Err("no luck")
    }

    fn hangs() {
        loop {
            core::hint::spin_loop();
        }
    }

    fn crashes() {
        guest_rt::hypercall::end_turn();
    }

    #[should_panic]
    fn panics_as_it_should() {
        panic!("as it should");
    }

    #[should_panic]
    fn does_not_panic() {}

    #[should_panic(expected = "of another kind")]
    fn panics_otherwise() {
        panic!("of this kind");
    }

    #[ignore]
    fn is_left_out() {
        panic!("it was run");
    }

    /// Doc comments and other attributes of a test are allowed.
    #[ignore = "it takes long"]
    #[should_panic(expected = "really")]
    #[expect(unreachable_code, reason = "to try an attribute")]
    fn is_left_out_with_a_word() {
        panic!("it was really run");
        return;
    }
}
