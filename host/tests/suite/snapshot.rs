//! Snapshots: a run that is saved between two turns goes on from the file, on each engine, as if nothing had happened.

use std::{fs, path::Path};

use crate::common::{can_run_guests, engine, expect, guestlab};
use guest_abi::mode::CpuMode;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The engines that are there, for guests in a mode.
fn engines(mode: CpuMode) -> Vec<&'static str> {
    let hello = ["run", "hello", "--quiet", "--engine", "kvm", "--mode", mode.name()];
    let has_kvm = engine() == "kvm" && guestlab(&hello).status.success();
    if has_kvm { vec!["kvm", "soft"] } else { vec!["soft"] }
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().expect("a path of text").to_owned()
}

/// The events of turns behind turn `turn`, and of the end.
fn after(events: &str, turn: usize) -> Vec<&str> {
    let told = events
        .lines()
        .filter(|line| line.starts_with(r#"{"event":"turn""#) || line.starts_with(r#"{"event":"end""#));
    told.skip(turn).collect()
}

#[test]
fn a_saved_run_goes_on_as_if_nothing_had_happened_on_each_engine_in_each_mode() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let saved = path(&folder, "saved");
        for mode in CpuMode::ALL {
            for first in engines(mode) {
                let run = ["run", "prodcons", "--seed", "7", "--format", "jsonl", "--mode", mode.name()];
                let save = ["--engine", first, "--save-at", "12", &saved];
                let (whole, _) = expect(&[&run[..], &save].concat(), 0);
                for second in engines(mode) {
                    let from = ["run", "--from", &saved, "--engine", second, "--format", "jsonl"];
                    let (rest, _) = expect(&from, 0);
                    let name = format!("{}: {first}, then {second}", mode.name());
                    assert_eq!(after(&rest, 0), after(&whole, 12), "{name}");
                    assert_eq!(after(&rest, 0).len(), 29, "{name}");
                }
            }
        }
    }
}

#[test]
fn a_run_is_saved_at_its_beginning_in_its_middle_and_at_its_end() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let saved = path(&folder, "saved");
        let run = ["run", "prodcons", "--seed", "3", "--turns", "5", "--format", "jsonl"];
        for turn in ["0", "5"] {
            let (whole, _) = expect(&[&run[..], &["--save-at", turn, &saved]].concat(), 0);
            let (rest, _) = expect(&["run", "--from", &saved, "--format", "jsonl"], 0);
            assert_eq!(after(&rest, 0), after(&whole, turn.parse().expect("a number")));
        }
        // It goes farther than the run did, and can be saved again on the way.
        let again = path(&folder, "again");
        let (more, _) = expect(
            &["run", "--from", &saved, "--turns", "20", "--save-at", "9", &again, "--format", "jsonl"],
            0,
        );
        let (whole, _) = expect(&["run", "prodcons", "--seed", "3", "--turns", "20", "--format", "jsonl"], 0);
        assert_eq!(after(&more, 0), after(&whole, 5));
        let (rest, _) = expect(&["run", "--from", &again, "--format", "jsonl"], 0);
        assert_eq!(after(&rest, 0), after(&whole, 9));
    }
}

#[test]
fn a_damaged_or_foreign_snapshot_is_refused_with_the_reason() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let saved = path(&folder, "saved");
        expect(&["run", "prodcons", "--seed", "7", "--turns", "4", "--save-at", "2", &saved], 0);
        let good = fs::read(&saved).expect("a snapshot");
        let bad = path(&folder, "bad");
        let refused = |bytes: &[u8]| {
            fs::write(&bad, bytes).expect("written");
            let (out, err) = expect(&["run", "--from", &bad], 2);
            assert_eq!(out, "");
            err
        };
        // Cut off at each kind of place, and near each.
        let line = good.iter().position(|&byte| byte == b'\n').expect("a line");
        let cuts =
            [0, 1, line - 1, line, line + 1, line + 2, good.len() / 2, good.len() - 33, good.len() - 1];
        for cut in cuts {
            let err = refused(&good[..cut]);
            assert!(err.contains("not a snapshot") || err.contains("damaged or cut off"), "{cut}: {err}");
        }
        for at in [line + 5, good.len() / 2, good.len() - 1] {
            let mut changed = good.clone();
            changed[at] ^= 1;
            assert!(refused(&changed).contains("damaged or cut off"), "{at}");
        }
        let text = |from: &str, to: &str| {
            let end = good.len() - 32;
            let place = good.windows(from.len()).position(|bytes| bytes == from.as_bytes()).expect(from);
            let mut forged = [&good[..place], to.as_bytes(), &good[place + from.len()..end]].concat();
            let checksum = Sha256::digest(&forged);
            forged.extend_from_slice(&checksum);
            forged
        };
        for (from, to, reason) in [
            ("snapshot 1\n", "snapshot 2\n", "its format has version 2, and this host knows 1"),
            ("\"abi\":\"1.1\"", "\"abi\":\"9.9\"", "guest ABI 9.9"),
            ("\"sha256\":\"", "\"sha256\":\"0", "only the same can be compared"),
            ("\"count\":", "\"count\":1", "no run can be in its state"),
            ("\"went_in\":[", "\"went_in\":[1", "no run can be in its state"),
            ("\"mailbox\":[", "\"mailbox\":[4294", "no run can be in its state"),
            ("\"producers\":1", "\"producers\":2", "no run can be in its state"),
            ("\"pages\":[", "\"pages\":[4096,", "no run can be in its state"),
            ("\"pages\":[4096", "\"pages\":[409600000", "no run can be in its state"),
            ("\"turns\":2", "\"turns\":9", "is behind turn 9"),
        ] {
            let err = refused(&text(from, to));
            assert!(err.contains(reason), "{from}: {err}");
        }
        for (bytes, reason) in [
            (&b"\x7FELF"[..], "not a snapshot"),
            (br#"{"event":"recording"}"#, "not a snapshot"),
            (&[0xFF; 4096], "not a snapshot"),
        ] {
            assert!(refused(bytes).contains(reason));
        }
        assert!(expect(&["run", "--from", &path(&folder, "none")], 2).1.contains("cannot read it"));
    }
}

#[test]
fn options_that_do_not_go_with_a_snapshot_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let saved = path(&folder, "saved");
    let refused = |args: &[&str]| expect(&[&["run"], args].concat(), 2).1;
    assert!(refused(&["prodcons", "--save-at", "x", &saved]).contains("the number of a turn"));
    assert!(refused(&["hello", "--save-at", "1", &saved]).contains("`run prodcons` only"));
    assert!(refused(&["prodcons", "--schedule", "free", "--save-at", "1", &saved]).contains("in parallel"));
    assert!(refused(&["--from", &saved, "--seed", "1"]).contains("fixed by the snapshot"));
    assert!(refused(&["--from", &saved, "--capacity", "1"]).contains("fixed by the snapshot"));
    assert!(refused(&["--from", &saved, "--report", "x.html"]).contains("from its beginning"));
    if can_run_guests() {
        let err = refused(&["prodcons", "--turns", "4", "--save-at", "5", &saved]);
        assert!(err.contains("the run has the turns 1 to 4"), "{err}");
        assert!(!Path::new(&saved).exists(), "nothing was written");
        expect(&["run", "prodcons", "--turns", "4", "--save-at", "3", &saved], 0);
        assert!(refused(&["--from", &saved, "--turns", "2"]).contains("behind turn 3"));
        assert!(refused(&["--from", &saved, "--save-at", "2", "x"]).contains("the turns 4 to 4"));
        // A guest that fails before leaves no file.
        let none = path(&folder, "none");
        let args = ["run", "prodcons", "--consumer", "overdraws", "--seed", "7", "--save-at", "40", &none];
        expect(&args, 3);
        assert!(!Path::new(&none).exists(), "nothing half written");
    }
}
