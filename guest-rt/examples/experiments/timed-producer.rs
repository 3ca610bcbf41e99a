//! A producer whose items depend on time: in each turn it waits a millisecond, and puts the time since its start into the
//! ring, in microseconds.
//!
//! On KVM two runs with one seed differ. The interpreter counts the guest's time, so that its runs are equal:
//!
//!     cargo xtask run prodcons --producer timed-producer --seed 7 --engine soft

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use guest_rt::{clock::Instant, interrupts, ring::RingMailbox, timer, traps};

guest_rt::entry!(main);

const WAIT_IN_MICROSECONDS: u32 = 1000;

fn main() {
    traps::set_handler(traps::Vector::Timer, |_| ());
    let start = Instant::now();
    let mut mailbox = RingMailbox::attach();
    loop {
        timer::set(WAIT_IN_MICROSECONDS);
        interrupts::wait();
        let mut turn = mailbox.turn();
        let share = turn.free().min(1);
        turn.push_each(share, || u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX));
        turn.end();
    }
}
