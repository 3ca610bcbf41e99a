//! `--trace`: the file is one in the Trace Event Format, and what it tells is what happened.

use std::{collections::BTreeMap, fs};

use crate::common::{can_run_guests, expect, ring_of_five};
use serde_json::Value;

/// Runs with `--trace`, which must end with a status; returns the output and the records of the file.
#[track_caller]
fn traced(args: &[&str], status: i32) -> (String, Vec<Value>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trace.json");
    let args = [&["run"], args, &["--trace", path.to_str().expect("text")]].concat();
    let (out, _) = expect(&args, status);
    let text = fs::read_to_string(path).expect("a trace");
    (out, serde_json::from_str(&text).expect("an array of records"))
}

fn named<'a>(records: &'a [Value], phase: &str) -> impl Iterator<Item = &'a Value> {
    records.iter().filter(move |record| record["ph"] == phase)
}

/// Beginning and end of a slice, in nanoseconds.
fn span(slice: &Value) -> (u64, u64) {
    let ns = |value: &Value| {
        format!("{:.0}", value.as_f64().expect("a time") * 1e3).parse().expect("not negative")
    };
    let (begin, duration): (u64, u64) = (ns(&slice["ts"]), ns(&slice["dur"]));
    (begin, begin + duration)
}

/// Slices of a track lie beside or in each other: anything else is shown wrongly.
fn assert_nested(records: &[Value]) {
    let mut tracks: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    for slice in named(records, "X") {
        tracks.entry(slice["tid"].as_u64().expect("a track")).or_default().push(span(slice));
    }
    for mut spans in tracks.into_values() {
        // The longer first, of two that begin together.
        spans.sort_by_key(|&(begin, end)| (begin, u64::MAX - end));
        let mut open: Vec<u64> = Vec::new();
        for (begin, end) in spans {
            open.retain(|&outer| outer > begin);
            assert!(open.iter().all(|&outer| end <= outer), "{begin}..{end} in {open:?}");
            open.push(end);
        }
    }
}

#[test]
fn turns_exits_and_the_ring_are_those_of_the_run() {
    if can_run_guests() {
        let args = ["prodcons", "--seed", "7", "--turns", "30", "--format", "jsonl"];
        let (out, records) = traced(&args, 0);
        assert_nested(&records);
        let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let turns: Vec<&Value> = events.iter().filter(|event| event["event"] == "turn").collect();
        let slices: Vec<&Value> =
            named(&records, "X").filter(|slice| slice["args"]["turn"].is_u64()).collect();
        let facts = |value: &Value| (value["turn"].clone(), value["items"].clone(), value["count"].clone());
        assert_eq!(
            slices.iter().map(|slice| (slice["tid"].clone(), facts(&slice["args"]))).collect::<Vec<_>>(),
            turns.iter().map(|turn| (turn["vm"].clone(), facts(turn))).collect::<Vec<_>>(),
        );
        let counts = named(&records, "C").map(|record| record["args"]["items"].clone());
        assert_eq!(
            counts.skip(1).collect::<Vec<_>>(),
            turns.iter().map(|turn| turn["count"].clone()).collect::<Vec<_>>()
        );
        let end = events.last().expect("an end");
        for (vm, track) in [("1", 1), ("2", 2)] {
            let exits = named(&records, "X").filter(|slice| slice["tid"] == track);
            let exits =
                exits.filter(|slice| slice["name"].as_str().is_some_and(|name| name.starts_with("out ")));
            assert_eq!(end["exits"][vm]["total"], exits.count() as u64, "VM {vm}");
        }
        let boots = named(&records, "X").filter(|slice| slice["name"] == "boot");
        assert_eq!(boots.count(), 2);
    }
}

#[test]
fn every_kind_of_run_can_be_traced() {
    if can_run_guests() {
        let experiment = ring_of_five();
        let file = experiment.to_str().expect("text");
        let (_, records) = traced(&["--experiment", file, "--turns", "10"], 0);
        assert_nested(&records);
        let tracks = named(&records, "M").filter(|record| record["name"] == "thread_name");
        assert_eq!(tracks.count(), 5);
        let (_, records) = traced(&["hello"], 0);
        assert_nested(&records);
        assert!(named(&records, "X").any(|slice| slice["name"] == "run"));
        assert!(named(&records, "i").any(|print| print["args"]["text"].as_str().is_some()));
        let (_, records) = traced(&["prodcons", "--schedule", "free", "--turns", "50"], 0);
        assert_nested(&records);
        let (_, records) = traced(&["panics"], 1);
        assert!(named(&records, "X").any(|slice| slice["name"] == "panic"));
    }
}

#[test]
fn a_trace_that_cannot_be_made_is_refused_first() {
    for path in ["/", "/no/such/folder/x.json"] {
        let (out, err) = expect(&["run", "prodcons", "--trace", path], 2);
        assert!(out.is_empty() && err.starts_with("guestlab: cannot write the trace "), "{err}");
    }
}
