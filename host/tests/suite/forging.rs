//! Untrusted names and texts in output: they cannot make a line of their own, control a terminal or reverse its text.

use std::{fs, path::Path, process::Output};

use crate::common::{can_run_guests, command, image, text};

/// The name of an image that forges a line, in part with characters of one byte, two and three.
const FORGER: &str = "x\nFORGED: all is well\r\x1b[2J\u{7f}\u{85}FORGED\u{9b}31m\u{2028}FORGED\u{202e}.elf";

/// Checks that output has no hidden characters, and no line that begins with the forged word.
#[track_caller]
fn nothing_is_forged(what: &str, text: &str) {
    let hidden = |c: char| c.is_control() && c != '\n' && c != '\t' || ('\u{2028}'..='\u{202e}').contains(&c);
    assert!(!text.chars().any(hidden), "{what}: {text:?}");
    assert!(!text.lines().any(|line| line.trim_start().starts_with("FORGED")), "{what}: {text}");
}

#[track_caller]
fn run(folder: &Path, args: &[&str], status: i32) -> Output {
    let output = command(args).current_dir(folder).output().expect("guestlab runs");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{args:?}: {out}{err}");
    nothing_is_forged(&format!("{args:?}, output"), &out);
    nothing_is_forged(&format!("{args:?}, errors"), &err);
    output
}

#[test]
fn an_images_name_forges_nothing() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let path = format!("./{FORGER}");
        fs::copy(image("overfills"), at(FORGER)).expect("copied");
        let exchange = ["run", "prodcons", "--seed", "1", "--producer", &path];
        run(folder.path(), &[&exchange[..], &["--stats", "--profile"]].concat(), 3);
        let lines = run(folder.path(), &[&exchange[..], &["--format", "jsonl"]].concat(), 3);
        let first: serde_json::Value =
            serde_json::from_str(text(&lines.stdout).lines().next().expect("a line")).expect("JSON");
        assert_eq!(format!("{}.elf", first["guests"][0]["name"].as_str().expect("a name")), FORGER);
        let outputs = ["--record", "r", "--report", "page.html", "--trace", "t"];
        run(folder.path(), &[&exchange[..], &outputs].concat(), 3);
        run(folder.path(), &["view", "r", "--svg", "view.svg", "--at", "2"], 0);
        run(folder.path(), &["report", "r", "again.html"], 0);
        run(folder.path(), &["compare", "r", "r"], 0);
        run(folder.path(), &["compare", "r", "r", "--format", "jsonl"], 0);
        run(folder.path(), &["replay", "r"], 0);
        let explore = ["explore", "prodcons", "--quiet", "--producer", &path, "--record", "found"];
        run(folder.path(), &explore, 3);
        run(folder.path(), &[&explore[..], &["--format", "jsonl"]].concat(), 3);
        for name in ["r", "page.html", "again.html", "t", "view.svg", "found"] {
            nothing_is_forged(name, &fs::read_to_string(at(name)).expect("text"));
        }
        run(folder.path(), &["run", "--image", &path], 3);
        run(folder.path(), &["run", "--image", &path, "--trace-instructions", "5"], 3);
    }
}

#[test]
fn words_and_files_that_are_wrong_forge_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let file = format!("file:{FORGER}");
    for args in [
        &[FORGER][..],
        &["run", FORGER],
        &["run", "prodcons", FORGER],
        &["run", "prodcons", "--seed", FORGER],
        &["run", "prodcons", "--schedule", FORGER],
        &["run", "prodcons", "--schedule", &file],
        &["run", "prodcons", "--producer", FORGER],
        &["run", "prodcons", "--record", &format!("no/{FORGER}")],
        &["run", "--experiment", FORGER],
        &["run", "--image", FORGER],
        &["replay", FORGER],
        &["report", FORGER, FORGER],
        &["view", FORGER, "--svg", "x"],
    ] {
        run(folder.path(), args, 2);
    }
    for text in [
        format!("name = {FORGER:?}\nschedule = \"alternate\"\n[[vm]]\nguest = \"x\""),
        format!("name = \"x\"\nschedule = {:?}\n[[vm]]\nguest = \"x\"", "\nFORGED\u{202e}"),
        format!("name = \"x\"\n{:?} = 1", "\nFORGED\u{202e}"),
        "name = \"x\"\n\u{202e}FORGED = 1".to_owned(),
    ] {
        fs::write(at("x.toml"), text).expect("written");
        run(folder.path(), &["run", "--experiment", "x.toml"], 2);
    }
    run(folder.path(), &["doctor", "--engine", "kvm", "--kvm", FORGER], 5);
}
