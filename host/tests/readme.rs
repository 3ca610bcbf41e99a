//! README shows what is printed.

mod common;

use std::path::Path;

use common::{can_run_guests, text};

/// The command and the output of each example: a block of text whose first line is a command of
/// xtask's that is handed on to `guestlab`.
fn examples(readme: &str) -> Vec<(&str, Vec<&str>)> {
    let blocks = readme.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks
        .filter_map(|block| {
            let mut lines = block.lines();
            let command = lines.next()?.strip_prefix("$ cargo xtask ")?;
            Some((command, lines.collect()))
        })
        .collect()
}

/// Whether a line of output is the one shown, which may end with `...` for what differs from build to
/// build.
fn is_shown(line: &str, shown: &str) -> bool {
    match shown.strip_suffix("...") {
        Some(beginning) => line.starts_with(beginning),
        None => line == shown,
    }
}

#[test]
fn examples_in_readme_print_what_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let examples = examples(include_str!("../../README.md"));
    assert!(examples.len() >= 6, "README shows the four presets, a run, and a search");
    if !root.join("README.md").exists() {
        eprintln!("skipped: the sources are not on this machine");
    } else if can_run_guests() {
        for (command, shown) in examples {
            let arguments: Vec<&str> = command.split(' ').collect();
            let output = common::command(&arguments).current_dir(&root).output().expect("guestlab runs");
            let output = text(&output.stdout);
            let mut lines = output.lines();
            // The folder of recordings is not always the workspace's.
            for shown in shown.iter().filter(|line| !line.starts_with("recording: ")) {
                assert!(lines.any(|line| is_shown(line, shown)), "{command}\nnot there: {shown}\n{output}");
            }
        }
    }
}
