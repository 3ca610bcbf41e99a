use guest_abi::layout::DEFAULT_MEMORY;

use super::*;
use crate::random::{SplitMix64, split};
use guestlab_cpu::Values;

fn pc() -> Pc {
    Pc::new(Settings::default(), DEFAULT_MEMORY)
}

/// Writes a value. Returns the output and the reply.
fn write(pc: &mut Pc, port: u16, width: Width, value: u32) -> (Vec<u8>, Option<Reply>) {
    let mut printed = Vec::new();
    let exit = Exit::Out { port, width, values: Values::One(value) };
    let reply = pc.serve(&exit, &mut |said| {
        if let ConsoleOutput::Text(text) = said {
            printed.extend_from_slice(text);
        }
        true
    });
    (printed, reply)
}

fn read(pc: &mut Pc, port: u16, width: Width) -> Option<Reply> {
    pc.serve(&Exit::In { port, width, count: 1 }, &mut |_| panic!("a read prints nothing"))
}

fn end(end: End) -> Option<Reply> {
    Some(Reply::Stop(StopReason::Device(end)))
}

const ALL_WIDTHS: [Width; 3] = [Width::Byte, Width::Word, Width::Long];

#[test]
fn serial_port_and_consoles_print() {
    let mut pc = pc();
    for port in [0x3F8, 0x402, 0xF1] {
        assert_eq!(write(&mut pc, port, Width::Byte, b'x'.into()), (b"x".into(), Some(Reply::Resume)));
    }
    let values = Values::Many(b"text".iter().map(|&byte| byte.into()).collect());
    let mut printed = Vec::new();
    let exit = Exit::Out { port: 0x3F8, width: Width::Byte, values };
    let reply = pc.serve(&exit, &mut |said| {
        printed.push(format!("{said:?}"));
        false
    });
    assert_eq!(reply, Some(Reply::Stop(StopReason::OutputClosed)));
    assert_eq!(printed.len(), 1, "a string instruction's text is said at once");
    assert_eq!(read(&mut pc, 0xE9, Width::Byte), Some(Reply::Answer(0xE9)));
    assert_eq!(read(&mut pc, 0x402, Width::Byte), Some(Reply::Answer(0xE9)));
}

#[test]
fn the_exit_port_takes_both_conventions_or_the_one_that_is_named() {
    for width in ALL_WIDTHS {
        for (value, is_success) in [(0, true), (0x10, true), (1, false), (0x11, false), (0x21, false)] {
            let reply = write(&mut pc(), 0xF4, width, value).1;
            assert_eq!(reply, end(End::Exit { value, is_success }));
        }
    }
    let mut pc = Pc::new(Settings { exit_ok: Some(3) }, DEFAULT_MEMORY);
    for (value, is_success) in [(0, false), (3, true), (0x10, false)] {
        assert_eq!(write(&mut pc, 0xF4, Width::Byte, value).1, end(End::Exit { value, is_success }));
    }
}

#[test]
fn the_power_goes_off_and_the_cpu_is_reset() {
    for port in [0x604, 0xB004] {
        assert_eq!(write(&mut pc(), port, Width::Word, 0x2000).1, end(End::PowerOff));
        assert_eq!(write(&mut pc(), port, Width::Word, 1).1, Some(Reply::Resume));
    }
    assert_eq!(write(&mut pc(), 0x4004, Width::Word, 0x3400).1, end(End::PowerOff));
    for (port, value) in [(0x64, 0xFE), (0xCF9, 6), (0x92, 1)] {
        assert_eq!(write(&mut pc(), port, Width::Byte, value).1, end(End::Reset));
    }
    for (port, value) in [(0x64, 0xAD), (0xCF9, 2), (0x92, 2)] {
        assert_eq!(write(&mut pc(), port, Width::Byte, value).1, Some(Reply::Resume));
    }
    let mut pc = pc();
    let replies: Vec<_> =
        b"ShutShutdown".iter().map(|&byte| write(&mut pc, 0x8900, Width::Byte, byte.into()).1).collect();
    assert!(replies[..11].iter().all(|reply| *reply == Some(Reply::Resume)));
    assert_eq!(replies[11], end(End::PowerOff));
}

#[test]
fn wider_accesses_are_one_byte_to_each_port() {
    let mut pc = pc();
    // The cursor's usual `outw`: the index, and the value above it.
    write(&mut pc, 0x3D4, Width::Word, 0x120F);
    assert_eq!(read(&mut pc, 0x3D5, Width::Byte), Some(Reply::Answer(0x12)));
    assert_eq!(read(&mut pc, 0x3D4, Width::Word), Some(Reply::Answer(0x120F)));
}

#[test]
fn the_pci_bus_is_empty() {
    let mut pc = pc();
    write(&mut pc, 0xCF8, Width::Long, 0x8000_0000);
    assert_eq!(read(&mut pc, 0xCF8, Width::Long), Some(Reply::Answer(0x8000_0000)));
    assert_eq!(read(&mut pc, 0xCFC, Width::Long), Some(Reply::Answer(u32::MAX)));
    assert_eq!(read(&mut pc, 0xCFE, Width::Word), Some(Reply::Answer(0xFFFF)));
}

#[test]
fn other_ports_are_none_of_its_business() {
    for port in [0xE9, 0xEA, 0xEE, 0xF0, 0x1234, u16::MAX] {
        assert_eq!(write(&mut pc(), port, Width::Byte, 0), (Vec::new(), None), "{port:#x}");
    }
    assert_eq!(read(&mut pc(), 0xEB, Width::Long), None);
    assert_eq!(read(&mut pc(), 0x1234, Width::Byte), None);
    assert_eq!(pc().serve(&Exit::Shutdown, &mut |_| true), None);
}

#[test]
fn whatever_is_written_and_read_each_device_goes_on() {
    let mut pc = pc();
    for port in 0..=u16::MAX {
        for width in ALL_WIDTHS {
            for value in [0, 1, 0x55, 0xFF, u32::MAX] {
                let is_known = device_at(port).is_some();
                assert_eq!(write(&mut pc, port, width, value).1.is_some(), is_known, "{port:#x}");
            }
            let reply = read(&mut pc, port, width);
            let mask = u32::MAX >> (32 - 8 * width.bytes());
            assert!(
                !matches!(reply, Some(Reply::Answer(value)) if value & !mask != 0),
                "{port:#x} {reply:?}"
            );
        }
    }
    let mut chance = SplitMix64::new(1, 0);
    let ports: Vec<u16> = (0..=u16::MAX).filter(|&port| device_at(port).is_some()).collect();
    for _ in 0..100_000 {
        let (port, width) = (ports[chance.below(ports.len())], ALL_WIDTHS[chance.below(3)]);
        let (value, _) = split(chance.next_u64());
        match chance.below(3) {
            0 => drop(read(&mut pc, port, width)),
            1 => drop(write(&mut pc, port, width, value)),
            _ => {
                let values = Values::Many(vec![value; chance.below(64)]);
                assert!(pc.serve(&Exit::Out { port, width, values }, &mut |_| true).is_some());
            }
        }
    }
}
