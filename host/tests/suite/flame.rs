//! `--flame`: instructions by call stack, folded and as a graph.

use std::{collections::BTreeMap, fs};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{MODES, can_run_guests, expect, image};

/// Runs a command with `--flame` and `--profile`, and returns the folded stacks, and the number of instructions of each VM.
#[track_caller]
fn flamed(args: &[&str], status: i32) -> (BTreeMap<String, u64>, Vec<u64>) {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("stacks.folded");
    let options =
        ["--engine", "soft", "--profile", "--format", "jsonl", "--flame", file.to_str().expect("text")];
    let (command, rest) = args.split_at(1);
    let (out, _) = expect(&[command, &options, rest].concat(), status);
    let mut events = out.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let profile = events.rfind(|event| event["event"] == "profile").expect("a profile");
    let vms = profile["vms"].as_array().expect("VMs").iter();
    let instructions = vms.map(|vm| vm["instructions"].as_u64().expect("a number")).collect();
    let text = fs::read_to_string(file).expect("it is written");
    let mut stacks = BTreeMap::new();
    for line in text.lines() {
        let (stack, count) = line.rsplit_once(' ').expect(line);
        assert!(stacks.insert(stack.to_owned(), count.parse().expect(line)).is_none(), "{line}");
    }
    (stacks, instructions)
}

/// The instructions of stacks that have these functions one after another.
fn within(stacks: &BTreeMap<String, u64>, functions: &str) -> u64 {
    let has = |stack: &str| format!(";{stack};").contains(&format!(";{functions};"));
    stacks.iter().filter(|(stack, _)| has(stack)).map(|(_, count)| count).sum()
}

#[test]
fn every_instruction_counts_for_one_stack_in_every_mode() {
    for mode in MODES {
        let (stacks, instructions) = flamed(&["run", "primes", "--mode", mode, "--", "30"], 0);
        assert_eq!(stacks.values().sum::<u64>(), instructions[0], "{mode}");
        assert!(stacks.keys().all(|stack| stack.starts_with("primes;")), "{mode}: {stacks:?}");
        let main = within(&stacks, "__guestlab_main;primes::main");
        let primes = within(&stacks, "primes::main;primes::primes_below");
        assert!(0 < primes && primes < main && main < instructions[0], "{mode}: {stacks:?}");
        // All of main is within the code that starts it: no stack was lost on the way.
        assert_eq!(main, within(&stacks, "primes::main"), "{mode}");
    }
}

#[test]
fn a_handler_is_a_call_of_the_interrupted_function() {
    for mode in MODES {
        let (stacks, instructions) = flamed(&["run", "timer", "--mode", mode], 0);
        assert_eq!(stacks.values().sum::<u64>(), instructions[0]);
        let handler = "guest_rt::traps::entry";
        let handlers = stacks.keys().filter(|stack| stack.contains(handler)).count();
        let of_main = stacks.keys().filter(|stack| {
            let outer = stack.split(handler).next().unwrap_or_default();
            stack.contains(handler) && outer.contains(";timer::main;")
        });
        assert!(handlers > 0 && of_main.count() == handlers, "{mode}: {stacks:?}");
        // Main goes on below its own callers after each of the four.
        assert_eq!(within(&stacks, "timer::main"), within(&stacks, "__guestlab_main;timer::main"), "{mode}");
    }
}

#[test]
fn vms_have_stacks_of_their_own() {
    let (stacks, instructions) = flamed(&["run", "prodcons", "--turns", "10", "--seed", "7"], 0);
    for (root, expected) in ["VM 1, guest-producer;", "VM 2, guest-consumer;"].into_iter().zip(instructions) {
        let own = stacks.iter().filter(|(stack, _)| stack.starts_with(root)).map(|(_, count)| count);
        assert_eq!(own.sum::<u64>(), expected, "{root}");
    }
}

#[test]
fn recursion_without_end_has_stacks_of_bounded_depth() {
    let (stacks, instructions) = flamed(&["run", "overflows-stack"], 3);
    assert_eq!(stacks.values().sum::<u64>(), instructions[0]);
    let depth = |stack: &String| stack.matches(';').count();
    assert!(stacks.keys().map(depth).max().expect("stacks") > 20, "{stacks:?}");
}

#[test]
fn a_graph_is_written_beside_the_stacks() {
    if can_run_guests() {
        let folder = TempDir::new().expect("a folder");
        let [svg, text] = ["flame.svg", "flame.txt"].map(|name| folder.path().join(name));
        let [svg_path, text_path] = [&svg, &text].map(|path| path.to_str().expect("text"));
        // On KVM, too, guests are stepped.
        expect(&["run", "hello", "--flame", svg_path, "--flame", text_path], 0);
        let graph = fs::read_to_string(svg).expect("written");
        assert!(graph.starts_with("<?xml") && graph.contains("hello::main ("), "{graph}");
        assert!(fs::read_to_string(text).expect("written").starts_with("hello;_start "));
    }
}

#[test]
fn files_that_cannot_be_written_are_refused_before_the_run() {
    let folder = TempDir::new().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let hello = image("hello").to_str().expect("text").to_owned();
    for (options, message) in [
        (vec!["--flame", &file("none/a.svg")], "cannot write the flame graph"),
        (vec!["--flame", &hello], "would replace the guest's image"),
        (vec!["--flame", &file("a.svg"), "--report", &file("a.svg")], "would replace --report"),
        (vec!["--flame", &file("a.svg"), "--gdb", "localhost:0"], "cannot be used with"),
    ] {
        let (out, err) = expect(&[&["run", "hello"], &options[..]].concat(), 2);
        assert!(out.is_empty() && err.contains(message), "{options:?}: {err}");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}
