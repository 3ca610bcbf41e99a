//! The limits of a run: the time of a turn, exits, output, and readers that do not read.

use std::{io::Write, process::Stdio};

use crate::common::{can_run_guests, command, expect, full_pipe, image, pingpong, text};
use serde_json::Value;

fn events(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).expect("one JSON object a line")).collect()
}

#[track_caller]
fn find<'a>(events: &'a [Value], name: &str) -> &'a Value {
    events.iter().find(|event| event["event"] == name).unwrap_or_else(|| panic!("no {name}: {events:?}"))
}

fn guest(name: &str) -> String {
    image(name).to_str().expect("a path of text").into()
}

#[test]
fn a_turn_that_takes_too_long_ends_the_run_one_by_one_and_side_by_side() {
    if can_run_guests() {
        let hangs = guest("hangs");
        for (schedule, turn) in [("alternate", Some("turn 4")), ("free", None)] {
            let args = ["run", "prodcons", "--schedule", schedule, "--consumer", &hangs, "--produce", "1"];
            let (out, err) = expect(&[&args[..], &["--turn-timeout", "0.3"]].concat(), 4);
            let sentence = ": still running after 0.3 s, the time that a turn may take\n  try: ";
            assert!(err.contains("VM 2, hangs, turn ") && err.contains(sentence), "{err}");
            assert!(err.contains(turn.unwrap_or("")) && out.contains("audit: ok"), "{out}{err}");
        }
    }
}

#[test]
fn the_start_of_a_guest_and_a_guest_alone_are_a_turn() {
    if can_run_guests() {
        let args = ["run", "spins", "--turn-timeout", "0.2", "--format", "jsonl"];
        let (out, err) = expect(&args, 4);
        assert!(err.contains("VM 1, spins: still running after 0.2 s, the time that a turn"), "{err}");
        assert_eq!(find(&events(&out), "crash")["reason"], "turn-timeout");
        let args = ["run", "prodcons", "--consumer", &guest("spins"), "--turn-timeout", "0.2"];
        assert!(expect(&args, 4).1.contains("VM 2, spins: still running after 0.2 s"));
        let pingpong = pingpong();
        let pingpong = pingpong.to_str().expect("a path of text");
        let args = ["run", "--experiment", pingpong, "--turn-timeout", "10"];
        expect(&args, 0);
    }
}

#[test]
fn the_deadline_wins_where_it_is_sooner() {
    if can_run_guests() {
        let (_, err) = expect(&["run", "spins", "--turn-timeout", "50", "--timeout", "0.2"], 4);
        assert!(err.contains("still running after 0.2 s, the deadline"), "{err}");
    }
}

#[test]
fn exits_beyond_their_number_end_the_run_at_the_same_place_every_time() {
    if can_run_guests() {
        let args = ["run", "prodcons", "--seed", "7", "--schedule", "alternate", "--max-exits", "4"];
        let args = [&args[..], &["--format", "jsonl"]].concat();
        let (out, err) = expect(&args, 4);
        let sentence =
            "VM 1, guest-producer, turn 7: still running after 4 exits, the most that a VM may cause";
        assert!(err.contains(sentence) && err.contains("--max-exits"), "{err}");
        let events = events(&out);
        assert_eq!(find(&events, "crash")["reason"], "max-exits");
        let end = find(&events, "end");
        assert_eq!((&end["turns"], &end["exits"]["1"]["total"]), (&6.into(), &4.into()));
        assert_eq!(out, expect(&args, 4).0);
        expect(&["run", "prints-forever", "--max-exits", "1000"], 4);
        expect(&["run", "prodcons", "--schedule", "free", "--max-exits", "9"], 4);
        let pingpong = pingpong();
        let pingpong = pingpong.to_str().expect("a path of text");
        expect(&["run", "--experiment", pingpong, "--max-exits", "3"], 4);
    }
}

#[test]
fn as_many_exits_as_are_needed_are_enough() {
    if can_run_guests() {
        let args = ["run", "prodcons", "--turns", "10", "--schedule", "alternate", "--max-exits"];
        expect(&[&args[..], &["6"]].concat(), 0);
        expect(&[&args[..], &["5"]].concat(), 4);
    }
}

#[test]
fn a_recorded_limit_ends_the_replay_as_well() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.jsonl");
        let path = path.to_str().expect("a path of text");
        for (consumer, limit, turns, how) in [
            ("guest-consumer", ["--max-exits", "4"], 6, "up to the same crash"),
            ("hangs", ["--turn-timeout", "0.3"], 3, "up to the deadline that ended the recorded run"),
        ] {
            let run = ["run", "prodcons", "--schedule", "alternate", "--consumer", &guest(consumer)];
            let options = ["--produce", "1", "--record", path];
            expect(&[&run[..], &options[..], &limit[..]].concat(), 4);
            let expected = format!("identical: {turns} turns, {how}\n");
            assert_eq!(expect(&["replay", path], 0).0, expected);
        }
    }
}

#[test]
fn output_without_end_is_cut_off_and_it_is_said_how_much() {
    if can_run_guests() {
        let run = ["run", "prints-forever", "--max-output", "10", "--max-exits"];
        let (out, err) = expect(&[&run[..], &["100"]].concat(), 4);
        assert_eq!(out, "and on\nand\n");
        let dropped = 100 * "and on\n".len() - 10;
        let sentence = format!(
            "VM 1, prints-forever: printed {dropped} bytes more than the 10 that --max-output allows; they were dropped\n"
        );
        assert!(err.starts_with(&sentence), "{err}");
        let (out, err) = expect(&[&run[..], &["100", "--format", "jsonl"]].concat(), 4);
        let events = events(&out);
        let event = find(&events, "dropped");
        assert_eq!(
            (&event["vm"], &event["bytes"], &event["limit"]),
            (&1.into(), &dropped.into(), &10.into())
        );
        assert!(!err.contains("--max-output"), "{err}");
    }
}

#[test]
fn what_is_dropped_is_counted_for_each_vm_and_the_run_goes_on() {
    if can_run_guests() {
        let pingpong = pingpong();
        let pingpong = pingpong.to_str().expect("a path of text");
        let args = ["run", "--experiment", pingpong, "--format", "jsonl", "--max-output", "7"];
        let (out, _) = expect(&args, 0);
        let events = events(&out);
        let dropped: Vec<_> =
            events.iter().filter(|event| event["event"] == "dropped").map(|event| &event["vm"]).collect();
        assert_eq!(dropped, [1, 2]);
        assert_eq!(find(&events, "end")["turns"], 10);
        let (out, err) = expect(&["run", "hello", "--max-output", "0"], 0);
        assert!(out.is_empty() && err.contains("more than the 0 that"), "{out}{err}");
        assert!(!expect(&["run", "hello"], 0).1.contains("--max-output"));
    }
}

/// Runs with an output that is never read: the run must end at its deadline.
#[track_caller]
fn ends_though_nobody_reads(args: &[&str]) {
    let (reader, writer) = full_pipe();
    let output = command(args).stdout(writer).stderr(Stdio::piped()).output().expect("guestlab runs");
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{args:?}: {err}");
    // Side by side, a VM may still be running when the time is up, and be told of first.
    let held = err.contains("guestlab: the output is not read: it could not be written within 0.5 s");
    assert!(held || args.contains(&"free"), "{args:?}: {err}");
    drop(reader);
}

#[test]
fn an_output_that_is_not_read_does_not_hold_a_run_beyond_its_deadline() {
    if can_run_guests() {
        let prodcons = ["run", "prodcons", "--turns", "10000000", "--timeout", "0.5"];
        ends_though_nobody_reads(&prodcons);
        ends_though_nobody_reads(&[&prodcons[..], &["--format", "jsonl"]].concat());
        ends_though_nobody_reads(&[&prodcons[..], &["--schedule", "free"]].concat());
        ends_though_nobody_reads(&["run", "prints-forever", "--timeout", "0.5"]);
        let pingpong = pingpong();
        let pingpong = pingpong.to_str().expect("a path of text");
        let relay = ["run", "--experiment", pingpong, "--turns", "10000000", "--timeout", "0.5"];
        ends_though_nobody_reads(&relay);
    }
}

#[test]
fn what_a_guest_causes_on_standard_error_at_each_call_is_its_output_too() {
    if can_run_guests() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        // again: mov eax, -1; out 0xEE, eax; jmp again
        let code = [0x66, 0xB8, 0xFF, 0xFF, 0xFF, 0xFF, 0x66, 0xE7, 0xEE, 0xEB, 0xF5];
        file.write_all(&code).expect("written");
        let path = file.path().to_str().expect("a path of text");
        let args = ["run", "--image", path, "--format", "flat", "--mode", "real", "--max-exits", "100"];
        for (options, lines, dropped) in [
            (&[][..], 100, None),
            (&["--max-output", "30"], 2, Some(98 * 12)),
            (&["--max-output", "0"], 0, Some(100 * 12)),
            (&["--quiet"], 0, None),
            (&["--quiet", "--allow-hva"], 0, None),
        ] {
            let (_, err) = expect(&[&args[..], options].concat(), 4);
            assert_eq!(err.matches("Invalid GVA\n").count(), lines, "{options:?}: {err}");
            let sentence = dropped.map(|bytes| format!("printed {bytes} bytes more than the "));
            assert_eq!(sentence.as_ref().is_some_and(|it| err.contains(it)), dropped.is_some(), "{err}");
        }
    }
}
