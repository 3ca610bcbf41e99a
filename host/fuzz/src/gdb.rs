//! A conversation with gdb about a guest of a few instructions. Nothing is done where there is no KVM.
//!
//! The first byte chooses the guest. The others are lines: each is the body of a packet, or bytes to be sent as
//! they are if it begins with `!`.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

use guest_abi::mode::CpuMode;
use guestlab::{
    debug::{
        driver::{Driver, Order},
        gdb,
    },
    kvm::Exit,
    process::watchdog::{Registration, Watchdog},
    vmm::{boot, hypercall::Stop, machine::Halt},
};

use super::kvm::system;

/// `mov cl, 3; push ax; pop ax; in al, 0x60; out 0xE9, al; loop -8; hlt`, in every mode.
const CODE: &[u8] = b"\xB1\x03\x50\x58\xE4\x60\xE6\xE9\xE2\xF8\xF4";

/// The most bytes that are sent. A socket has room for them.
const MOST: usize = 16 << 10;

/// The most entries of the guest.
const ENTRIES: usize = 100;

/// The most bytes of one answer: memory of 2048 bytes in hexadecimal, and a frame.
const MOST_ANSWERED: usize = 5000;

/// Says this to the debugger, and reads what it answers.
pub fn run(data: &[u8]) {
    let (Some(system), Some((&choice, words))) = (system(), data.split_first()) else { return };
    let mode = CpuMode::ALL[usize::from(choice) % CpuMode::ALL.len()];
    let Ok(vcpu) = boot::tiny(system, mode, CODE, 0x800) else { return };
    let (ours, mut theirs) = UnixStream::pair().expect("sockets");
    theirs.write_all(&sent(words)).expect("room");
    theirs.shutdown(Shutdown::Write).expect("a connection");
    let reader = thread::spawn(move || {
        let mut answers = Vec::new();
        // A connection that ends with bytes unread is reset.
        let _ = theirs.read_to_end(&mut answers);
        answers
    });
    let has_points = choice & 4 != 0;
    converse(gdb::connected(vcpu, mode, ours, has_points));
    check(&reader.join().expect("the reader ends"));
}

fn sent(words: &[u8]) -> Vec<u8> {
    let mut sent = Vec::new();
    for line in words.split(|&byte| byte == b'\n') {
        match line.strip_prefix(b"!") {
            Some(raw) => sent.extend(raw),
            None => {
                let sum = line.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
                sent.extend([b"$", line, format!("#{sum:02x}").as_bytes()].concat());
            }
        }
    }
    sent.truncate(MOST);
    sent
}

/// Lets the guest run as gdb wants it, until gdb has gone or the guest has ended.
fn converse(mut driver: Box<dyn Driver>) {
    let watchdog = Watchdog::start(Duration::from_secs(10)).expect("a thread");
    let registration = watchdog.watch_this_thread(None);
    for _ in 0..ENTRIES {
        if !goes_on(&mut *driver, &registration) {
            return;
        }
    }
}

fn goes_on(driver: &mut dyn Driver, registration: &Registration<'_>) -> bool {
    let Ok(Order::Run) = driver.enter(registration) else { return false };
    // Without gdb it would run as it likes.
    let Some(wakes) = driver.wakes() else { return false };
    registration.set_alarm(Some(wakes.max(Instant::now())));
    let Ok(exit) = driver.vcpu_mut().run() else { return false };
    match driver.left(exit) {
        Ok(Exit::In { .. }) => driver.vcpu_mut().answer(u32::from(b'?')),
        Ok(Exit::Out { .. } | Exit::Debug { .. } | Exit::Interrupted) => {}
        Ok(_) => {
            let _ = driver.halted(&Halt::Stop(Stop::Halted), registration);
            return false;
        }
        Err(_) => return false,
    }
    true
}

/// The answers are packets with right checksums, none of them too long. The last may be cut off.
fn check(answers: &[u8]) {
    let mut rest = answers;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'$' {
            assert!(matches!(byte, b'+' | b'-'), "{byte:#x} between answers");
            continue;
        }
        let Some(end) = rest.iter().position(|&byte| byte == b'#') else { return };
        assert!(end <= MOST_ANSWERED, "an answer of {end} bytes");
        let (body, behind) = (&rest[..end], &rest[end + 1..]);
        let Some((checksum, behind)) = behind.split_at_checked(2) else { return };
        let sum = body.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
        assert_eq!(checksum, format!("{sum:02x}").as_bytes());
        rest = behind;
    }
}
