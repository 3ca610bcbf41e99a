//! The runtime's output and exchange: console, log, mailbox.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::{fmt, hint::black_box};

use guest_rt::{abi::mailbox::MAX_MESSAGE_SIZE, hypercall, log, mailbox::Mailbox, print, println};

/// Returns the number of exits that a function causes, without those of counting.
fn exits(function: impl FnOnce()) -> u32 {
    let before = hypercall::exit_count();
    function();
    hypercall::exit_count() - before - 1
}

guest_rt::tests! {
    fn printing_is_one_exit_a_call_and_one_more_for_256_bytes() {
        assert_eq!(exits(|| println!("plain")), 1);
        assert_eq!(exits(|| println!("{} and {}", 1, 2)), 1);
        assert_eq!(exits(|| print!("{:256}", "")), 1);
        assert_eq!(exits(|| print!("{:257}", "")), 2);
        assert_eq!(exits(|| print!("")), 0);
    }

    fn a_value_may_print_while_it_is_printed() {
        struct Talkative;
        impl fmt::Display for Talkative {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                println!("in the middle, {}", black_box(1));
                f.write_str("at the end")
            }
        }
        assert_eq!(exits(|| println!("{Talkative}")), 2);
    }

    fn a_record_is_one_exit_once_there_is_a_log() {
        assert_eq!(exits(|| log::error!("nobody takes {}", "this")), 0);
        log::init();
        assert_eq!(exits(|| log::info!("plain")), 1);
        assert_eq!(exits(|| log::trace!(target: "other", "{:600}", "too long")), 1);
        log::init();
        log::set_max_level(log::LevelFilter::Warn);
        assert_eq!(exits(|| log::info!("left out")), 0);
        assert_eq!(exits(|| log::warn!("")), 1);
    }

    fn the_log_takes_every_record_at_once() {
        log::init();
        assert!(log::log_enabled!(log::Level::Trace));
    }

    fn the_courses_calls_are_answered() {
        assert_eq!(exits(|| hypercall::print_byte(b'!')), 1);
        assert_eq!(exits(|| hypercall::print_decimal(7)), 1);
        assert_eq!(exits(|| hypercall::print_c_string(c"text")), 1);
        let text = hypercall::exit_text();
        let text = text.as_str();
        assert!(text.starts_with("IO in: ") && text.ends_with('\n'), "{text}");
        assert_eq!(exits(|| assert_eq!(hypercall::translate(0x7000), 0, "the host keeps its addresses")), 2);
    }

    fn a_mailbox_goes_around() {
        let mut mailbox = Mailbox::<[u32; 3]>::attach();
        assert_eq!(mailbox.read(), [0; 3]);
        mailbox.write([1, 2, 3]);
        assert_eq!(exits(|| mailbox.end_turn()), 1);
        assert_eq!(mailbox.read(), [1, 2, 3]);
        mailbox.write([4, 5, 6]);
        assert_eq!(mailbox.read(), [4, 5, 6]);
    }

    fn a_mailbox_may_be_as_large_as_can_be() {
        const SIZE: usize = MAX_MESSAGE_SIZE as usize;
        let mut mailbox = Mailbox::<[u8; SIZE]>::attach();
        let message = core::array::from_fn(|at| at.to_le_bytes()[0]);
        mailbox.write(message);
        mailbox.end_turn();
        assert_eq!(mailbox.read(), message);
    }

    #[should_panic(expected = "the mailbox is attached already")]
    fn there_is_one_mailbox() {
        let _mailbox = Mailbox::<u32>::attach();
        let _other = Mailbox::<u32>::attach();
    }
}
