//! Tests that run inside a VM: [`tests!`](crate::tests) makes an image from them.
//!
//! An example, the file `tests/NAME.rs` in a guest's package:
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
//! The tests bring their own `main`, so the package's `Cargo.toml` needs this:
//!
//! ```toml
//! [[test]]
//! name = "NAME"
//! harness = false
//! ```
//!
//! `cargo xtask test --guests` builds and runs them in each CPU mode that the machine supports.
//! `guestlab test --image FILE` runs an image that is already built. Every test has a new VM, so
//! that no test depends on another. A test that crashes, hangs or runs out of memory fails, with
//! the same report as any guest; the other tests continue. A test passes if it returns `()`, `Ok`
//! or status 0, or exits with that status. A test with `#[should_panic]` passes if it panics; with
//! `#[should_panic(expected = "#UD")]` also if an exception without a handler ends it, and the
//! report has that text. A test may take turns: it is alone in a ring of one VM, and finds its own
//! message in its mailbox.
//!
//! Logic that needs no VM is tested faster on the host, in a separate library, with plain
//! `#[test]`. The end of a test costs one exit, in addition to the exits of the test itself.

use crate::{
    arguments::arguments,
    exit::{ExitStatus, Termination},
    println,
};

/// A test's name and its function.
pub type Test = (&'static str, fn() -> ExitStatus);

/// Runs the test that the image's first argument names.
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

/// Converts a test's result to an exit status, for [`tests!`](crate::tests).
#[doc(hidden)]
pub fn status(outcome: impl Termination) -> ExitStatus {
    outcome.status()
}

/// Makes an image of tests. Each test is a function without parameters. It may have `#[should_panic]`,
/// `#[should_panic(expected = "...")]`, `#[ignore]` or `#[ignore = "..."]`. The macro replaces
/// [`entry!`](crate::entry); the module [`test`](mod@crate::test) explains how to run tests.
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

/// Returns the part of a test's note for an attribute (`guest_abi::test`).
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
