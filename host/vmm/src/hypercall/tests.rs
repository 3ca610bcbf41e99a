//! Every arm of the handler, and hostile arguments for each, without KVM.

use guest_abi::{
    block,
    layout::{DEFAULT_MEMORY, EXIT_TEXT, STACK_GUARD},
};
use proptest::prelude::*;

use super::*;
use crate::{
    clock::Clock,
    memory::MemoryLayout,
    services::HvaPolicy,
    stats::{ExitStats, Reason},
    timer::Timer,
};
use guestlab_cpu::Engine;
use guestlab_soft::Soft;

/// A guest, and its output so far.
struct Guest {
    cpu: Box<dyn Cpu>,
    services: Services,
    printed: Vec<u8>,
    logged: Vec<(Level, String, String)>,
}

/// The exits that every guest here has had.
fn stats() -> ExitStats {
    let mut stats = ExitStats::default();
    for reason in [Reason::Out(0xE9, 1), Reason::In(0xEB, 4), Reason::Out(0xE9, 1)] {
        stats.count(reason);
    }
    stats
}

impl Guest {
    fn new() -> Self {
        let memory = MemoryLayout::guarded(DEFAULT_MEMORY).expect("2 MiB");
        let services = Services {
            memory,
            mailbox: None,
            stats: stats(),
            text: EXIT_TEXT,
            translation: 0,
            hva: HvaPolicy::Deny,
            has_read_counts: false,
            timer: Timer::default(),
            clock: Clock::start(),
            foreign: false,
        };
        let cpu = Soft.create(&memory.plan()).expect("memory");
        Self { cpu, services, printed: Vec::new(), logged: Vec::new() }
    }

    fn call(&mut self, call: Hypercall) -> Result<Reply, Crash> {
        let Self { cpu, services, printed, logged } = self;
        handle(call, services, &mut **cpu, &mut |output| {
            match output {
                ConsoleOutput::Text(text) => printed.extend_from_slice(text),
                ConsoleOutput::Record(Record { level, target, message }) => {
                    logged.push((level, target.into(), message.into()));
                }
                ConsoleOutput::InvalidAddress => printed.extend_from_slice(b"invalid"),
                ConsoleOutput::HvaDenied => printed.extend_from_slice(b"denied"),
            }
            printed.len() < 1 << 20
        })
    }

    /// Puts bytes at an address of the guest's memory.
    fn with(mut self, address: u32, bytes: &[u8]) -> Self {
        self.cpu.memory_mut().write(address.into(), bytes).expect("memory");
        self
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn every_port_decodes_in_its_own_width_and_direction_only() {
    for port in Port::ALL {
        for width in [Width::Byte, Width::Word, Width::Long] {
            for (direction, known) in [(Direction::In, port.reads()), (Direction::Out, port.writes())] {
                let decoded = decode(port as u16, width, direction, 0x1234_5678, |_| true);
                let expected = known && width.bytes() == usize::from(port.width());
                assert_eq!(decoded.is_ok(), expected, "{port:?} {width} {direction:?}");
            }
        }
    }
}

#[test]
fn the_message_names_an_unknown_port() {
    let (width, direction) = (Width::Word, Direction::In);
    assert_eq!(
        decode(0x80, width, direction, 0, |_| true),
        Err(Crash::UnknownPort { port: 0x80, width, direction })
    );
}

#[test]
fn printing_calls_print() {
    let mut guest = Guest::new().with(0x8000, b"string\0").with(0x9000, &words(&[0x8000, 3]));
    for call in [
        Hypercall::PrintByte(b'!'),
        Hypercall::PrintDecimal(u32::MAX),
        Hypercall::PrintString(0x8000),
        Hypercall::Print(0x9000),
        Hypercall::Nothing,
    ] {
        assert_eq!(guest.call(call), Ok(Reply::Resume));
    }
    assert_eq!(guest.printed, b"!4294967295\nstringstr");
}

#[test]
fn a_guest_stops_if_its_output_is_closed() {
    let mut guest = Guest { printed: vec![0; 1 << 20], ..Guest::new() };
    assert_eq!(guest.call(Hypercall::PrintByte(b'x')), Ok(Reply::Stop(StopReason::OutputClosed)));
}

#[test]
fn foreign_guests_have_only_the_standard_ports() {
    for port in Port::ALL {
        let width = if port.width() == 1 { Width::Byte } else { Width::Long };
        let decoded = decode(port as u16, width, Direction::Out, 0, Port::is_standard_port);
        assert_eq!(decoded.is_ok(), (0xE9..=0xEE).contains(&(port as u16)), "{port:?}");
    }
}

#[test]
fn exits_are_counted_as_a_number_and_as_a_text() {
    let mut guest = Guest::new();
    assert_eq!(guest.call(Hypercall::ExitCount), Ok(Reply::Answer(3)));
    assert_eq!(guest.call(Hypercall::ExitText), Ok(Reply::Answer(EXIT_TEXT)));
    assert_eq!(
        read_c_string(guest.cpu.memory(), EXIT_TEXT, 100).expect("a text").as_deref(),
        Some(&b"IO in: 1\nIO out: 2\n"[..])
    );
}

#[test]
fn a_translation_follows_the_policy_for_host_addresses() {
    for (hva, printed, is_told) in [
        (HvaPolicy::Allow, &b"invalid"[..], true),
        (HvaPolicy::Deny, b"deniedinvalid", false),
        (HvaPolicy::DenyWarned, b"invalid", false),
        (HvaPolicy::DenySilently, b"", false),
    ] {
        let mut guest = Guest::new();
        guest.services.hva = hva;
        assert_eq!(guest.call(Hypercall::Translation), Ok(Reply::Answer(0)));
        assert_eq!(guest.call(Hypercall::Translate(0x7000)), Ok(Reply::Resume));
        let answer = guest.call(Hypercall::Translation);
        assert_eq!(answer != Ok(Reply::Answer(0)), is_told, "{hva:?}");
        // The null page is not there.
        assert_eq!(guest.call(Hypercall::Translate(0)), Ok(Reply::Resume));
        assert_eq!(guest.call(Hypercall::Translation), Ok(Reply::Answer(0)));
        assert_eq!(guest.printed, printed, "{hva:?}");
    }
}

#[test]
fn an_exit_stops_with_its_status() {
    assert_eq!(Guest::new().call(Hypercall::Exit(7)), Ok(Reply::Stop(StopReason::Exited(7))));
}

#[test]
fn a_panic_carries_its_message_and_place() {
    let mut guest =
        Guest::new().with(0x8000, b"went wrongmain.rs").with(0x9000, &words(&[0x8000, 10, 0x800A, 7, 12, 5]));
    let report = PanicReport { message: b"went wrong".into(), file: b"main.rs".into(), line: 12, column: 5 };
    assert_eq!(guest.call(Hypercall::Panic(0x9000)), Ok(Reply::Stop(StopReason::Panicked(report))));
}

#[test]
fn a_panic_whose_message_cannot_be_read_is_still_a_panic() {
    let mut guest = Guest::new().with(0x9000, &words(&[0, 10, 0x8000, u32::MAX, 12, 5]));
    let Ok(Reply::Stop(StopReason::Panicked(report))) = guest.call(Hypercall::Panic(0x9000)) else {
        panic!("not a panic");
    };
    assert!(String::from_utf8_lossy(&report.message).contains("not entirely inside guest memory"));
    assert!(String::from_utf8_lossy(&report.file).contains("the most is 65536"));
    assert_eq!(report.line, 12);
}

#[test]
fn a_trap_is_a_crash_with_its_registers() {
    let record = |stack_pointer| {
        let mut record = Trap { vector: 6, ip: 0x7123, ..Trap::default() };
        record.general[Trap::STACK_POINTER] = stack_pointer;
        record
    };
    for (stack_pointer, name) in
        [(0x6000, "trap-ud"), (STACK_GUARD.into(), "stack-overflow"), (u64::MAX, "trap-ud")]
    {
        let record = record(stack_pointer);
        let mut guest = Guest::new().with(0x9000, record.as_bytes());
        let Err(crash @ Crash::Trap(_)) = guest.call(Hypercall::Trap(0x9000)) else { panic!("not a trap") };
        assert_eq!(crash.name(), name);
    }
}

#[test]
fn a_timer_is_set_and_cancelled() {
    let mut guest = Guest::new();
    for (microseconds, set) in [(1_000_000, true), (u32::MAX, true), (0, false)] {
        assert_eq!(guest.call(Hypercall::TimerSet(microseconds)), Ok(Reply::Resume));
        assert_eq!(guest.services.timer.due().is_some(), set);
    }
}

#[test]
fn a_record_has_its_level_target_and_message() {
    let text = b"netup\xFF";
    for (number, level) in [(0, Level::Error), (1, Level::Error), (3, Level::Info), (u32::MAX, Level::Trace)]
    {
        let record = words(&[number, 0x8000, 3, 0x8003, 3]);
        let mut guest = Guest::new().with(0x8000, text).with(0x9000, &record);
        assert_eq!(guest.call(Hypercall::Log(0x9000)), Ok(Reply::Resume));
        assert_eq!(guest.logged, [(level, "net".into(), "up\u{FFFD}".into())]);
    }
    let mut guest = Guest::new().with(0x9000, &words(&[3, 1, 0, 0, 0]));
    assert_eq!(guest.call(Hypercall::Log(0x9000)), Ok(Reply::Resume));
    assert_eq!(guest.logged, [(Level::Info, String::new(), String::new())]);
}

#[test]
fn a_record_whose_texts_are_not_in_memory_is_refused() {
    for record in [[3, 0, 3, 0x8000, 1], [3, 0x8000, 1, DEFAULT_MEMORY - 1, 2]] {
        let mut guest = Guest::new().with(0x9000, &words(&record));
        assert!(matches!(guest.call(Hypercall::Log(0x9000)), Err(Crash::BadAddress { .. })), "{record:?}");
    }
    let mut guest = Guest::new().with(0x9000, &words(&[3, 0x8000, 1, 0x8000, Text::MAX_LEN + 1]));
    assert!(matches!(guest.call(Hypercall::Log(0x9000)), Err(Crash::TextTooLong { .. })));
}

#[test]
fn the_clock_counts_nanoseconds_and_never_goes_back() {
    let mut guest = Guest::new();
    let mut read = || -> block::Clock {
        assert_eq!(guest.call(Hypercall::Clock(0x9000)), Ok(Reply::Resume));
        read_record(guest.cpu.memory(), 0x9000).expect("memory")
    };
    let (first, second) = (read(), read());
    assert_eq!((first.frequency, second.frequency), (1_000_000_000, 1_000_000_000));
    assert!(first.ticks <= second.ticks);
}

#[test]
fn a_mailbox_is_attached_once_and_before_a_turn_ends() {
    let mut guest = Guest::new().with(0x9000, &words(&[0xA000, 64]));
    assert_eq!(guest.call(Hypercall::EndTurn), Err(Crash::TurnWithoutMailbox));
    assert_eq!(guest.call(Hypercall::MailboxAttach(0x9000)), Ok(Reply::Stop(StopReason::Attached)));
    assert_eq!(guest.services.mailbox, Some(MailboxAttach { address: 0xA000, size: 64 }));
    assert_eq!(guest.call(Hypercall::EndTurn), Ok(Reply::Stop(StopReason::TurnEnded)));
    assert_eq!(guest.call(Hypercall::MailboxAttach(0x9000)), Err(Crash::MailboxTwice));
}

#[test]
fn a_mailbox_outside_memory_is_refused() {
    for (address, size) in [(0, 4), (STACK_GUARD - 4, 8), (DEFAULT_MEMORY - 4, 8), (u32::MAX, u32::MAX)] {
        let mut guest = Guest::new().with(0x9000, &words(&[address, size]));
        let refused = guest.call(Hypercall::MailboxAttach(0x9000));
        assert!(
            matches!(refused, Err(Crash::BadAddress { what: "a mailbox", .. })),
            "{address:#x} {size:#x}"
        );
        assert_eq!(guest.services.mailbox, None);
    }
}

#[test]
fn a_block_outside_memory_is_refused() {
    for address in [0, STACK_GUARD, DEFAULT_MEMORY - 1, u32::MAX] {
        for call in [
            Hypercall::Print(address),
            Hypercall::PrintString(address),
            Hypercall::Panic(address),
            Hypercall::MailboxAttach(address),
            Hypercall::Trap(address),
            Hypercall::Log(address),
            Hypercall::Clock(address),
        ] {
            let refused = if address == DEFAULT_MEMORY - 1 && call == Hypercall::PrintString(address) {
                continue; // one zero byte is an empty string
            } else {
                Guest::new().call(call)
            };
            assert!(matches!(refused, Err(Crash::BadAddress { .. })), "{call:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Any port access with any memory around its argument ends in a reply or a crash.
    #[test]
    fn no_access_panics(
        port in prop_oneof![0xE0..0x100u16, any::<u16>()], write in any::<bool>(), width in 0..3usize,
        value in prop_oneof![0x7FF0..0x8010u32, any::<u32>()], block in any::<[u32; 8]>(),
    ) {
        let mut guest = Guest::new().with(0x8000, &words(&block));
        let width = [Width::Byte, Width::Word, Width::Long][width];
        let direction = if write { Direction::Out } else { Direction::In };
        if let Ok(call) = decode(port, width, direction, value, |_| true) {
            let _ = guest.call(call);
            prop_assert!(guest.printed.len() <= Text::MAX_LEN as usize);
        }
    }
}
