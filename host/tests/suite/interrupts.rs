//! The timer's interrupt at chosen places: `explore --interrupts` and `run --interrupt-at`. The interpreter runs the guests.

use crate::common::{expect, image, images, text};

/// A guest that goes wrong, with the words of the report that it leads to, and the exit status.
const WRONG: [(&str, &str, &str, i32); 4] = [
    (
        "shares-a-counter",
        "guest-rt/examples/wrong/shares-a-counter.rs:34 in shares_a_counter::main",
        "assertion `left == right` failed\n    |   left: 20\n    |  right: 21\n",
        1,
    ),
    (
        "locks-with-interrupts-on",
        "guest-rt/examples/wrong/locks-with-interrupts-on.rs:33 in locks_with_interrupts_on::count",
        "still running after 0.3 s, the deadline",
        4,
    ),
    (
        "sleeps-too-late",
        "guest-rt/examples/wrong/sleeps-too-late.rs:25 in sleeps_too_late::main",
        "halted with nothing to wait for",
        3,
    ),
    (
        "spoils-a-register",
        "guest-rt/examples/wrong/spoils-a-register.rs:30 in spoils_a_register::sum",
        "assertion `left == right` failed\n    |   left: 231\n    |  right: 210\n",
        1,
    ),
];

/// Returns the words of the `run` command in a report.
fn command(out: &str) -> Vec<String> {
    let line = out.lines().find_map(|line| line.trim().strip_prefix("cargo xtask "));
    line.unwrap_or_else(|| panic!("no command: {out}")).split_whitespace().map(String::from).collect()
}

#[test]
fn each_wrong_guest_is_found_at_its_line_and_the_command_shows_it_again() {
    for mode in ["protected", "real", "paged", "long"] {
        for (guest, place, reason, status) in WRONG {
            let plain = ["run", guest, "--engine", "soft", "--mode", mode];
            expect(&plain, 0);
            let args =
                ["explore", guest, "--interrupts", "--mode", mode, "--engine", "soft", "--timeout", "0.3"];
            let (out, err) = expect(&args, status);
            assert!(out.contains(&format!(" at {place}\n")), "{mode}: {out}");
            assert!(err.contains(reason), "{mode}: {err}");
            let again = command(&out);
            let again: Vec<&str> = again.iter().map(String::as_str).collect();
            let (_, err) = expect(&[&again[..], &["--engine", "soft", "--timeout", "0.3"]].concat(), status);
            assert!(err.contains(reason), "{mode}: {again:?}: {err}");
        }
    }
}

#[test]
fn what_guests_share_with_a_handler_holds_at_each_place() {
    let tests = images().join("tests/guest-rt-handlers.elf");
    let tests = tests.to_str().expect("text");
    let (out, err) = expect(&["explore", tests, "--interrupts", "--engine", "soft", "--runs", "500"], 0);
    assert_eq!(out.lines().count(), 5, "{out}{err}");
    for line in out.lines() {
        assert!(line.contains("it holds at all ") && line.contains(" pairs of places"), "{line}");
    }
    // Each of them has places where the handler comes.
    let places = |line: &str| line.split("at all ").nth(1)?.split(' ').next()?.parse::<u32>().ok();
    assert!(out.lines().all(|line| places(line) > Some(1)), "{out}");
}

#[test]
fn what_only_two_interrupts_break_is_found_at_a_pair_of_places() {
    let args = ["explore", "sees-one-of-two", "--interrupts", "--engine", "soft"];
    let (out, err) = expect(&args, 1);
    assert!(out.contains("sees-one-of-two: found at pair "), "{out}");
    assert_eq!(out.matches(" at guest-rt/examples/wrong/sees-one-of-two.rs:").count(), 2, "{out}");
    let again = command(&out);
    let again: Vec<&str> = again.iter().map(|word| word.trim_matches('\'')).collect();
    assert_eq!(expect(&[&again[..], &["--engine", "soft"]].concat(), 1).1, err);
    // One of the two is not enough.
    let (first, _) = again[again.len() - 1].split_once(',').expect("two places");
    let one = [&again[..again.len() - 1], &[first, "--engine", "soft"]].concat();
    assert_eq!(expect(&one, 0).1, "");
}

#[test]
fn a_guest_that_takes_interrupts_well_holds() {
    let args = ["explore", "timer", "--interrupts", "--engine", "soft", "--time", "0.2"];
    let (out, _) = expect(&args, 0);
    assert!(out.starts_with("timer: it holds at "), "{out}");
    let plain = expect(&["run", "timer", "--engine", "soft"], 0);
    // Two pauses in the guest's busy loop: the second finds no timer.
    let (out, err) = expect(&["run", "timer", "--engine", "soft", "--interrupt-at", "5000,900000"], 0);
    assert_eq!(out, plain.0);
    assert!(
        err.contains(
            "--interrupt-at 900000: no interrupt came after 900000 instructions: the guest has ended after "
        ),
        "{err}"
    );
    assert!(!err.contains("--interrupt-at 5000:"), "{err}");
}

#[test]
fn an_interrupt_that_cannot_come_is_told() {
    for (guest, at, why) in [
        ("timer", "1", "no timer was set then"),
        ("hello", "1", "no timer was set then"),
        ("timer", "99999999999", "the guest has ended after "),
    ] {
        let (_, err) = expect(&["run", guest, "--engine", "soft", "--interrupt-at", at], 0);
        assert!(
            err.contains(&format!("--interrupt-at {at}: no interrupt came after {at} instructions: {why}")),
            "{err}"
        );
    }
    let (out, _) = expect(&["explore", "hello", "--interrupts", "--engine", "soft"], 0);
    assert!(out.contains("hello: there is no place where an interrupt can come: no timer runs"), "{out}");
}

#[test]
fn bad_places_and_bad_guests_are_refused() {
    let hello = image("hello");
    let hello = hello.to_str().expect("text");
    let flat = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(flat.path(), b"\xF4").expect("written");
    let flat = flat.path().to_str().expect("text");
    for (args, status, words) in [
        (&["run", "timer", "--interrupt-at", "0"][..], 2, "0 is not in 1.."),
        (&["run", "timer", "--interrupt-at", "x"], 2, "invalid digit"),
        (&["run", "timer", "--interrupt-at", "-1"], 2, "invalid value '-1'"),
        (&["run", "timer", "--interrupt-at", ""], 2, "cannot parse integer from empty string"),
        (&["run", "timer", "--interrupt-at", "9", "--engine", "kvm"], 2, "which KVM cannot"),
        (&["run", "prodcons", "--interrupt-at", "9"], 2, "for a guest that runs alone"),
        (&["explore", "timer", "--interrupts", "--engine", "kvm"], 2, "which KVM cannot"),
        (&["explore", "prodcons", "--interrupts"], 2, "for a guest that runs alone"),
        (&["explore", "no guest", "--interrupts"], 2, "is not a guest's name"),
        (&["explore", "timer", "--interrupts", "--capacity", "6"], 2, "cannot be used with"),
        (&["explore", "./no-such.elf", "--interrupts", "--engine", "soft"], 2, "no-such.elf"),
        (&["explore", flat, "--interrupts", "--engine", "soft"], 2, ""),
        (&["explore", hello, "--engine", "soft"], 2, "explore takes `prodcons`"),
    ] {
        let mut command = crate::common::command(args);
        command.env("GUESTLAB_ENGINE", "auto");
        let output = command.output().expect("guestlab runs");
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {err}");
        assert!(err.contains(words), "{args:?}: {err}");
        assert_eq!(text(&output.stdout), "", "{args:?}");
    }
}

#[test]
fn a_guest_that_fails_without_an_interrupt_is_told_so() {
    let (out, err) = expect(&["explore", "panics", "--interrupts", "--engine", "soft"], 1);
    assert!(out.contains("panics: it fails without an interrupt at a chosen place"), "{out}");
    assert!(err.contains("panicked at "), "{err}");
}
