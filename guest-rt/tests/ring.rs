//! The ring of the exchange. A test is alone in its ring: the host hands the mailbox back as it is.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::{
    abi::{digest::Digest, ring::Full},
    entropy, hypercall, println,
    ring::{Pointers, Quota, RingMailbox},
};

/// Returns a mailbox with an empty ring of this capacity, whose next slot is this one.
fn ring(capacity: u32, slot: u32) -> RingMailbox {
    let mut mailbox = RingMailbox::attach();
    mailbox.set_pointers(Pointers { capacity, prod_p: slot, cons_p: slot, count: 0 });
    mailbox
}

guest_rt::tests! {
    fn items_come_out_in_their_order() {
        let mut mailbox = ring(3, 2);
        let mut turn = mailbox.turn();
        assert_eq!((turn.count(), turn.free(), turn.take()), (0, 3, None));
        assert_eq!([7, 8, 9, 10].map(|item| turn.push(item)), [Ok(()), Ok(()), Ok(()), Err(Full)]);
        assert_eq!((turn.count(), turn.free()), (3, 0));
        assert_eq!(turn.pointers(), Pointers { capacity: 3, prod_p: 2, cons_p: 2, count: 3 });
        assert_eq!([(); 2].map(|()| turn.take()), [Some(7), Some(8)]);
        assert_eq!(turn.push(11), Ok(()));
        assert_eq!([(); 3].map(|()| turn.take()), [Some(9), Some(11), None]);
        assert_eq!(turn.pointers(), Pointers { capacity: 3, prod_p: 0, cons_p: 0, count: 0 });
    }

    fn many_items_move_at_once() {
        let mut mailbox = ring(6, 4);
        let mut turn = mailbox.turn();
        let (mut next, mut sum) = (0, 0);
        turn.push_each(5, || { next += 1; next });
        turn.push_each(0, || panic!("nothing is pushed"));
        turn.take_each(0, |_| panic!("nothing is taken"));
        turn.take_each(4, |item| sum = 10 * sum + item);
        assert_eq!((next, sum, turn.count()), (5, 1234, 1));
        turn.set_pointers(Pointers { count: 0, ..turn.pointers() });
        assert_eq!(turn.take(), None);
    }

    fn slots_and_pointers_are_those_of_the_mailbox() {
        let mut mailbox = ring(2, 0);
        mailbox.set_slot(1, 42);
        assert_eq!((mailbox.slot(1), mailbox.pointers().capacity), (42, 2));
        mailbox.count(42);
        mailbox.set_account(Digest::EMPTY);
        assert_eq!(mailbox.quota(), Quota::Items(0));
    }

    fn values_of_the_ring_are_printed_by_name() {
        let mut mailbox = ring(1, 0);
        println!("{:?} {:?}", mailbox.pointers(), mailbox.quota());
        let mut turn = mailbox.turn();
        println!("{:?} {:?}", turn.push(1), turn.push(2));
    }

    fn a_turn_is_one_exit() {
        let mut mailbox = ring(2, 0);
        let before = hypercall::exit_count();
        let mut turn = mailbox.turn();
        assert_eq!(turn.push(5), Ok(()));
        turn.end();
        assert_eq!(hypercall::exit_count() - before, 2, "one of them counts");
        assert_eq!(mailbox.turn().take(), Some(5));
    }

    fn a_fixed_share_is_no_more_than_there_is() {
        let mut mailbox = ring(2, 0);
        assert_eq!(mailbox.turn().share(9, &mut entropy::generator()), 0);
    }

    #[should_panic(expected = "the ring's pointers are not in it")]
    fn pointers_outside_of_the_ring_are_a_panic() {
        let mut mailbox = ring(3, 3);
        mailbox.turn().push_each(1, || 0);
    }
}
