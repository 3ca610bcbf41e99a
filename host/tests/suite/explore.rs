//! The explorer: it finds each wrong guest, and shrinks the failure to the smallest.

use std::fs;

use crate::common::{can_run_guests, engine, expect};
use serde_json::Value;
use tempfile::TempDir;

/// The wrong guests of guest-rt's examples, each with its side and the status of its failure.
const WRONG: [(&str, &str, i32); 19] = [
    ("adds-one-seven", "--producer", 3),
    ("counts-its-own", "--producer", 3),
    ("drops-at-wrap", "--producer", 3),
    ("forgets-count", "--producer", 3),
    ("forgets-its-account", "--producer", 3),
    ("full-and-turned", "--consumer", 3),
    ("full-is-empty", "--consumer", 3),
    ("grows-the-ring", "--producer", 3),
    ("makes-room", "--producer", 3),
    ("never-adds", "--producer", 3),
    ("never-takes", "--consumer", 3),
    ("never-wraps", "--consumer", 3),
    ("overdraws", "--consumer", 3),
    ("overfills", "--producer", 3),
    ("panics-at-three", "--consumer", 1),
    ("stale-slot", "--producer", 3),
    ("swaps-items", "--consumer", 3),
    ("takes-all", "--consumer", 3),
    ("wrong-at-37", "--producer", 3),
];

/// Explores with these options; the search must end with a status. Returns its verdict.
#[track_caller]
fn explore(folder: &TempDir, options: &[&str], status: i32) -> (Value, String) {
    let recording = folder.path().join("failure.jsonl");
    let recording = recording.to_str().expect("a path of text");
    let own = ["explore", "prodcons", "--format", "jsonl", "--record", recording];
    let (out, err) = expect(&[&own, options].concat(), status);
    assert_eq!(out.lines().count(), 1, "one verdict: {out}");
    (serde_json::from_str(&out).expect("JSON"), err)
}

/// The arguments of the command that repeats a failure.
fn command(failure: &Value) -> Vec<&str> {
    let command = failure["command"].as_str().expect("a command");
    command.strip_prefix("cargo xtask ").expect("one of xtask's").split(' ').collect()
}

/// The same arguments with another schedule.
fn with_schedule(arguments: &[&str], turns: &str) -> Vec<String> {
    let mut arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let schedule = arguments.iter().position(|argument| argument == "--schedule").expect("a schedule");
    arguments.truncate(schedule);
    arguments.extend(match turns.is_empty() {
        true => ["--turns".to_owned(), "0".to_owned()],
        false => ["--schedule".to_owned(), format!("string:{turns}")],
    });
    arguments
}

#[test]
fn every_wrong_guest_is_found_and_its_schedule_is_minimal() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        for (guest, side, status) in WRONG {
            let (verdict, err) = explore(&folder, &[side, guest], status);
            assert_eq!(verdict["verdict"], "failed", "{guest}");
            let failure = &verdict["failure"];
            assert_eq!((&failure["crash"]["name"], &failure["shortest"]), (&guest.into(), &true.into()));

            let arguments = command(failure);
            assert_eq!(expect(&arguments, status).1, err, "{guest}: the command shows the same");
            let turns = failure["schedule"].as_str().expect("a schedule");
            for left_out in 0..turns.len() {
                let fewer: String = turns
                    .chars()
                    .enumerate()
                    .filter(|(turn, _)| *turn != left_out)
                    .map(|(_, vm)| vm)
                    .collect();
                let arguments = with_schedule(&arguments, &fewer);
                expect(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), 0);
            }

            let recording = failure["recording"].as_str().expect("a recording");
            let expected = format!("identical: {} turns, up to the same crash\n", turns.len() - 1);
            assert_eq!(expect(&["replay", recording], 0).0, expected, "{guest}");
        }
    }
}

#[test]
fn minimal_schedules_are_as_long_as_the_guests_need() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        for (guest, side, expected) in [
            ("forgets-its-account", "--producer", "11111"),
            ("full-and-turned", "--consumer", "1212"),
            ("never-wraps", "--consumer", "12"),
            ("overdraws", "--consumer", "2"),
        ] {
            let status = 3;
            assert_eq!(explore(&folder, &[side, guest], status).0["failure"]["schedule"], expected);
            // Where no short schedule is tried, a random one is found and comes down to much the same.
            let random = [side, guest, "--depth", "0", "--runs", "5000"];
            let (verdict, _) = explore(&folder, &random, status);
            let turns = |trial: &Value| trial["schedule"].as_str().expect("a schedule").len();
            let (first, last) = (turns(&verdict["failure"]["first"]), turns(&verdict["failure"]));
            assert!(last <= expected.len() + 2 && last <= first, "{verdict}");
        }
    }
}

#[test]
fn our_guests_survive_and_the_search_is_the_same_for_the_same_seed() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let verdict = |options: &[&str]| {
            let (mut verdict, _) =
                explore(&folder, &[&["--depth", "3", "--runs", "200"], options].concat(), 0);
            for clocked in ["seconds", "guest_seconds", "runs_per_second"] {
                assert!(verdict.as_object_mut().expect("an object").remove(clocked).is_some());
            }
            verdict
        };
        let first = verdict(&[]);
        assert_eq!((&first["verdict"], &first["runs"]), (&"ok".into(), &(2 * 8 * 64 + 200).into()));
        let searched = serde_json::json!({"short": 512, "of": 512, "ordered": 512, "random": 200});
        assert_eq!((&first["searched"], &first["findings"]), (&searched, &serde_json::json!([])));
        let moved = |vm: &str| first["moved"][vm].as_u64().expect("a number");
        assert!(moved("1") > moved("2") && moved("2") > 1000, "{first}");
        assert_eq!(first, verdict(&[]));
        assert_ne!(first["turns"], verdict(&["--seed", "2"])["turns"]);
        assert!(!folder.path().join("failure.jsonl").exists(), "there is nothing to record");
        let many = verdict(&["--producers", "2", "--consumers", "2", "--capacity", "3"]);
        assert_eq!((&many["verdict"], &many["runs"]), (&"ok".into(), &(2 * 64 + 200).into()));
        assert_eq!(many["moved"].as_object().map(serde_json::Map::len), Some(4));
        // What was asked for is not varied.
        let told = verdict(&["--produce", "2", "--consume", "1"]);
        assert_eq!((&told["verdict"], &told["runs"]), (&"ok".into(), &(8 * 64 + 200).into()));
    }
}

/// The orders of a failure's trial.
fn orders(failure: &Value) -> [Option<u64>; 2] {
    ["produce", "consume"].map(|side| failure[side].as_u64())
}

#[test]
fn guests_that_do_not_obey_are_found_with_the_least_order_that_shows_it() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        for (guest, expected, schedule, capacity) in [
            ("never-takes", [1, 1], "12", 1),
            ("full-is-empty", [1, 1], "12", 1),
            ("takes-all", [1, 0], "12", 1),
        ] {
            for search in [["--depth", "2", "--runs", "0"], ["--depth", "0", "--runs", "1000"]] {
                let (verdict, err) = explore(&folder, &[&["--consumer", guest], &search[..]].concat(), 3);
                let failure = &verdict["failure"];
                assert_eq!(failure["crash"]["rule"], "quota", "{guest}: {verdict}");
                assert_eq!(orders(failure), expected.map(Some), "{guest}");
                assert_eq!(
                    (&failure["schedule"], &failure["capacity"]),
                    (&schedule.into(), &capacity.into())
                );
                assert!(err.contains("broke the ring's rule `quota`: the turn was told to take "), "{err}");
            }
        }
        // An order that was asked for is the one that is shown, and the other side's may be any number.
        let (verdict, _) = explore(&folder, &["--consumer", "takes-all", "--consume", "2"], 3);
        assert_eq!(orders(&verdict["failure"])[1], Some(2), "{verdict}");
    }
}

#[test]
fn guests_that_leave_nothing_to_chance_are_a_finding() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let search = ["--depth", "3", "--runs", "200"];
        for (side, guest, finding) in [
            ("--consumer", "never-chooses", "always-all"),
            ("--consumer", "always-two", "same-number"),
            ("--producer", "always-seven", "same-value"),
        ] {
            let (verdict, err) = explore(&folder, &[&[side, guest], &search[..]].concat(), 3);
            assert_eq!((&verdict["verdict"], &verdict["failure"]), (&"finding".into(), &Value::Null));
            let findings = verdict["findings"].as_array().expect("findings");
            assert_eq!((findings.len(), &findings[0]["finding"]), (1, &finding.into()), "{verdict}");
            assert_eq!(findings[0]["name"], guest);
            let message = findings[0]["message"].as_str().expect("a message");
            let vm = findings[0]["vm"].as_u64().expect("a number");
            assert!(err.starts_with(&format!("guestlab: VM {vm}, {guest}: {message}\n  try: ")), "{err}");
        }
        // Where it has no choice there is none to be missed.
        let told = ["--consumer", "never-chooses", "--consume", "1", "--depth", "3", "--runs", "200"];
        assert_eq!(explore(&folder, &told, 0).0["verdict"], "ok");
        // A few turns prove nothing.
        let few = ["--consumer", "never-chooses", "--depth", "1", "--runs", "2", "--capacity", "1"];
        assert_eq!(explore(&folder, &few, 0).0["verdict"], "ok");
    }
}

#[test]
fn a_guest_that_fails_before_its_first_turn_needs_no_turn() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let (verdict, err) = explore(&folder, &["--consumer", "no-mailbox"], 3);
        let failure = &verdict["failure"];
        assert_eq!(failure["schedule"], "");
        assert_eq!(expect(&command(failure), 3).1, err);
        let recording = failure["recording"].as_str().expect("a recording");
        assert_eq!(expect(&["replay", recording], 0).0, "identical: 0 turns, up to the same crash\n");
    }
}

#[test]
fn a_guest_that_hangs_is_found_by_the_deadline_of_one_run() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let (verdict, _) = explore(&folder, &["--producer", "spins", "--timeout", "0.3"], 4);
        let failure = &verdict["failure"];
        assert_eq!(failure["crash"]["reason"], "deadline");
        assert!(failure["command"].as_str().expect("a command").ends_with("--timeout 0.3"), "{failure}");
        expect(&command(failure), 4);
    }
}

#[test]
fn the_text_says_what_to_do_next() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let recording = folder.path().join("failure.jsonl");
        let recording = recording.to_str().expect("a path of text");
        let (out, err) =
            expect(&["explore", "prodcons", "--producer", "overfills", "--record", recording], 3);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(
            lines[0],
            "explore prodcons: capacities 1 to 64, every schedule of up to 6 turns (4096 runs), the same with fixed numbers of items (4096 runs), then random ones for 20 s; seed 1 (guest ABI 1.1)"
        );
        assert!(lines[1].starts_with("  VM 1  overfills, producer, sha256 "), "{out}");
        assert_eq!(lines[3], "found in run 1: capacity 1, seed 1, schedule 11");
        assert!(
            lines[4].starts_with("shrunk in ") && lines[4].contains("no shorter schedule fails"),
            "{out}"
        );
        assert_eq!(
            lines[6],
            "  cargo xtask run prodcons --producer overfills --capacity 1 --seed 1 --schedule string:11"
        );
        assert!(
            lines[8].starts_with("moved in all: VM 1 ") && lines[8].ends_with(" items, VM 2 0 items"),
            "{out}"
        );
        assert!(lines[9].contains(" runs a second"), "{out}");
        assert!(err.starts_with("guestlab: VM 1, overfills, turn 2: broke the ring's rule"), "{err}");
        let (out, _) = expect(&["explore", "prodcons", "--depth", "2", "--runs", "10", "--capacity", "6"], 0);
        assert!(
            out.contains(
                "\nno failure: 4 runs of every short schedule at every capacity, 4 of them with fixed numbers of items, 10 of random schedules\nmoved in all: VM 1 "
            ),
            "{out}"
        );
    }
}

/// True if the tests are for the interpreter.
fn on_the_interpreter() -> bool {
    engine() == "soft"
}

/// The options for exchanges whose states are all visited.
const FIXED: [&str; 4] = ["--engine", "soft", "--produce", "2"];

#[test]
fn all_states_of_our_guests_hold_for_schedules_of_any_length() {
    if on_the_interpreter() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = [&FIXED[..], &["--consume", "1", "--items", "9", "--capacity", "1-4"]].concat();
        let (verdict, _) = explore(&folder, &options, 0);
        let states = &verdict["states"];
        assert_eq!((&states["items"], &states["stopped"]), (&9.into(), &Value::Null), "{verdict}");
        // Each number of produced and consumed items that a ring can be at is a state at least.
        assert!(states["states"].as_u64().is_some_and(|states| states > 4 * 9), "{verdict}");
        assert_eq!(explore(&folder, &options, 0).0["states"], *states, "the same search");
        let (out, _) = expect(&[&["explore", "prodcons"], &options[..]].concat(), 0);
        let line = out.lines().find(|line| line.starts_with("no failure: ")).expect("a verdict");
        let says = format!(
            "no failure: all reachable states ({}) hold, for schedules of any length (exchanges of 9 items, seed 1)",
            states["states"]
        );
        assert_eq!(line, says);
        assert!(!out.contains("random"), "it is no search: {out}");
    }
}

/// A search of states finds what only a long schedule shows, by the shortest one.
#[test]
fn a_state_in_which_a_guest_fails_is_found_with_a_shortest_schedule() {
    if on_the_interpreter() {
        let folder = tempfile::tempdir().expect("a folder");
        for (guest, schedule) in [("never-wraps", "12"), ("full-and-turned", "11212")] {
            let exchange = ["--consume", "2", "--items", "20", "--capacity", "2-3", "--consumer", guest];
            let (verdict, _) = explore(&folder, &[&FIXED[..], &exchange].concat(), 3);
            let failure = &verdict["failure"];
            for found in [&failure["schedule"], &failure["first"]["schedule"]] {
                assert_eq!(found, schedule, "no shorter one leads there, so that none is found before");
            }
            assert_eq!(failure["shortest"], true);
            expect(&command(failure), 3);
        }
    }
}

/// A guest whose states never repeat, or that asks for what no state has, gets no promise.
#[test]
fn states_that_may_not_be_all_are_not_said_to_be_all() {
    if on_the_interpreter() {
        let folder = tempfile::tempdir().expect("a folder");
        let producer = ["--engine", "soft", "--producer", "timed-producer", "--produce", "1"];
        let exchange = ["--consume", "1", "--items", "2", "--capacity", "2", "--time", "5"];
        let (verdict, _) = explore(&folder, &[&producer[..], &exchange].concat(), 0);
        let stopped = verdict["states"]["stopped"].as_str().expect("a reason");
        assert_eq!(
            stopped,
            "VM 1, timed-producer has read its time or its number of exits, which never repeat"
        );
        // Where nothing is produced no exchange ends, and all states are the first ones.
        let nothing = ["--engine", "soft", "--produce", "0", "--consume", "1", "--items", "5"];
        let (verdict, _) = explore(&folder, &[&nothing[..], &["--capacity", "2"]].concat(), 0);
        assert_eq!((&verdict["states"]["stopped"], &verdict["moved"]["1"]), (&Value::Null, &0.into()));
        let short = ["--consume", "1", "--items", "1000", "--time", "0", "--capacity", "64"];
        let (verdict, _) = explore(&folder, &[&FIXED[..], &short].concat(), 0);
        assert_eq!(verdict["states"]["stopped"], "its time was up");
        let refused = |options: &[&str]| expect(&[&["explore", "prodcons"], options].concat(), 2).1;
        assert!(refused(&["--items", "5", "--produce", "1"]).contains("--consume N"));
        assert!(refused(&["--items", "0"]).contains("--items"));
    }
    if can_run_guests() && !on_the_interpreter() {
        let options =
            ["explore", "prodcons", "--items", "5", "--produce", "1", "--consume", "1", "--engine", "kvm"];
        assert!(expect(&options, 2).1.contains("--engine soft"));
    }
}

#[test]
fn the_parts_of_a_search_are_the_whole_whatever_the_number_of_threads_is() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let search = ["--depth", "3", "--runs", "200", "--capacity", "1-9"];
        let (whole, _) = explore(&folder, &search, 0);
        let part = |search: &[&str], part: &str, status| {
            let shard = format!("{part}/3");
            let options = [search, &["--shard", &shard]].concat();
            let (verdict, _) = explore(&folder, &options, status);
            let path = folder.path().join(format!("part-{part}"));
            fs::write(&path, verdict.to_string()).expect("written");
            path.to_str().expect("a path of text").to_owned()
        };
        let parts = ["1", "2", "3"].map(|number| part(&search, number, 0));
        let merge = |parts: &[&str], status| {
            expect(&[&["explore", "prodcons", "--format", "jsonl", "--merge"], parts].concat(), status)
        };
        let [one, two, three] = parts.each_ref().map(String::as_str);
        let merged: Value = serde_json::from_str(&merge(&[three, one, two], 0).0).expect("JSON");
        for same in ["verdict", "searched", "runs", "turns", "moved", "findings", "guests", "failure"] {
            assert_eq!(merged[same], whole[same], "{same}");
        }
        assert!(merged.get("shard").is_none(), "{merged}");
        let refused = |parts: &[&str]| merge(parts, 2).1;
        assert!(refused(&[one, two]).contains("part 3 is missing"));
        assert!(refused(&[one, two, three, two]).contains("the same part as"));
        let other = part(&["--depth", "2", "--runs", "200", "--capacity", "1-9"], "2", 0);
        assert!(refused(&[one, &other, three]).contains("of another search than"));
        for (name, text, problem) in [
            ("whole", whole.to_string(), "a whole search, not of a part"),
            ("empty", String::new(), "not a verdict"),
            ("run", r#"{"event":"run"}"#.to_owned(), "not a verdict"),
            ("cut", fs::read_to_string(one).expect("text")[..300].to_owned(), "not a verdict"),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("written");
            assert!(refused(&[path.to_str().expect("text")]).contains(problem), "{name}");
        }
        assert!(refused(&["no/such/file"]).contains("no/such/file"));
        // A failure in one part is that of the whole, with its status.
        let failing = ["--producer", "overfills", "--depth", "3", "--runs", "0", "--capacity", "1"];
        let (one, two) = (part(&failing, "1", 3), part(&failing, "2", 0));
        let three = part(&failing, "3", 0);
        let (out, err) = merge(&[&one, &two, &three], 3);
        let failed: Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(failed["verdict"], "failed");
        assert!(err.starts_with("guestlab: VM 1, overfills, turn "), "{err}");
        expect(&command(&failed["failure"]), 3);
    }
}

#[test]
fn bad_input_is_refused() {
    let refused = |options: &[&str]| expect(&[&["explore", "prodcons"], options].concat(), 2).1;
    assert!(refused(&["--capacity", "0-7"]).contains("a capacity is 1 to 64 items"));
    assert!(expect(&["explore", "hello"], 2).1.contains("prodcons"));
    if can_run_guests() {
        assert!(refused(&["--producer", "./no-such.elf"]).contains("no-such.elf"));
        assert!(
            refused(&["--depth", "32", "--producers", "16", "--consumers", "16"]).contains("beyond counting")
        );
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("file"), "").expect("written");
        let path = folder.path().join("file/recording");
        // Before the search, whose finding would be lost.
        let err = expect(
            &["explore", "prodcons", "--producer", "overfills", "--record", path.to_str().expect("text")],
            2,
        )
        .1;
        assert!(err.contains("cannot write the recording"), "{err}");
    }
}
