//! Experiments from files: VMs that exchange a mailbox by turns.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::common::{can_run_guests, expect, pingpong, ring_of_five};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Writes an experiment's file.
fn written(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("experiment.toml");
    fs::write(&path, text).expect("written");
    path
}

/// Runs an experiment, which must end with a status, and returns its two outputs.
#[track_caller]
fn run(path: &Path, options: &[&str], status: i32) -> (String, String) {
    let path = path.to_str().expect("a path of text");
    expect(&[&["run", "--experiment", path], options].concat(), status)
}

/// The JSON lines of a run that ends well.
#[track_caller]
fn events(path: &Path, options: &[&str]) -> Vec<Value> {
    let (out, _) = run(path, &[&["--format", "jsonl"], options].concat(), 0);
    out.lines().map(|line| serde_json::from_str(line).expect("one JSON object a line")).collect()
}

/// Returns the VM of each turn, and the mailbox after it.
fn turns(events: &[Value]) -> Vec<(Value, Value)> {
    let turns = events.iter().filter(|event| event["event"] == "turn");
    turns.map(|turn| (turn["vm"].clone(), turn["mailbox"].clone())).collect()
}

fn printed(events: &[Value]) -> String {
    let console = events.iter().filter(|event| event["event"] == "console");
    console.map(|event| event["text"].as_str().expect("text")).collect()
}

#[test]
fn pingpong_counts() {
    if can_run_guests() {
        let events = events(&pingpong(), &[]);
        let run = &events[0];
        assert_eq!(
            (&run["experiment"], &run["turns"], &run["schedule"]),
            (&"pingpong".into(), &10.into(), &"alternate".into())
        );
        assert!(run.get("capacity").is_none() && run["guests"][0].get("role").is_none(), "{run}");
        let expected: Vec<(Value, Value)> =
            (1..=10).map(|turn| (json!(2 - turn % 2), json!([turn]))).collect();
        assert_eq!(turns(&events), expected);
        let end = &events[events.len() - 1];
        assert_eq!((&end["event"], &end["turns"]), (&"end".into(), &10.into()));
        assert!(end.get("audit").is_none(), "{end}");
        assert!(printed(&events).starts_with("ping 0\npong 1\nping 2\n"), "{}", printed(&events));
    }
}

#[test]
fn a_token_goes_through_a_ring_of_five() {
    if can_run_guests() {
        let events = events(&ring_of_five(), &[]);
        let expected: Vec<(Value, Value)> =
            (0..10).map(|turn| (json!(turn % 5 + 1), json!([turn + 1, turn % 5 + 1]))).collect();
        assert_eq!(turns(&events), expected);
    }
}

#[test]
fn options_win_over_the_file() {
    if can_run_guests() {
        let options = ["--schedule", "string:2212", "--turns", "3", "--memory", "1M", "--seed", "5"];
        let events = events(&pingpong(), &options);
        assert_eq!(events[0]["seed"], 5);
        assert_eq!(turns(&events), [(json!(2), json!([1])), (json!(2), json!([2])), (json!(1), json!([3]))]);
        for mode in ["real", "long"] {
            let (out, _) = run(&pingpong(), &["--mode", mode, "--turns", "2"], 0);
            assert!(out.contains("\npingpong 1| ping 0\nturn  1  VM 1 pingpong  mailbox [1]\n"), "{out}");
            assert!(
                out.ends_with(
                    "2 turns\nexits of VM 1, pingpong: 3 (3 io_out)\nexits of VM 2, pingpong: 3 (3 io_out)\n"
                ),
                "{out}"
            );
        }
    }
}

#[test]
fn a_guest_that_exits_ends_the_experiment() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let vm = "[[vm]]\nguest = \"token\"\narguments = [\"3\"]\n";
        let path = written(&folder, &format!("name = \"short\"\nturns = 100\n{vm}{vm}"));
        let events = events(&path, &[]);
        let end = &events[events.len() - 1];
        assert!((3..=4).contains(&end["turns"].as_u64().expect("a number")), "{end}");
    }
}

#[test]
fn guests_that_fail_are_reported_with_their_turn() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let experiment = |guests: &[&str]| {
            let vms: String = guests.iter().map(|guest| format!("[[vm]]\nguest = \"{guest}\"\n")).collect();
            written(&folder, &format!("name = \"bad\"\n{vms}"))
        };
        let failure = |guests: &[&str], status| run(&experiment(guests), &["--timeout", "2"], status).1;
        assert!(
            failure(&["pingpong", "token"], 3)
                .contains("VM 2, token: attached a mailbox of 8 bytes; this experiment's has 4")
        );
        assert!(failure(&["pingpong", "panics"], 1).contains("VM 2, panics: panicked at"));
        assert!(failure(&["pingpong", "spins"], 4).contains("VM 2, spins: still running after 2 s"));
        assert!(failure(&["bad-mailbox"], 3).contains("VM 1, bad-mailbox: MailboxAttach: a mailbox"));
        assert!(
            failure(&["pingpong", "leaves-exchange"], 3)
                .contains("VM 2, leaves-exchange: attached a mailbox of 284 bytes")
        );
        assert!(failure(&["hello"], 3).contains("VM 1, hello: exited with status 0"));
    }
}

#[test]
fn bad_files_and_options_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |text: &str| run(&written(&folder, text), &[], 2).1;
    let text = "name = \"x\"\nturns = 3\ncolour = 1\n[[vm]]\nguest = \"token\"\n";
    let err = refused(text);
    assert!(err.contains("experiment.toml, line 3, column 1: unknown field `colour`"), "{err}");
    assert!(run(Path::new("/no/such.toml"), &[], 2).1.contains("experiment /no/such.toml: cannot read it"));
    let option = |options: &[&str]| run(&pingpong(), options, 2).1;
    assert!(option(&["--capacity", "3"]).contains("--capacity is an option of `run prodcons` only"));
    assert!(option(&["--schedule", "string:3"]).contains("'3' does not name a VM"));
    assert!(option(&["--schedule", "free"]).contains("`run prodcons`"));
    assert!(option(&["prodcons"]).contains("cannot be used with"));
    assert!(option(&["--dump-regs"]).contains("runs alone"));
}

#[test]
fn the_needed_guests_are_named_with_their_modes() {
    let (out, _) = run(&pingpong(), &["--needs", "--mode", "long"], 0);
    assert_eq!(out, "pingpong long\npingpong long\n");
}
