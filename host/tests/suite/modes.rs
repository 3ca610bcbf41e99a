//! Guests of guest-rt in every CPU mode that this machine's KVM has.

use crate::common::{self, MODES, can_run_guests, command, expect, text};

/// Runs a guest in a mode. It must end with status 0. If this machine's KVM does not have the mode, prints that and returns
/// `None`.
fn run_in(mode: &str, guest: &str, options: &[&str]) -> Option<(String, String)> {
    let output = command(&["run", guest, "--mode", mode]).args(options).output().expect("guestlab runs");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    if output.status.code() == Some(5) && mode == "paged" {
        assert!(err.contains("needs hardware KVM"), "{err}");
        eprintln!("skipped: {mode} mode: {err}");
        return None;
    }
    assert_eq!(output.status.code(), Some(0), "{mode}: {err}");
    Some((out, err))
}

#[test]
fn hello_prints_the_same_in_every_mode() {
    if can_run_guests() {
        for mode in MODES {
            let Some((out, err)) = run_in(mode, "hello", &[]) else { continue };
            let expected = "hello from VM 1, which has 2048 KiB of memory\n\
                a byte at a time\n0\n2048\n4294967295\n\
                a string of any length costs one exit\n\
                exits: 22 before the string, 24 after it and this call\n\
                IO in: 3\nIO out: 23\n\
                an unmapped address in the host: 0x0\n\
                an address of mine in the host: 0x0\n";
            assert_eq!(out, expected, "{mode}");
            let told =
                "VM 1 asks where its memory is in the host; it is told 0, unless --allow-hva is given\n";
            assert_eq!(err, format!("Invalid GVA\n{told}"), "{mode}");
        }
    }
}

#[test]
fn a_mode_that_is_missing_is_refused_before_an_image_is_asked_for() {
    if can_run_guests() {
        for mode in MODES {
            let args = ["run", "hello", "--mode", mode];
            let works = command(&args).output().expect("guestlab runs").status.code() != Some(5);
            let needs = command(&args).arg("--needs").output().expect("guestlab runs");
            let asked_for = if works { format!("hello {mode}\n") } else { String::new() };
            assert_eq!(text(&needs.stdout), asked_for, "{}", text(&needs.stderr));
            assert_eq!(needs.status.code(), Some(if works { 0 } else { 5 }), "{mode}");
        }
    }
}

#[test]
fn the_host_address_is_told_where_that_is_allowed() {
    if can_run_guests() {
        for mode in MODES {
            let Some((out, err)) = run_in(mode, "hello", &["--allow-hva"]) else { continue };
            assert_eq!(err, "Invalid GVA\n", "{mode}");
            assert!(out.contains("an unmapped address in the host: 0x0\n"), "{mode}: {out}");
            assert!(!out.contains("an address of mine in the host: 0x0\n"), "{mode}: {out}");
        }
    }
}

#[test]
fn an_exchange_is_the_same_in_every_mode() {
    if can_run_guests() {
        let turns = |out: &str| -> Vec<String> {
            out.lines().filter(|line| !line.contains("sha256")).map(str::to_owned).collect()
        };
        let options = ["--seed", "7", "--turns", "60", "--format", "jsonl"];
        let expected = turns(&run_in("protected", "prodcons", &options).expect("every KVM has it").0);
        for mode in MODES {
            let Some((out, _)) = run_in(mode, "prodcons", &options) else { continue };
            assert_eq!(turns(&out), expected, "{mode}");
        }
    }
}

#[test]
fn misbehaving_guests_end_the_same_in_every_mode() {
    if can_run_guests() {
        for mode in MODES {
            if run_in(mode, "hello", &[]).is_none() {
                continue;
            }
            for (guest, status, sentence) in [
                (
                    "panics",
                    1,
                    "panics: panicked at guest-rt/examples/misbehaving/panics.rs:12:5: VM 1 gives up",
                ),
                ("exits-with-7", 1, "exits-with-7: exited with status 7"),
                ("overflows-stack", 3, "stack overflow: wrote to the guard page below the stack, at 0x2"),
                ("null-pointer", 3, "null pointer: read from address 0x0"),
                ("unknown-port", 3, "wrote to port 0x42, 32-bit, which is no hypercall"),
                ("triple-faults", 3, "triple fault"),
                ("divides-by-zero", 3, "divide error (#DE) at instruction 0x7"),
                ("undefined-instruction", 3, "invalid opcode (#UD) at instruction 0x7"),
                ("jumps-into-data", 3, "invalid opcode (#UD) at instruction 0x"),
                ("traps-again", 3, "invalid opcode (#UD) at instruction 0x7"),
                ("traps-off-stack", 3, "stack overflow: the "),
                ("unhandled-interrupt", 3, "the timer's interrupt came, and there is no handler for it"),
                ("halts", 3, "halted with nothing to wait for"),
                ("halts-deaf", 3, "halted with nothing to wait for"),
            ] {
                let (_, err) = expect(&["run", guest, "--mode", mode, "--timeout", "20"], status);
                assert!(err.contains(sentence), "{mode}: {err}");
            }
        }
    }
}

#[test]
fn protection_and_paging_are_reported_where_the_mode_has_them() {
    if can_run_guests() {
        for mode in ["protected", "paged", "long"] {
            if run_in(mode, "hello", &[]).is_some() {
                let (_, err) = expect(&["run", "loads-bad-segment", "--mode", mode], 3);
                assert!(err.contains("general protection (#GP) at instruction 0x7"), "{mode}: {err}");
                assert!(err.contains("entry 582 of the global descriptor table"), "{mode}: {err}");
            }
        }
        let (_, err) = expect(&["run", "page-faults", "--mode", "long"], 3);
        assert!(err.contains("page fault (#PF) at instruction 0x7"), "{err}");
        assert!(err.contains(": wrote to 0x1000000000, which is not mapped\n"), "{err}");
    }
}

#[test]
fn handlers_and_the_timer_work_in_every_mode() {
    if can_run_guests() {
        for mode in MODES {
            let Some((out, _)) = run_in(mode, "timer", &[]) else { continue };
            assert_eq!(out, "tick 1\ntick 2\ntick 3\ntick 4, in the middle of a loop\n", "{mode}");
            let (out, _) = run_in(mode, "recovers", &[]).expect("as before");
            assert!(out.ends_with("still here after division 3\n"), "{mode}: {out}");
        }
    }
}

#[test]
fn an_image_runs_in_its_own_mode_only() {
    if can_run_guests() {
        let image = common::image("hello");
        let image = image.to_str().expect("a path of text");
        let (_, err) = expect(&["run", "--image", image, "--mode", "long"], 2);
        assert!(err.contains("it runs in protected mode, not in long mode"), "{err}");
    }
}

#[test]
fn statistics_come_after_the_run() {
    if can_run_guests() {
        let (out, _) = expect(&["run", "hello", "--stats"], 0);
        let (_, table) = out.split_once("VM 1, hello\n").expect("a table");
        let (table, note) = table.split_once("\n\n").expect("a note about the times");
        assert!(
            note.starts_with("The time in the guest includes the entry into it and the exit from it."),
            "{note}"
        );
        let counts: Vec<(&str, &str)> = table
            .lines()
            .skip(1)
            .map(|line| line.split_at(20))
            .map(|(name, rest)| (name.trim(), rest.split_whitespace().next().expect("a count")))
            .collect();
        assert_eq!(
            counts,
            [
                ("out 0xe9, 8-bit", "17"),
                ("out 0xea, 32-bit", "3"),
                ("out 0xec, 32-bit", "1"),
                ("out 0xee, 32-bit", "2"),
                ("out 0xf0, 32-bit", "1"),
                ("out 0xf2, 32-bit", "5"),
                ("in  0xeb, 32-bit", "2"),
                ("in  0xed, 32-bit", "1"),
                ("in  0xee, 32-bit", "2"),
            ]
        );
        let (out, _) = expect(&["run", "prodcons", "--seed", "1", "--stats", "--format", "jsonl"], 0);
        let last: serde_json::Value =
            serde_json::from_str(out.lines().last().expect("events")).expect("JSON");
        assert_eq!(last["event"], "stats");
        assert_eq!(last["vms"][1]["exits"][0]["port"], 0xF3);
        assert!(last["vms"][1]["exits"][0]["guest_us"].as_f64().expect("a time") > 0.0);
    }
}

#[test]
fn an_explanation_has_a_sentence_for_each_call_and_exit() {
    if can_run_guests() && common::is_for_kvm() {
        let opened = ["open", "KVM_GET_API_VERSION", "KVM_GET_SUPPORTED_CPUID", "KVM_CHECK_EXTENSION"];
        let created = [
            "mmap",
            "KVM_CREATE_VM",
            "KVM_SET_TSS_ADDR",
            "KVM_SET_USER_MEMORY_REGION",
            "KVM_SET_USER_MEMORY_REGION",
            "KVM_CREATE_VCPU",
        ];
        // KVM takes the registers of a CPU in real mode, in which guests begin, with the entry. Long mode is a feature that CPUID reports.
        for (mode, rest) in [
            ("protected", &["copy", "copy", "kvm_run", "KVM_RUN"][..]),
            ("long", &["KVM_SET_CPUID2", "copy", "copy", "kvm_run", "KVM_RUN"]),
        ] {
            let Some((_, err)) = run_in(mode, "first", &["--explain"]) else { continue };
            let mut lines = err.lines();
            for call in opened.iter().chain(&created).chain(rest) {
                let line = lines.next().expect("a line for each");
                assert!(line.starts_with(&format!("explain: {call}")) && line.len() > 45, "{line}");
            }
        }
    }
}
