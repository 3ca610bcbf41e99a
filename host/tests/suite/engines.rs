//! The choice of an engine, and runs that are the same on each.

use crate::common::{expect, has_kvm, images};

/// A device that is not there.
const NO_KVM: [&str; 2] = ["--kvm", "/dev/no-such-kvm"];

const RUN: [&str; 6] = ["run", "prodcons", "--turns", "60", "--seed", "7"];

#[test]
fn the_exchange_is_the_same_text_on_each_engine_and_replays_on_the_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut engines = vec!["soft"];
    if has_kvm() {
        engines.push("kvm");
    }
    let mut texts = Vec::new();
    for recorded_on in &engines {
        let file = folder.path().join(format!("{recorded_on}.jsonl"));
        let file = file.to_str().expect("a path of text");
        texts.push(expect(&[&RUN[..], &["--engine", recorded_on, "--record", file]].concat(), 0).0);
        let recorded = std::fs::read_to_string(file).expect("a recording");
        assert!(recorded.contains(&format!(r#""engine":"{recorded_on}""#)), "{recorded}");
        for replayed_on in &engines {
            let (out, _) = expect(&["replay", file, "--engine", replayed_on], 0);
            assert_eq!(out, "identical: 60 turns\n", "{recorded_on} on {replayed_on}");
        }
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
}

#[test]
fn without_kvm_the_interpreter_runs_the_guests_and_a_line_says_so() {
    let (out, err) = expect(&[&RUN[..], &["--engine", "auto"], &NO_KVM].concat(), 0);
    assert!(out.ends_with("audit: ok, what came out is what went in, in order\n"), "{out}");
    let line = "KVM does not work here (/dev/no-such-kvm is not there): the interpreter runs the guests (--engine soft), \
                and times are its own\n";
    assert_eq!(err, line);
    // Who asks for it knows.
    let (_, err) = expect(&[&RUN[..], &["--engine", "soft"], &NO_KVM].concat(), 0);
    assert_eq!(err, "");
}

#[test]
fn paged_mode_works_on_every_machine() {
    let (out, err) = expect(&["run", "hello", "--mode", "paged", "--engine", "auto"], 0);
    assert!(out.starts_with("hello from VM 1, which has 2048 KiB of memory\n"), "{out}");
    let told = err.lines().filter(|line| line.contains("has no paged mode: the interpreter runs the guests"));
    assert!(told.count() <= 1, "{err}");
}

/// The engine of an image is chosen before the threads are in the jail.
#[test]
fn tests_inside_guests_run_in_paged_mode_on_every_machine() {
    let image = images().join("failing-tests.paged.elf");
    let image = image.to_str().expect("a path of text");
    let (out, _) = expect(&["test", "--image", image, "--timeout", "0.5", "--engine", "auto"], 1);
    assert!(out.contains("assertion `left == right` failed: arithmetic"), "{out}");
}

#[test]
fn the_doctor_has_a_line_for_each_engine() {
    let (out, _) = expect(&[&["doctor", "--engine", "auto"][..], &NO_KVM].concat(), 0);
    assert!(
        out.starts_with("note  device: /dev/no-such-kvm is not there\n      mend: load KVM's module"),
        "{out}"
    );
    assert!(out.contains("ok    soft: runs guests in modes real, protected, paged, long; "), "{out}");
    assert!(out.ends_with("ok    engine: --engine auto takes soft\n"), "{out}");
}

/// A guest that waits for its timer and reads its clock.
fn timed(engine: &str, file: &str) -> (String, String) {
    let run = ["run", "prodcons", "--producer", "timed-producer", "--turns", "40", "--seed", "7"];
    expect(&[&run[..], &["--engine", engine, "--record", file]].concat(), 0)
}

#[test]
fn time_is_counted_on_the_interpreter_so_that_every_run_repeats() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = ["a", "b"].map(|name| folder.path().join(name).to_str().expect("a path of text").to_owned());
    let texts = files.each_ref().map(|file| timed("soft", file).0);
    assert_eq!(texts[0], texts[1]);
    // Without a choice of the user's, a recording is replayed on the engine that counts.
    let (out, _) = expect(&["replay", &files[0], "--engine", "auto"], 0);
    assert_eq!(out, "identical: 40 turns\n");
    if has_kvm() {
        let (_, err) = expect(&["replay", &files[0], "--engine", "kvm"], 3);
        assert!(err.contains("try: --engine soft, which made the recording"), "{err}");
    }
    for mode in ["real", "protected", "paged", "long"] {
        for guest in ["stopwatch", "timer"] {
            let run = || expect(&["run", guest, "--mode", mode, "--engine", "soft"], 0);
            assert_eq!(run(), run(), "{guest} in {mode} mode");
        }
    }
}
