//! The report of a failed guest: the instruction, the calls, the exits.

use std::fs;

use crate::common::{can_run_guests, expect, image};
use serde_json::Value;

/// The modes that every KVM has.
const MODES: [&str; 3] = ["real", "protected", "long"];

/// The crash of a guest that runs alone in a mode.
#[track_caller]
fn crash(guest: &str, mode: &str, status: i32) -> Value {
    let (out, _) = expect(&["run", guest, "--mode", mode, "--timeout", "1", "--format", "jsonl"], status);
    let crash = out.lines().find(|line| line.contains("\"event\":\"crash\"")).expect("a crash");
    let crash: Value = serde_json::from_str(crash).expect("JSON");
    assert_eq!(crash["mode"], mode, "{crash}");
    crash
}

/// The functions of the calls, the innermost first.
fn functions(crash: &Value) -> Vec<&str> {
    let backtrace = crash["backtrace"].as_array().expect("a backtrace");
    backtrace.iter().map(|frame| frame["function"].as_str().unwrap_or("")).collect()
}

/// The line of a guest's source that holds a text.
fn line_of(guest: &str, text: &str) -> usize {
    let source = match guest {
        "panics" => include_str!("../../../guest-rt/examples/misbehaving/panics.rs"),
        "wild-write" => include_str!("../../../guest-rt/examples/misbehaving/wild-write.rs"),
        other => panic!("{other} is not asked for"),
    };
    source.lines().position(|line| line.contains(text)).expect("it is there") + 1
}

/// The first frame's file and line must be where the guest's source holds a text.
#[track_caller]
fn first_frame_is(crash: &Value, guest: &str, text: &str) {
    let frame = &crash["backtrace"][0];
    let (file, line) = (format!("guest-rt/examples/misbehaving/{guest}.rs"), line_of(guest, text));
    assert_eq!((&frame["file"], &frame["line"]), (&file.into(), &line.into()), "{crash}");
}

#[test]
fn the_first_frame_of_a_panic_is_where_it_panicked() {
    if can_run_guests() {
        for mode in MODES {
            let crash = crash("panics", mode, 1);
            first_frame_is(&crash, "panics", "panic!");
            assert_eq!(functions(&crash)[0], "panics::main");
            assert_eq!(crash["exits"], serde_json::json!(["out 0xf2 (Print)", "out 0xf1 (Panic)"]));
        }
    }
}

#[test]
fn the_first_frame_of_a_wild_write_is_where_it_was_written() {
    if can_run_guests() {
        // In real mode an address beyond 64 KiB is beyond the segment's limit, too: an exception.
        for mode in ["protected", "long"] {
            let crash = crash("wild-write", mode, 3);
            first_frame_is(&crash, "wild-write", "write_volatile");
            assert_eq!(
                functions(&crash)[..3],
                ["wild_write::inner", "wild_write::outer", "wild_write::main"]
            );
            let here = crash["instructions"].as_array().expect("some").iter().find(|it| it["here"] == true);
            let here = here.expect("the one at which it left");
            assert!(here["text"].as_str().expect("text").starts_with("mov dword ptr ["), "{crash}");
            assert_eq!(here["address"], crash["address"]);
            assert_eq!(crash["exits"], serde_json::json!(["write of 4 bytes at 0x200008"]));
        }
    }
}

#[test]
fn port_accesses_are_found_whichever_way_kvm_leaves_the_instruction_pointer() {
    if can_run_guests() {
        for (guest, mnemonic) in [("unknown-port", "out 0x42"), ("halts", "hlt"), ("null-pointer", "mov ")] {
            let crash = crash(guest, "protected", 3);
            let here = crash["instructions"].as_array().expect("some").iter().find(|it| it["here"] == true);
            let text = here.expect("one")["text"].as_str().expect("text").to_owned();
            assert!(text.starts_with(mnemonic), "{guest}: {text}");
        }
    }
}

#[test]
fn a_deep_recursion_is_told_in_a_few_lines() {
    if can_run_guests() {
        for mode in MODES {
            let crash = crash("overflows-stack", mode, 3);
            let functions = functions(&crash);
            assert!(functions.len() <= 12 && functions[0] == "overflows_stack::deeper", "{crash}");
            let (_, err) = expect(&["run", "overflows-stack", "--mode", mode], 3);
            assert!(err.contains(" times)\n") && err.lines().count() <= 24, "{err}");
        }
    }
}

#[test]
fn a_jump_to_nowhere_is_told_with_its_caller() {
    if can_run_guests() {
        let crash = crash("jumps-to-null", "protected", 3);
        assert!(functions(&crash).iter().any(|function| function.contains("main")), "{crash}");
    }
}

#[test]
fn a_forged_stack_leads_nobody_in_a_circle() {
    if can_run_guests() {
        let crash = crash("forges-its-stack", "protected", 3);
        assert_eq!(crash["reason"], "unknown-port");
        assert!(functions(&crash).len() <= 3, "{crash}");
    }
}

#[test]
fn after_a_triple_fault_registers_are_the_guests_or_left_out() {
    if can_run_guests() {
        let crash = crash("triple-faults", "protected", 3);
        let registers = crash.get("registers");
        assert_eq!(registers.is_some(), crash.get("instructions").is_some(), "{crash}");
        // A CPU after reset is at 0xFFF0.
        assert!(registers.is_none_or(|registers| registers["eip"] != 0xFFF0), "{crash}");
        assert_eq!(crash["exits"], serde_json::json!(["shutdown"]));
    }
}

#[test]
fn an_image_without_symbols_is_told_by_addresses() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("stripped.elf");
        let mut bytes = fs::read(image("wild-write")).expect("an image");
        // Without the section headers (ELF: e_shoff, e_shnum, e_shstrndx) there are no names.
        bytes[0x20..0x24].fill(0);
        bytes[0x30..0x34].fill(0);
        fs::write(&path, bytes).expect("written");
        let (_, err) = expect(&["run", "--image", path.to_str().expect("text")], 3);
        assert!(err.contains("wrote to address 0x200008") && err.contains("\n  calls  0x"), "{err}");
        assert!(err.contains("\n  code > 0x") && !err.contains("wild_write"), "{err}");
    }
}

#[test]
fn a_report_fits_on_a_screen_and_names_the_turn_in_an_exchange() {
    if can_run_guests() {
        let (_, err) = expect(&["run", "prodcons", "--seed", "1", "--producer", "overfills"], 3);
        assert!(err.contains("VM 1, overfills, turn 3: broke the ring's rule"), "{err}");
        assert!(err.contains("overfills::main") && err.contains("(EndTurn)"), "{err}");
        assert!(err.lines().count() <= 24, "{err}");
    }
}
