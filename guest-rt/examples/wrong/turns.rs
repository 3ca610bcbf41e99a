//! The lines that the guests in this folder share. `overfills.rs` and `overdraws.rs` are written out.

/// Makes a guest that runs a block for each turn, with its mailbox and random numbers.
macro_rules! turns {
    (|$mailbox:ident, $random:ident| $body:block) => {
        guest_rt::entry!(main);

        fn main() {
            #[allow(unused_imports, reason = "not every guest draws a number below a limit")]
            use guest_rt::entropy::Below as _;

            let mut $random = guest_rt::entropy::generator();
            let mut $mailbox = guest_rt::ring::RingMailbox::attach();
            loop $body
        }
    };
    (|$mailbox:ident| $body:block) => {
        guest_rt::entry!(main);

        fn main() {
            let mut $mailbox = guest_rt::ring::RingMailbox::attach();
            loop $body
        }
    };
}
