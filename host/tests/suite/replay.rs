//! Recordings and their replays, in real VMs.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt, process::Stdio, thread, time::Duration};

use crate::common::{can_run_guests, command, expect, image};
use tempfile::TempDir;

/// Records a run, which must end with a status. Returns the path of the recording.
#[track_caller]
fn record(folder: &TempDir, options: &[&str], status: i32) -> String {
    let path = folder.path().join("run.jsonl").to_str().expect("a path of text").to_owned();
    let args: Vec<&str> = ["run", "prodcons", "--record", &path].iter().chain(options).copied().collect();
    expect(&args, status);
    path
}

#[test]
fn a_recording_replays_as_identical() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        for options in [
            &["--seed", "7", "--turns", "200"][..],
            &["--preset", "mass", "--capacity", "3"],
            &["--producers", "3", "--consumers", "2", "--turns", "100"],
            &["--mode", "long", "--turns", "20"],
        ] {
            let path = record(&folder, options, 0);
            let (out, _) = expect(&["replay", &path], 0);
            assert!(out.starts_with("identical: ") && out.ends_with(" turns\n"), "{options:?}: {out}");
        }
    }
}

#[test]
fn a_recorded_crash_replays_as_the_same_crash() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let wrong = image("overfills");
        let path = record(&folder, &["--seed", "1", "--producer", wrong.to_str().expect("text")], 3);
        assert_eq!(expect(&["replay", &path], 0).0, "identical: 2 turns, up to the same crash\n");
    }
}

#[test]
fn a_recording_without_findings_and_rules_replays_as_before() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        // As hosts wrote them that knew neither.
        let without = |path: &str, fields: &[&str]| {
            let mut text = fs::read_to_string(path).expect("a recording");
            for field in fields {
                assert!(text.contains(field), "{field}: {text}");
                text = text.replace(field, "");
            }
            fs::write(path, text).expect("written");
        };
        let seven = ["--producer", "always-seven", "--preset", "basic", "--seed", "1"];
        let path = record(&folder, &seven, 0);
        assert_eq!(expect(&["replay", &path], 0).0, "identical: 40 turns\n");
        let finding = r#","findings":[{"vm":1,"name":"always-seven","finding":"same-value","message":"all of its 20 items are 7"}]"#;
        without(&path, &[finding]);
        assert_eq!(expect(&["replay", &path], 0).0, "identical: 40 turns\n");
        let path = record(&folder, &["--seed", "1", "--producer", "overfills"], 3);
        without(&path, &[r#","rule":"count-range""#]);
        assert_eq!(expect(&["replay", &path], 0).0, "identical: 2 turns, up to the same crash\n");
        // What is said is compared.
        let path = record(&folder, &seven, 0);
        let text = fs::read_to_string(&path).expect("a recording").replace("items are 7", "items are 8");
        fs::write(&path, text).expect("written");
        assert!(expect(&["replay", &path], 3).1.contains("it differs at turn 41"));
    }
}

#[test]
fn a_recording_whose_guest_did_not_obey_is_refused_with_the_reason() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = ["--consumer", "takes-all", "--produce", "5", "--schedule", "string:1212"];
        let path = record(&folder, &options, 0);
        let text = fs::read_to_string(&path).expect("a recording");
        assert!(text.contains(r#""consume":null"#), "{text}");
        fs::write(&path, text.replace(r#""consume":null"#, r#""consume":5"#)).expect("written");
        assert_eq!(expect(&["replay", &path], 0).0, "identical: 4 turns\n");
        fs::write(&path, text.replace(r#""consume":null"#, r#""consume":1"#)).expect("written");
        let (_, err) = expect(&["replay", &path], 2);
        assert!(err.contains("line 4: turn 2 moved 5 items where --consume 1 asks for 1: "), "{err}");
        // The recording of a broken order is the same crash again.
        let broken =
            ["--consumer", "takes-all", "--produce", "5", "--consume", "1", "--schedule", "string:12"];
        let path = record(&folder, &broken, 3);
        assert_eq!(expect(&["replay", &path], 0).0, "identical: 1 turns, up to the same crash\n");
    }
}

#[test]
fn a_changed_item_is_reported_at_its_turn() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = record(&folder, &["--seed", "7", "--turns", "20", "--produce", "1"], 0);
        let text = fs::read_to_string(&path).expect("a recording");
        let (line, turn) = text
            .lines()
            .zip(-1_i32..)
            .find(|(line, _)| line.contains("\"items\":[") && !line.contains("\"items\":[]"))
            .expect("an item");
        let changed = line.replacen("\"items\":[", "\"items\":[1", 1);
        fs::write(&path, text.replacen(line, &changed, 1)).expect("written");
        let (_, err) = expect(&["replay", &path], 3);
        assert!(
            err.contains(&format!("it differs at turn {turn}\n  recorded: "))
                && err.contains("\n  replayed: "),
            "{err}"
        );
    }
}

#[test]
fn a_recording_of_another_image_is_refused() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let copy = folder.path().join("mine.elf");
        fs::copy(image("guest-producer"), &copy).expect("copied");
        let path = record(&folder, &["--turns", "5", "--producer", copy.to_str().expect("text")], 0);
        fs::copy(image("overfills"), &copy).expect("copied");
        let (_, err) = expect(&["replay", &path], 2);
        assert!(err.contains("line 2: VM 1 ran mine with sha256 "), "{err}");
        let text = fs::read_to_string(&path).expect("a recording");
        fs::write(&path, text.replace("\"abi\":\"1.1\"", "\"abi\":\"2.0\"")).expect("written");
        let (_, err) = expect(&["replay", &path], 2);
        assert!(err.contains("it was made with guest ABI 2.0, and this host has 1.1"), "{err}");
    }
}

#[test]
fn a_recording_of_an_image_whose_path_is_not_utf8_replays() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let producer = folder.path().join(OsStr::from_bytes(b"100%41 \xFF.elf"));
        fs::copy(image("guest-producer"), &producer).expect("copied");
        let path = folder.path().join("run.jsonl");
        let mut command = command(&["run", "prodcons", "--turns", "5", "--quiet", "--producer"]);
        let status = command.arg(&producer).arg("--record").arg(&path).status().expect("guestlab runs");
        assert!(status.success());
        let (out, _) = expect(&["replay", path.to_str().expect("text")], 0);
        assert_eq!(out, "identical: 5 turns\n");
    }
}

#[test]
fn a_recording_that_was_cut_off_replays_up_to_its_last_whole_line() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = record(&folder, &["--seed", "7", "--turns", "10"], 0);
        let text = fs::read_to_string(&path).expect("a recording");
        let cut = text.find("\"turn\":7,").expect("a seventh turn");
        fs::write(&path, &text[..cut]).expect("written");
        let (out, _) = expect(&["replay", &path], 0);
        assert_eq!(out, "identical: 6 turns; the recording has no end: its run was stopped\n");
        fs::write(&path, &text[..100]).expect("written");
        let (_, err) = expect(&["replay", &path], 2);
        assert!(
            err.contains("line 1: the line that begins a recording is missing: the file was cut off"),
            "{err}"
        );
    }
}

#[test]
fn what_is_no_recording_is_refused() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        let path = path.to_str().expect("text");
        let (_, err) = expect(&["replay", path], 2);
        assert!(err.contains("cannot read it: No such file"), "{err}");
        fs::write(path, "hello\n").expect("written");
        let (_, err) = expect(&["replay", path], 2);
        assert!(err.contains("line 1: not a recording;"), "{err}");
        let (_, err) = expect(&["run", "prodcons", "--record", "/no/such/folder/x"], 2);
        assert!(err.contains("cannot write the recording /no/such/folder/x"), "{err}");
    }
}

#[test]
fn a_run_that_is_killed_leaves_a_recording_that_replays() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.jsonl");
        let name = path.to_str().expect("a path of text");
        let mut whole_turns = 0;
        for wait in [0, 1, 2, 5, 10, 20, 50, 100, 200] {
            let _ = fs::remove_file(&path);
            let args = ["run", "prodcons", "--seed", "3", "--turns", "1000000", "--record", name];
            let mut child = command(&args).stdout(Stdio::null()).spawn().expect("guestlab runs");
            // From the moment at which the recording has begun.
            while fs::metadata(&path).map_or(0, |file| file.len()) == 0 {
                thread::yield_now();
            }
            thread::sleep(Duration::from_millis(wait));
            child.kill().expect("it was still running");
            child.wait().expect("it ended");
            let turns = fs::read_to_string(&path).expect("a recording").matches('\n').count() - 2;
            whole_turns += turns;
            let expected =
                format!("identical: {turns} turns; the recording has no end: its run was stopped\n");
            assert_eq!(expect(&["replay", name], 0).0, expected);
        }
        assert!(whole_turns > 0);
    }
}

#[test]
fn every_edited_field_is_noticed() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = record(&folder, &["--seed", "7", "--turns", "8"], 0);
        let text = fs::read_to_string(&path).expect("a recording");
        let last_turn = text.lines().find(|line| line.contains("\"turn\":8,")).expect("an eighth turn");
        for (old, new, status) in [
            (last_turn, "", 2),
            ("\"audit\":\"ok\"", "\"audit\":\"failed\"", 3),
            ("\"produced\":", "\"produced\":1", 3),
            ("\"total\":", "\"total\":1", 3),
            ("\"turns\":8,\"guests\"", "\"turns\":9,\"guests\"", 2),
            ("\"schedule\":\"random\"", "\"schedule\":\"alternate\"", 2),
            ("\"name\":\"guest-producer\"", "\"name\":\"x\"", 2),
            ("\"capacity\":6", "\"capacity\":5", 3),
            ("\"seed\":7", "\"seed\":8", 2),
            ("\"exits\":1}", "\"exits\":1,\"extra\":0}", 2),
        ] {
            assert!(text.contains(old), "{old}");
            let edited = text.replacen(old, new, 1).replace("\n\n", "\n");
            fs::write(&path, edited).expect("written");
            expect(&["replay", &path], status);
        }
    }
}

#[test]
fn deadlines_are_no_difference() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        // The replay's own.
        let path = record(&folder, &["--seed", "3", "--turns", "20000", "--quiet"], 0);
        let (_, err) = expect(&["replay", &path, "--timeout", "0.01"], 4);
        assert!(err.contains("still running after 0.01 s"), "{err}");
        // The recorded run's.
        let path = record(&folder, &["--seed", "3", "--turns", "10000000", "--timeout", "0.3", "--quiet"], 4);
        let (out, _) = expect(&["replay", &path], 0);
        assert!(out.ends_with(" turns, up to the deadline that ended the recorded run\n"), "{out}");
    }
}

#[test]
fn a_recording_cannot_drive_the_terminal_or_forge_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x");
    let name = path.to_str().expect("text");
    for line in [
        r#"{"event":"recording","version":"\u001b[2J\nguestlab: all is well"}"#,
        r#"{"event":"recording","version":1,"options":{"\u001b[2J\nguestlab: all is well":1}}"#,
    ] {
        fs::write(&path, format!("{line}\n")).expect("written");
        let (_, err) = expect(&["replay", name], 2);
        assert!(err.lines().count() == 1 && !err.contains('\x1b'), "{err:?}");
    }
}

#[test]
fn a_recording_that_cannot_be_written_is_named_and_an_old_one_is_kept_until_the_run_begins() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kept");
        fs::write(&path, "kept").expect("written");
        let name = path.to_str().expect("text");
        expect(&["run", "prodcons", "--producer", "./no-such.elf", "--record", name], 2);
        assert_eq!(fs::read(&path).expect("it is there"), b"kept");
        for other in ["/dev/full", "/dev/null", folder.path().to_str().expect("text")] {
            let (_, err) = expect(&["run", "prodcons", "--record", other], 2);
            assert!(
                err.contains(&format!("cannot write the recording {other}: it is not a regular file")),
                "{err}"
            );
        }
        let (_, err) = expect(&["replay", "/dev/zero"], 2);
        assert!(err.contains("it is not a regular file"), "{err}");
    }
}
