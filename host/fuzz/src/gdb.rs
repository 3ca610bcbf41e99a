//! A conversation with gdb about a guest of a few instructions, on the interpreter or on KVM.
//!
//! The first byte chooses the guest and the engine. The others are lines: each is the body of a packet, or bytes to be
//! sent as they are if it begins with `!`.

use std::{
    cell::Cell,
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

use guest_abi::{layout::PAGE_SIZE, mode::CpuMode};
use guestlab::{
    cpu::DebugFeatures,
    debug::{
        gdb,
        runner::{Pause, Runner, Watch},
    },
    vmm::{
        Expiry, Image, ImageFormat, Machine, Parameters, Request, Setup, Stop,
        pc::{Pc, Settings},
    },
};

use super::engines::{self, Kicks};

/// `mov cl, 3; push ax; pop ax; in al, 0x60; out 0xE9, al; loop -8; hlt`, in every mode. 0x60 is the keyboard's port.
const CODE: &[u8] = b"\xB1\x03\x50\x58\xE4\x60\xE6\xE9\xE2\xF8\xF4";

/// The most bytes that are sent. A socket has room for them.
const MOST: usize = 16 << 10;

/// The most entries of the guest.
const ENTRIES: usize = 100;

/// The longest time of one entry. The guest can be changed into one that never ends.
const ENTRY_TIME: Duration = Duration::from_millis(1);

/// The time that gdb waits for an answer, and the number of times that it waits in vain.
const ANSWER_TIME: Duration = Duration::from_millis(2);
const PATIENCE: u32 = 20;

/// The most bytes of one answer: memory of 2048 bytes in hexadecimal, and a frame.
const MOST_ANSWERED: usize = 5000;

/// Sends these bytes to the debugger, and checks its answers.
pub fn run(data: &[u8]) {
    let Some((&choice, words)) = data.split_first() else { return };
    let mode = CpuMode::ALL[usize::from(choice) % CpuMode::ALL.len()];
    let kvm = engines::kvm().filter(|_| choice & 8 != 0);
    let features = match (choice & 4 != 0, &kvm) {
        (false, _) => DebugFeatures::default(),
        (true, None) => DebugFeatures { steps: true, breakpoints: usize::MAX, watchpoints: 0 },
        (true, Some(_)) => DebugFeatures { steps: true, breakpoints: 4, watchpoints: 4 },
    };
    let Some(machine) = machine(Setup::new(kvm.unwrap_or_else(engines::soft)), mode) else { return };
    let (ours, theirs) = UnixStream::pair().expect("sockets");
    let packets = packets(words);
    let gdb = thread::spawn(move || {
        let mut gdb = Gdb { line: theirs, answers: Vec::new(), patience: PATIENCE };
        // A connection that ends with bytes unread is reset.
        let _ = gdb.speak(&packets);
        gdb.answers
    });
    converse(machine, gdb::connected(mode, ours, features));
    check(&gdb.join().expect("gdb's side ends"));
}

/// Returns a machine with [`CODE`] at 0 in its one page. `None` if the engine refused it.
fn machine(setup: Setup, mode: CpuMode) -> Option<Machine> {
    let request = Request { format: Some(ImageFormat::Flat), load: Some(0), mode: Some(mode), entry: None };
    let image = Image::parse("guest", CODE.into(), request).expect("an image");
    let parameters = Parameters { vm: 1, seed: 1, memory: PAGE_SIZE, arguments: &[] };
    let machine = Machine::new(&setup, &image, parameters).ok()?;
    Some(machine.with_pc(Some(Pc::new(Settings::default(), PAGE_SIZE))))
}

/// Returns the bytes to be sent for each line, up to [`MOST`] in all.
fn packets(words: &[u8]) -> Vec<Vec<u8>> {
    let mut room = MOST;
    let packet = |line: &[u8]| {
        let mut bytes = match line.strip_prefix(b"!") {
            Some(raw) => raw.to_vec(),
            None => {
                let sum = line.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
                [b"$", line, format!("#{sum:02x}").as_bytes()].concat()
            }
        };
        bytes.truncate(room);
        room -= bytes.len();
        bytes
    };
    words.split(|&byte| byte == b'\n').map(packet).collect()
}

/// gdb's side of the conversation.
struct Gdb {
    line: UnixStream,
    answers: Vec<u8>,
    /// The number of times that it still waits in vain for an answer.
    patience: u32,
}

impl Gdb {
    /// Sends packets, and reads all answers. It waits for the answer to each packet for a short time, so that the guest
    /// runs between two packets; then it goes on, as a user does who interrupts the guest.
    fn speak(&mut self, packets: &[Vec<u8>]) -> io::Result<()> {
        self.line.set_read_timeout(Some(ANSWER_TIME))?;
        for packet in packets {
            self.line.write_all(packet)?;
            if packet.first() == Some(&b'$') && self.patience > 0 && !self.is_answered()? {
                self.patience -= 1;
            }
        }
        self.line.shutdown(Shutdown::Write)?;
        self.line.set_read_timeout(None)?;
        self.line.read_to_end(&mut self.answers)?;
        Ok(())
    }

    /// Reads up to the end of an answer. Returns false if there is none in time.
    fn is_answered(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 4096];
        loop {
            let len = match self.line.read(&mut bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                len => len?,
            };
            self.answers.extend(&bytes[..len]);
            if len == 0 || bytes[..len].contains(&b'#') {
                return Ok(len > 0);
            }
        }
    }
}

/// Runs the guest until it ends, gdb is gone, or it has had its entries.
fn converse(mut machine: Machine, mut runner: Box<dyn Runner>) {
    let _kicks = Kicks::every(ENTRY_TIME, machine.cpu().kick());
    let limits = Limits { entries: Cell::new(ENTRIES), has_alarm: Cell::new(true) };
    // An engine may refuse a state that gdb asks for.
    let _ = runner.run(&mut machine, &limits, &mut |_| {
        limits.has_alarm.set(true);
        true
    });
}

/// A watch that ends the run after some entries, or when gdb is gone.
struct Limits {
    entries: Cell<usize>,
    /// There is an alarm for the entry, so that gdb is there. The machine also removes the alarm before output.
    has_alarm: Cell<bool>,
}

impl Stop for Limits {
    fn expiry(&self) -> Option<Expiry> {
        (self.entries.get() == 0 || !self.has_alarm.get()).then_some(Expiry::Run)
    }

    fn set_alarm(&self, alarm: Option<Instant>) {
        self.entries.update(|left| left.saturating_sub(alarm.iter().len()));
        self.has_alarm.set(alarm.is_some());
    }

    fn sleep_until(&self, _: Instant) {}
}

impl Watch for Limits {
    fn pause(&self) -> Box<dyn Pause + '_> {
        Box::new(NoClock)
    }
}

/// The pause of a watch without a clock.
struct NoClock;

impl Pause for NoClock {}

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
