//! Misbehaving guests on KVM: the status and the message of each.

use crate::common::{self, can_run_guests, expect, is_for_kvm};

/// Runs a guest alone; it must end with the status and the sentence.
#[track_caller]
fn ends(guest: &str, status: i32, sentence: &str) {
    if can_run_guests() {
        let (_, err) = expect(&["run", guest, "--timeout", "20"], status);
        assert!(err.contains(&format!("guestlab: VM 1, {guest}: ")), "{err}");
        assert!(err.contains(sentence), "{err}");
        assert!(err.contains("\n  try: "), "{err}");
    }
}

#[test]
fn a_panic_is_reported_with_its_place() {
    ends("panics", 1, "panicked at guest-rt/examples/misbehaving/panics.rs:12:5: VM 1 gives up");
}

#[test]
fn a_number_that_overflows_is_a_panic_with_its_place() {
    let place = "guest-rt/examples/misbehaving/counts-below-zero.rs:11:39";
    ends("counts-below-zero", 1, &format!("panicked at {place}: attempt to subtract with overflow"));
}

#[test]
fn a_status_is_reported() {
    ends("exits-with-7", 1, "exited with status 7");
}

#[test]
fn an_endless_loop_ends_at_the_deadline() {
    if can_run_guests() {
        let (_, err) = expect(&["run", "spins", "--timeout", "0.2"], 4);
        assert!(err.contains("still running after 0.2 s, the deadline"), "{err}");
    }
}

#[test]
fn a_triple_fault_is_a_crash() {
    ends("triple-faults", 3, "triple fault");
}

#[test]
fn an_exception_is_reported_with_its_name_and_place() {
    ends("divides-by-zero", 3, "divide error (#DE) at instruction 0x7");
    ends("undefined-instruction", 3, "invalid opcode (#UD) at instruction 0x7");
    ends("jumps-into-data", 3, "invalid opcode (#UD) at instruction 0x7");
    ends("loads-bad-segment", 3, "error code 0x1230: entry 582 of the global descriptor table");
}

#[test]
fn a_handler_can_recover() {
    if can_run_guests() {
        let (out, _) = expect(&["run", "recovers"], 0);
        let expected = [1, 2, 3].map(|n| format!("a divide error\nstill here after division {n}\n")).concat();
        assert_eq!(out, expected);
    }
}

#[test]
fn an_exception_in_a_handler_of_one_is_reported() {
    ends("traps-again", 3, "invalid opcode (#UD) at instruction 0x7");
}

#[test]
fn a_push_of_the_cpu_onto_the_guard_page_is_a_stack_overflow() {
    ends("traps-off-stack", 3, "stack overflow: the CPU had to push for an exception or an interrupt");
}

#[test]
fn an_interrupt_that_has_no_handler_is_reported() {
    ends("unhandled-interrupt", 3, "the timer's interrupt came, and there is no handler for it");
}

#[test]
fn an_endless_loop_with_interrupts_off_ends_at_the_deadline_whatever_the_timer_wants() {
    if can_run_guests() {
        let (_, err) = expect(&["run", "spins-deaf", "--timeout", "0.2"], 4);
        assert!(err.contains("still running after 0.2 s, the deadline"), "{err}");
        assert!(err.contains("try: let the timer's interrupt in, which waits"), "{err}");
        let (_, err) = expect(&["run", "spins", "--timeout", "0.2"], 4);
        assert!(err.contains("try: look for an endless loop"), "{err}");
    }
}

#[test]
fn a_wait_for_the_timer_ends_at_the_deadline() {
    if can_run_guests() && is_for_kvm() {
        let (_, err) = expect(&["run", "waits-long", "--timeout", "0.2"], 4);
        assert!(err.contains("still running after 0.2 s, the deadline"), "{err}");
    }
}

/// The interpreter does not wait: the guest's hour is over at once.
#[test]
fn a_wait_for_the_timer_takes_no_time_on_the_interpreter() {
    let (_, err) = expect(&["run", "waits-long", "--timeout", "60", "--engine", "soft"], 3);
    assert!(err.contains("the timer's interrupt came, and there is no handler for it"), "{err}");
}

#[test]
fn a_trap_in_json_has_its_name_and_place() {
    if can_run_guests() {
        let (out, _) = expect(&["run", "undefined-instruction", "--format", "jsonl"], 3);
        let crash: serde_json::Value =
            serde_json::from_str(out.lines().last().expect("events")).expect("JSON");
        assert_eq!((&crash["event"], &crash["reason"]), (&"crash".into(), &"trap-ud".into()));
        assert!(crash["address"].as_u64().is_some_and(|address| address > 0x7000), "{crash}");
    }
}

#[test]
fn a_write_outside_memory_is_a_crash() {
    ends("writes-outside", 3, "wrote to address 0x40000000, where it has no memory");
}

#[test]
fn a_null_pointer_is_a_crash() {
    ends("null-pointer", 3, "null pointer: read from address 0x0");
}

#[test]
fn a_jump_through_a_null_pointer_is_a_crash() {
    ends("jumps-to-null", 3, "jumped to 0x0, a null pointer");
}

#[test]
fn a_stack_overflow_is_noticed() {
    ends("overflows-stack", 3, "stack overflow: wrote to the guard page below the stack, at 0x2");
}

#[test]
fn an_unknown_port_is_a_crash() {
    ends("unknown-port", 3, "wrote to port 0x42, 32-bit, which is no hypercall");
}

#[test]
fn a_halt_with_nothing_to_wait_for_is_a_crash() {
    ends("halts", 3, "halted with nothing to wait for");
    ends("halts-deaf", 3, "halted with nothing to wait for");
}

#[test]
fn a_turn_without_a_mailbox_is_a_crash() {
    ends("no-mailbox", 3, "ended its turn without having attached a mailbox");
}

#[test]
fn a_mailbox_outside_memory_is_a_crash() {
    ends("bad-mailbox", 3, "MailboxAttach: a mailbox at 0x1ffffc (284 bytes)");
}

#[test]
fn a_guest_of_an_exchange_is_told_to_run_in_one() {
    ends("guest-producer", 3, "there is nobody to exchange with");
}

/// Runs an exchange in which one guest misbehaves.
#[track_caller]
fn spoils(option: &str, guest: &str, status: i32) -> (String, String) {
    let image = common::image(guest);
    let image = image.to_str().expect("a path of text");
    expect(&["run", "prodcons", "--seed", "1", option, image, "--timeout", "20"], status)
}

#[test]
fn a_broken_rule_is_reported_with_both_states_and_the_ring_stays() {
    if can_run_guests() {
        let (out, err) = spoils("--producer", "overfills", 3);
        assert!(err.contains("VM 1, overfills, turn 3: broke the ring's rule `count-range`"), "{err}");
        assert!(err.contains("the ring stays:  cons_p=0 prod_p=0 count=6 capacity=6"), "{err}");
        assert!(err.contains("it claimed:      cons_p=0 prod_p=0 count=7 capacity=6"), "{err}");
        assert!(out.contains("audit: failed") && out.contains("6 left in the ring"), "{out}");
    }
}

#[test]
fn a_guest_that_fails_in_an_exchange_ends_it_with_its_own_status() {
    if can_run_guests() {
        for (guest, status, sentence) in [
            ("leaves-exchange", 3, "exited with status 0 while the exchange was going on"),
            ("panics", 1, "VM 2, panics: panicked at"),
            ("exits-with-7", 1, "VM 2, exits-with-7: exited with status 7"),
            ("no-mailbox", 3, "VM 2, no-mailbox: ended its turn without"),
            ("bad-mailbox", 3, "VM 2, bad-mailbox: MailboxAttach: a mailbox"),
            ("triple-faults", 3, "VM 2, triple-faults: triple fault"),
        ] {
            let (out, err) = spoils("--consumer", guest, status);
            assert!(err.contains(sentence), "{err}");
            assert!(out.contains("audit: ok"), "what was exchanged until then is accounted for: {out}");
        }
    }
}

#[test]
fn json_lines_have_the_crash() {
    if can_run_guests() {
        let image = common::image("overfills");
        let image = image.to_str().expect("a path of text");
        let args = ["run", "prodcons", "--seed", "1", "--producer", image, "--format", "jsonl"];
        let (out, _) = expect(&args, 3);
        let events: Vec<serde_json::Value> =
            out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let crash = &events[events.len() - 2];
        assert_eq!(
            (&crash["event"], &crash["reason"], &crash["turn"]),
            (&"crash".into(), &"violation".into(), &3.into())
        );
        assert_eq!(
            (&crash["states"]["old"]["count"], &crash["states"]["claimed"]["count"]),
            (&6.into(), &7.into())
        );
        assert_eq!(
            (&events[events.len() - 1]["event"], &events[events.len() - 1]["audit"]),
            (&"end".into(), &"failed".into())
        );
    }
}
