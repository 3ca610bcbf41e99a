//! The runtime's services, by the examples that show them, in every CPU mode of this machine.

use crate::common::{self, MODES, can_run_guests, command, expect, text};

/// Runs an example in a mode. If this machine's KVM does not have the mode, prints that and returns `None`.
fn run_in(mode: &str, args: &[&str]) -> Option<String> {
    let output = command(&[&["run", "--mode", mode], args].concat()).output().expect("guestlab runs");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    if output.status.code() == Some(5) && mode == "paged" {
        eprintln!("skipped: {mode} mode: {err}");
        return None;
    }
    assert_eq!(output.status.code(), Some(0), "{mode}: {err}");
    Some(out)
}

#[test]
fn the_heap_grows_as_arguments_say() {
    if can_run_guests() {
        for mode in MODES {
            let Some(out) = run_in(mode, &["primes", "--", "500"]) else { continue };
            assert!(out.starts_with("95 primes below 500, the last one Some(499)\nheap: "), "{mode}: {out}");
        }
        let out = run_in("long", &["primes"]).expect("every KVM has it");
        assert!(out.starts_with("168 primes below 1000, the last one Some(997)\n"), "{out}");
    }
}

#[test]
fn a_heap_that_is_used_up_is_a_panic_that_says_by_what() {
    if can_run_guests() {
        let (_, err) = expect(&["run", "primes", "--", "9000000"], 1);
        assert!(err.contains("out of memory: 9000000 bytes were asked for; the heap has 20"), "{err}");
        assert!(err.contains("give the guest more with --memory") && err.contains("primes.rs:"), "{err}");
        let (_, err) = expect(&["run", "primes", "--mode", "real", "--", "60000"], 1);
        assert!(err.contains("in real mode it ends at 64 KiB"), "{err}");
        let (out, _) = expect(&["run", "primes", "--memory", "16M", "--mode", "long", "--", "20000"], 0);
        assert!(out.starts_with("2262 primes below 20000"), "{out}");
    }
}

#[test]
fn arguments_after_two_dashes_reach_the_guest_as_text() {
    if can_run_guests() {
        let (_, err) = expect(&["run", "primes", "--", "--help"], 1);
        assert!(err.contains("a number: ParseIntError"), "{err}");
        let image = common::image("primes");
        let image = image.to_str().expect("a path of text");
        let (out, _) = expect(&["run", "--image", image, "--", "10"], 0);
        assert!(out.starts_with("4 primes below 10, "), "{out}");
        let long = "x".repeat(5000);
        let (_, err) = expect(&["run", "primes", "--", &long], 2);
        assert!(err.contains("arguments"), "{err}");
    }
}

#[test]
fn arguments_for_whom_they_do_not_reach_are_refused() {
    let (_, err) = expect(&["run", "prodcons", "--", "x"], 2);
    assert!(err.contains("arguments after -- are for a guest that runs alone"), "{err}");
    if can_run_guests() {
        let flat = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(flat.path(), [0xF4]).expect("written");
        let path = flat.path().to_str().expect("a path of text");
        let (_, err) = expect(&["run", "--image", path, "--format", "flat", "--", "x"], 2);
        assert!(err.contains("reach only guests that are built with guest-rt"), "{err}");
    }
}

#[test]
fn the_log_shows_level_and_target() {
    if can_run_guests() {
        let expected = "ERROR logs: nothing works\n\
            WARN  logs: 3 things do not work\n\
            INFO  logs: this works\\nand this is no line of its own\n\
            DEBUG logs: how it works\n\
            TRACE logs: step by step\n\
            DEBUG disk::sector: read sector 7\n";
        for mode in MODES {
            let Some(out) = run_in(mode, &["logs", "--log", "trace"]) else { continue };
            assert_eq!(out, expected, "{mode}");
        }
    }
}

#[test]
fn the_log_is_filtered_by_level_and_target() {
    if can_run_guests() {
        let levels = |filter: &[&str]| {
            let (out, _) = expect(&[&["run", "logs"], filter].concat(), 0);
            out.lines().map(|line| line.split(':').next().expect("a word").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(levels(&[]), ["ERROR logs", "WARN  logs", "INFO  logs"]);
        assert_eq!(levels(&["--log", "error,disk=debug"]), ["ERROR logs", "DEBUG disk"]);
        assert_eq!(levels(&["--log", "off"]), [""; 0]);
    }
    let (_, err) = expect(&["run", "logs", "--log", "disk=loud"], 2);
    assert!(err.contains("TARGET=LEVEL"), "{err}");
}

#[test]
fn a_record_in_json_is_an_event() {
    if can_run_guests() {
        let (out, _) = expect(&["run", "logs", "--format", "jsonl", "--log", "disk"], 0);
        let expected = r#"{"event":"log","vm":1,"name":"logs","level":"debug","target":"disk::sector","message":"read sector 7"}"#;
        assert_eq!(out.lines().next(), Some(expected));
        let exits = out.lines().last().expect("an end");
        assert!(exits.contains(r#""io_out":7"#), "six records and the exit, shown or not: {exits}");
    }
}

#[test]
fn records_count_as_output() {
    if can_run_guests() {
        let (out, err) = expect(&["run", "logs", "--max-output", "25", "--log", "trace"], 0);
        assert_eq!(out, "ERROR logs: nothing works\n");
        assert!(err.contains("bytes more than the 25 that --max-output allows"), "{err}");
    }
}

#[test]
fn the_clock_shows_what_time_goes_by() {
    if can_run_guests() {
        for mode in MODES {
            // The guest checks it itself.
            let Some(out) = run_in(mode, &["stopwatch"]) else { continue };
            assert!(
                out.starts_with("the clock has 1000000000 ticks in a second, and shows "),
                "{mode}: {out}"
            );
            assert!(out.contains("\nan interrupt asked for in 2ms came after "), "{mode}: {out}");
        }
    }
}

#[test]
fn the_rand_crate_works_on_top_and_a_seed_repeats_it() {
    if can_run_guests() {
        let expected = run_in("protected", &["dice", "--seed", "4"]).expect("every KVM has it");
        assert!(expected.starts_with("six throws: ") && expected.contains("\ncards: ["), "{expected}");
        for mode in MODES {
            let Some(out) = run_in(mode, &["dice", "--seed", "4"]) else { continue };
            // rand's own generator is another one where there are 64 bits.
            assert_eq!(out.lines().next(), expected.lines().next(), "{mode}");
            assert_eq!(run_in(mode, &["dice", "--seed", "4"]), Some(out));
        }
        assert_ne!(run_in("protected", &["dice", "--seed", "5"]).as_ref(), Some(&expected));
    }
}
