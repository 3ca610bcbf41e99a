//! The exchange, checked by a second account: the JSON lines must describe a first-in first-out queue of bounded
//! length.

use std::collections::{BTreeMap, VecDeque};

use crate::common::{self, can_run_guests, expect};
use serde_json::Value;

fn events(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).expect("one JSON object a line")).collect()
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().expect("a number")).expect("a small one")
}

/// Replays the turns on a queue: no item lost or invented, in order, never over capacity, and with correct pointers.
#[track_caller]
fn check_account(out: &str) {
    let events = events(out);
    let (run, end) = (&events[0], &events[events.len() - 1]);
    let capacity = number(&run["capacity"]);
    let mut queue = VecDeque::new();
    let (mut produced, mut consumed) = (0, 0);
    for (index, turn) in events[1..events.len() - 1].iter().enumerate() {
        assert_eq!((&turn["event"], number(&turn["turn"])), (&"turn".into(), index + 1));
        for item in turn["items"].as_array().expect("items") {
            match turn["role"].as_str() {
                Some("producer") => {
                    queue.push_back(item.clone());
                    produced += 1;
                }
                _ => {
                    assert_eq!(queue.pop_front().as_ref(), Some(item), "{turn}");
                    consumed += 1;
                }
            }
            assert!(queue.len() <= capacity, "{turn}");
        }
        assert_eq!(number(&turn["count"]), queue.len(), "{turn}");
        assert_eq!(number(&turn["prod_p"]), produced % capacity, "{turn}");
        assert_eq!(number(&turn["cons_p"]), consumed % capacity, "{turn}");
        assert_eq!(number(&turn["exits"]), 1, "a turn costs one exit: {turn}");
    }
    assert_eq!(end["event"], "end");
    assert_eq!((number(&end["produced"]), number(&end["consumed"])), (produced, consumed));
    assert_eq!((number(&end["left"]), &end["audit"]), (queue.len(), &"ok".into()));
    assert_eq!(number(&end["turns"]), events.len() - 2);
}

fn run(options: &[&str]) -> String {
    let args: Vec<&str> = ["run", "prodcons", "--format", "jsonl"].iter().chain(options).copied().collect();
    expect(&args, 0).0
}

#[test]
fn the_same_seed_gives_the_same_text() {
    if can_run_guests() {
        let text = run(&["--seed", "7", "--turns", "200"]);
        assert_eq!(text, run(&["--seed", "7", "--turns", "200"]));
        assert_ne!(text, run(&["--seed", "8", "--turns", "200"]));
        check_account(&text);
    }
}

#[test]
fn the_items_of_a_seed_are_these_on_every_machine() {
    if can_run_guests() {
        let items: Vec<Value> = events(&run(&["--seed", "7", "--turns", "5"]))
            .iter()
            .map(|event| event["items"].clone())
            .collect();
        let expected: Value =
            serde_json::json!([null, [55, 11, 59, 33, 33, 50], [], [], [], [55, 11, 59, 33, 33], null]);
        assert_eq!(Value::Array(items), expected);
    }
}

#[test]
fn a_hundred_seeds_are_accounted_for_and_have_equal_texts_on_each_engine() {
    if can_run_guests() {
        for seed in 0..100 {
            let seed = seed.to_string();
            let text = run(&["--seed", &seed]);
            check_account(&text);
            let interpreted = run(&["--seed", &seed, "--engine", "soft"]);
            let engine = format!(r#""engine":"{}""#, common::engine());
            assert_eq!(text.replacen(&engine, r#""engine":"soft""#, 1), interpreted, "seed {seed}");
        }
    }
}

#[test]
fn every_capacity_is_accounted_for() {
    if can_run_guests() {
        for capacity in 1..=64 {
            check_account(&run(&["--seed", "3", "--capacity", &capacity.to_string()]));
        }
    }
}

#[test]
fn every_schedule_is_accounted_for() {
    if can_run_guests() {
        for schedule in ["alternate", "burst:3", "random", "string:1122121"] {
            check_account(&run(&["--seed", "3", "--schedule", schedule, "--turns", "100"]));
        }
    }
}

#[test]
fn a_fixed_number_is_kept_to_as_far_as_the_ring_allows() {
    if can_run_guests() {
        let out = run(&["--seed", "1", "--schedule", "string:11212", "--produce", "4", "--consume", "3"]);
        check_account(&out);
        let moved: Vec<usize> = events(&out)
            .iter()
            .filter(|event| event["event"] == "turn")
            .map(|turn| turn["items"].as_array().expect("items").len())
            .collect();
        assert_eq!(moved, [4, 2, 3, 3, 3]);
    }
}

#[test]
fn a_schedule_file_with_windows_line_ends_is_run() {
    if can_run_guests() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "1 2\r\n# again\r\n1 2\r\n").expect("written");
        let schedule = format!("file:{}", file.path().display());
        let out = run(&["--schedule", &schedule]);
        check_account(&out);
        assert_eq!(number(&events(&out)[0]["turns"]), 4);
    }
}

#[test]
fn presets_give_the_courses_patterns() {
    if can_run_guests() {
        let pattern = |preset: &str, turns: &str| -> Vec<String> {
            let out = run(&["--seed", "1", "--preset", preset, "--turns", turns]);
            check_account(&out);
            events(&out)
                .iter()
                .filter(|event| event["event"] == "turn")
                .map(|turn| format!("{}{}", turn["vm"], turn["items"].as_array().expect("items").len()))
                .collect()
        };
        assert_eq!(pattern("basic", "4"), ["11", "21", "11", "21"]);
        assert_eq!(pattern("bursty", "7"), ["11", "11", "11", "21", "21", "21", "11"]);
        assert_eq!(pattern("mass", "3"), ["15", "25", "15"]);
        assert_eq!(pattern("random", "40").len(), 40);
    }
}

#[test]
fn the_transcript_shows_the_run() {
    if can_run_guests() {
        let (out, err) = expect(&["run", "prodcons", "--seed", "7", "--turns", "2"], 0);
        assert_eq!(err, "");
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[0], "prodcons: ring of 6, schedule random, 2 turns, seed 7 (guest ABI 1.1)");
        assert!(lines[1].starts_with("  VM 1  guest-producer, producer, sha256 "), "{out}");
        assert_eq!(
            lines[4],
            "turn  1  producer  +6  [55 11 59 33 33 50]  ring [55 11 59 33 33 50]  cons_p=0 prod_p=0 count=6"
        );
        assert_eq!(lines[7], "2 turns: 6 produced, 0 consumed, 6 left in the ring");
        assert_eq!(lines[8], "exits of VM 1, guest-producer: 3 (3 io_out)");
        assert_eq!(lines[10], "audit: ok, what came out is what went in, in order");
    }
}

#[test]
fn many_vms_share_one_ring_and_items_keep_their_makers() {
    if can_run_guests() {
        for (producers, consumers) in [("2", "2"), ("3", "1"), ("1", "4"), ("16", "16")] {
            let out =
                run(&["--seed", "5", "--turns", "200", "--producers", producers, "--consumers", consumers]);
            check_account(&out);
            let mut makers = VecDeque::new();
            for turn in events(&out).iter().filter(|event| event["event"] == "turn") {
                for (index, _) in turn["items"].as_array().expect("items").iter().enumerate() {
                    match turn["role"].as_str() {
                        Some("producer") => makers.push_back(turn["vm"].clone()),
                        _ => assert_eq!(Some(&turn["from"][index]), makers.pop_front().as_ref(), "{turn}"),
                    }
                }
            }
        }
        let (out, _) = expect(
            &["run", "prodcons", "--producers", "2", "--schedule", "string:12 33", "--produce", "1"],
            0,
        );
        assert!(out.contains("VM 2  producer") && out.contains("VM 3  consumer"), "{out}");
    }
}

#[test]
fn free_running_vms_are_accounted_for_and_none_starves() {
    if can_run_guests() {
        for (producers, consumers) in [("1", "1"), ("3", "4"), ("16", "16")] {
            let vms = ["--producers", producers, "--consumers", consumers];
            let out = run(&[&["--schedule", "free", "--items", "2000"], &vms[..]].concat());
            check_account(&out);
            let events = events(&out);
            assert_eq!((&events[0]["repeatable"], &events[0]["turns"]), (&false.into(), &Value::Null));
            assert!(number(&events[events.len() - 1]["consumed"]) >= 2000);
            for role in ["producer", "consumer"] {
                let mut turns = BTreeMap::new();
                for turn in events.iter().filter(|event| event["role"] == role) {
                    *turns.entry(number(&turn["vm"])).or_insert(0_usize) += 1;
                }
                let (least, most) = (turns.values().min(), turns.values().max());
                assert!(least.zip(most).is_some_and(|(least, most)| 2 * least > *most), "{turns:?}");
            }
        }
    }
}

#[test]
fn a_free_run_has_as_many_turns_as_were_asked_for() {
    if can_run_guests() {
        for turns in ["0", "1", "500"] {
            let out = run(&["--schedule", "free", "--turns", turns, "--producers", "2"]);
            check_account(&out);
            assert_eq!(
                events(&out).len().to_string(),
                (turns.parse::<usize>().expect("a number") + 2).to_string()
            );
        }
    }
}

#[test]
fn in_a_free_run_a_consumer_of_an_empty_ring_waits_outside_of_the_guest() {
    if can_run_guests() {
        let out = run(&["--schedule", "free", "--turns", "200", "--produce", "0"]);
        let events = events(&out);
        let exits = &events[events.len() - 1]["exits"];
        assert_eq!((number(&exits["1"]["total"]), number(&exits["2"]["total"])), (201, 1));
    }
}

#[test]
fn one_guests_failure_ends_a_free_run() {
    if can_run_guests() {
        for (guest, status, reason) in [
            ("spins", 4, "still running after"),
            ("panics", 1, "panicked"),
            ("no-mailbox", 3, "without having"),
        ] {
            let producer = common::image(guest);
            let (out, err) = expect(
                &[
                    "run",
                    "prodcons",
                    "--schedule",
                    "free",
                    "--producers",
                    "3",
                    "--timeout",
                    "2",
                    "--producer",
                    producer.to_str().expect("text"),
                ],
                status,
            );
            assert!(err.contains(reason) && out.contains("audit: ok"), "{guest}: {out}{err}");
        }
    }
}

#[test]
fn free_running_does_not_go_with_a_recording_nor_items_with_a_schedule() {
    let (_, err) = expect(&["run", "prodcons", "--schedule", "free", "--record", "x"], 2);
    assert!(err.contains("--record is for runs that can be repeated"), "{err}");
    let (_, err) = expect(&["run", "prodcons", "--items", "5"], 2);
    assert!(err.contains("--items goes with --schedule free"), "{err}");
}

#[test]
fn ten_thousand_turns_of_each_kind_are_accounted_for() {
    if can_run_guests() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "1122 1212 # from the course\n2211\n").expect("written");
        let file = format!("file:{}", file.path().display());
        for schedule in ["alternate", "burst:3", "random", "string:1122121", &file, "free"] {
            check_account(&run(&["--seed", "9", "--schedule", schedule, "--turns", "10000"]));
        }
    }
}

/// Runs an exchange that breaks the rule `quota`; returns the turn, and the end of its message.
#[track_caller]
fn disobeys(options: &[&str]) -> (u64, String) {
    let args: Vec<&str> = ["run", "prodcons", "--format", "jsonl"].iter().chain(options).copied().collect();
    let (out, _) = expect(&args, 3);
    let events = events(&out);
    let (crash, end) = (&events[events.len() - 2], &events[events.len() - 1]);
    assert_eq!((&crash["rule"], &end["rule"]), (&"quota".into(), &"quota".into()), "{crash} {end}");
    assert_eq!(end["audit"], "failed");
    let message = crash["message"].as_str().expect("a message").lines().next().expect("a line");
    let order = message.strip_prefix("broke the ring's rule `quota`: the turn was told to ").expect(message);
    (crash["turn"].as_u64().expect("a turn"), order.into())
}

#[test]
fn a_guest_that_does_not_move_what_it_is_told_breaks_a_rule() {
    if can_run_guests() {
        let (turn, order) = disobeys(&["--preset", "basic", "--capacity", "1", "--consumer", "never-takes"]);
        assert_eq!((turn, &order[..]), (2, "take 1 and the ring held 1: 1 had to move, 0 moved"));
        let full = ["--preset", "basic", "--capacity", "1", "--consumer", "full-is-empty", "--turns", "6"];
        assert_eq!(disobeys(&full).0, 2);
        let greedy =
            ["--produce", "5", "--consume", "1", "--consumer", "takes-all", "--schedule", "string:12"];
        assert_eq!(disobeys(&greedy), (2, "take 1 and the ring held 5: 1 had to move, 5 moved".into()));
        let (turn, order) = disobeys(&["--preset", "mass", "--producer", "overfills"]);
        assert_eq!((turn, &order[..]), (1, "add 5 and the ring had room for 6: 5 had to move, 6 moved"));
        let idle = disobeys(&["--preset", "basic", "--producer", "never-adds"]);
        assert_eq!(idle, (1, "add 1 and the ring had room for 6: 1 had to move, 0 moved".into()));
        let (turn, order) = disobeys(&["--preset", "mass", "--producer", "adds-one-seven"]);
        assert_eq!((turn, &order[..]), (1, "add 5 and the ring had room for 6: 5 had to move, 1 moved"));
        let nothing =
            ["--produce", "1", "--consume", "0", "--consumer", "takes-all", "--schedule", "string:12"];
        assert_eq!(disobeys(&nothing).1, "take 0 and the ring held 1: 0 had to move, 1 moved");
        // All at once, where others move items meanwhile.
        let free = ["--schedule", "free", "--producers", "2", "--consumers", "2", "--produce", "3"];
        disobeys(&[&free[..], &["--consume", "1", "--consumer", "takes-all", "--turns", "1000"]].concat());
    }
}

#[test]
fn our_guests_obey_any_order() {
    if can_run_guests() {
        for (produce, consume) in [("0", "3"), ("1", "64"), ("64", "1"), ("5", "random"), ("random", "7")] {
            for capacity in ["1", "2", "6", "64"] {
                let orders = ["--produce", produce, "--consume", consume, "--capacity", capacity];
                check_account(&run(&[&orders[..], &["--seed", "5", "--turns", "100"]].concat()));
            }
        }
        let free = ["--schedule", "free", "--producers", "3", "--consumers", "2", "--turns", "2000"];
        check_account(&run(&[&free[..], &["--produce", "4", "--consume", "3"]].concat()));
    }
}

#[test]
fn a_guest_that_leaves_nothing_to_chance_is_a_finding_beside_the_audit() {
    if can_run_guests() {
        let findings = |options: &[&str]| -> Vec<String> {
            let end = events(&run(options)).pop().expect("an end");
            assert_eq!(end["audit"], "ok");
            let findings = end["findings"].as_array().cloned().unwrap_or_default();
            findings
                .iter()
                .map(|it| format!("{} {}", it["vm"], it["finding"].as_str().expect("text")))
                .collect()
        };
        let turns = ["--seed", "1", "--turns", "200"];
        let of = |guest: &[&str]| findings(&[guest, &turns[..]].concat());
        assert_eq!(of(&["--producer", "never-adds"]), ["1 never-moved"]);
        assert_eq!(of(&["--consumer", "never-takes"]), ["2 never-moved"]);
        assert_eq!(of(&["--consumer", "always-two"]), ["2 same-number"]);
        assert_eq!(of(&["--producer", "adds-one-seven"]), ["1 same-number", "1 same-value"]);
        assert_eq!(of(&["--producer", "adds-one-seven", "--preset", "basic"]), ["1 same-value"]);
        assert_eq!(of(&["--consumer", "never-chooses"]), ["2 always-all"]);
        assert_eq!(of(&["--producer", "always-seven"]), ["1 same-value"]);
        assert_eq!(of(&["--producer", "always-seven", "--preset", "basic"]), ["1 same-value"]);
        // With so few turns it may be chance; and what a guest is told is none.
        assert!(findings(&["--consumer", "never-takes", "--seed", "1", "--turns", "20"]).is_empty());
        assert!(of(&["--consumer", "never-chooses", "--consume", "2"]).is_empty());
        for seed in 0..50 {
            let seed = seed.to_string();
            for capacity in ["1", "6"] {
                let turns = ["--seed", &seed, "--turns", "300", "--capacity", capacity];
                assert_eq!(findings(&turns), Vec::<String>::new());
            }
        }
        let (out, _) = expect(&["run", "prodcons", "--consumer", "never-takes", "--seed", "1", "--quiet"], 0);
        let mut lines = out.lines().rev();
        assert_eq!(
            lines.next(),
            Some("finding: VM 2, never-takes: it never took an item, in 17 turns that left it the choice")
        );
        assert_eq!(lines.next(), Some("audit: ok, what came out is what went in, in order"));
    }
}

#[test]
fn a_reader_that_has_gone_does_not_hide_that_a_guest_failed() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let recording = folder.path().join("x").to_str().expect("text").to_owned();
        let overdraws = common::image("overdraws");
        let overdraws = overdraws.to_str().expect("text");
        for arguments in [
            &["run", "prodcons", "--seed", "1", "--consumer", overdraws][..],
            &["explore", "prodcons", "--quiet", "--consumer", overdraws, "--record", &recording],
        ] {
            let mut child = common::command(arguments)
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::null())
                .spawn()
                .expect("guestlab runs");
            drop(child.stdout.take());
            assert_eq!(child.wait().expect("it ends").code(), Some(3), "{arguments:?}");
        }
    }
}

#[test]
fn items_that_can_never_move_are_refused() {
    let (_, err) = expect(&["run", "prodcons", "--schedule", "free", "--items", "5", "--consume", "0"], 2);
    assert!(err.contains("--items is never reached"), "{err}");
}
