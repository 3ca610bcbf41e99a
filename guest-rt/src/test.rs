//! Tests that run inside a VM: [`tests!`](crate::tests) makes an image of them.
//!
//! A file `tests/NAME.rs` of a guest's package:
//!
//! ```ignore
//! //! Tests of what my guest computes.
//!
//! #![no_std]
//! #![no_main]
//!
//! guest_rt::tests! {
//!     fn adds() {
//!         assert_eq!(1 + 1, 2);
//!     }
//!
//!     #[should_panic(expected = "out of bounds")]
//!     fn looks_too_far() {
//!         let numbers = [1, 2, 3];
//!         let _ = numbers[core::hint::black_box(3)];
//!     }
//!
//!     #[ignore = "takes long"]
//!     fn counts_to_the_end() { /* ... */ }
//! }
//! ```
//!
//! and in its `Cargo.toml`, since the tests bring their own `main`:
//!
//! ```toml
//! [[test]]
//! name = "NAME"
//! harness = false
//! ```
//!
//! `cargo xtask test --guests` builds and runs them, in each CPU mode that the machine can do; `guestlab test
//! --image FILE` runs an image that is built. Every test has a new VM, so that none depends on what another
//! left, and one that crashes, hangs or runs out of memory is one that fails, with the report that any guest
//! gets; the others go on. A test passes when it returns `()`, `Ok` or status 0, or exits with that status;
//! with `#[should_panic]`, when it panics. It may take a turn: it is alone in a ring of one, and finds in its
//! mailbox what it left there.
//!
//! Logic that needs no VM is tested faster on the host, in a library of its own, with plain `#[test]`.
//! Beside the exits of what a test does itself, it costs the one that ends it.

use crate::{
    arguments::arguments,
    exit::{ExitStatus, Termination},
    println,
};

/// A test's name, and what it does.
pub type Test = (&'static str, fn() -> ExitStatus);

/// What an image of tests does: runs the one that its first argument names.
pub fn run(tests: &[Test]) -> ExitStatus {
    let Some(name) = arguments().next() else {
        println!("these are tests; `guestlab test --image FILE` runs them, each in a VM of its own:");
        tests.iter().for_each(|(name, _)| println!("  {name}"));
        return ExitStatus::FAILURE;
    };
    match tests.iter().find(|(known, _)| *known == name) {
        Some((_, test)) => test(),
        None => {
            println!("there is no test {name}");
            ExitStatus::FAILURE
        }
    }
}

/// What [`tests!`](crate::tests) makes of a test's outcome.
#[doc(hidden)]
pub fn status(outcome: impl Termination) -> ExitStatus {
    outcome.status()
}

/// Makes an image of tests: functions without parameters, each a test, which may bear `#[should_panic]`,
/// `#[should_panic(expected = "...")]`, `#[ignore]` and `#[ignore = "..."]`. It stands in the place of
/// [`entry!`](crate::entry); the module [`test`](mod@crate::test) says how they are run.
#[macro_export]
macro_rules! tests {
    ($($(#[$($attribute:tt)*])* fn $name:ident() $(-> $outcome:ty)? $body:block)*) => {
        $(
            $(#[$($attribute)*])*
            fn $name() $(-> $outcome)? $body

            const _: () = {
                const TEXT: &str =
                    concat!(stringify!($name), "\0" $(, $crate::__test_attribute!($($attribute)*))*);

                #[used]
                #[unsafe(link_section = ".note.guestlab")]
                static NOTE: $crate::abi::test::Note<{ $crate::abi::test::padded(TEXT.len()) }> =
                    $crate::abi::test::Note::new(TEXT);
            };
        )*

        $crate::entry!(__guestlab_tests);

        fn __guestlab_tests() -> $crate::exit::ExitStatus {
            $crate::test::run(&[$((stringify!($name), || $crate::test::status($name()))),*])
        }
    };
}

/// What an attribute adds to a test's note (`guest_abi::test`).
#[doc(hidden)]
#[macro_export]
macro_rules! __test_attribute {
    (should_panic) => {
        "p\0"
    };
    (should_panic(expected = $expected:literal)) => {
        concat!("p", $expected, "\0")
    };
    (should_panic = $expected:literal) => {
        concat!("p", $expected, "\0")
    };
    (ignore) => {
        "i\0"
    };
    (ignore = $reason:literal) => {
        concat!("i", $reason, "\0")
    };
    ($($other:tt)*) => {
        ""
    };
}
