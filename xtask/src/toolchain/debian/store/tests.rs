//! Copies that were cut off, that do not run, and that are whole; no network is needed.

use std::process::Command;

use super::*;

fn pinned() -> Version {
    Version::parse("1.95.0").unwrap()
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().to_path_buf());
    (folder, store)
}

/// Puts a made-up compiler, which is a shell script, into a tree.
fn compiler(tree: &Path, script: &str) {
    fs::create_dir_all(tree.join("usr/lib/rustlib/src/rust/library/core")).unwrap();
    fs::create_dir_all(tree.join("usr/bin")).unwrap();
    // Another process writes it: a file that we have open for writing may leak into a child of
    // another test for a moment, and then nobody can execute it.
    let mut write = Command::new("sh");
    write.args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$2\" && chmod +x \"$2\"", "sh", script]);
    assert!(write.arg(tree.join("usr/bin/rustc")).status().unwrap().success());
}

fn downloads() -> [Download; 1] {
    [Download { file: "rustc-web_1.96.0_amd64.deb".into(), size: 1 }]
}

#[test]
fn a_finished_copy_is_taken() {
    let (folder, store) = store();
    let unfinished = store.begin().unwrap();
    compiler(&unfinished.tree(), "echo rustc 1.96.0");
    let sysroot = unfinished.finish(&downloads()).unwrap();
    assert_eq!(store.complete(pinned()), Ok(sysroot));
    let stamp = fs::read_to_string(folder.path().join(COPY).join(STAMP)).unwrap();
    assert_eq!(stamp, "rustc-web=1.96.0\n");
    assert!(!left_over(folder.path()));
}

#[test]
fn a_copy_without_a_stamp_is_refused_however_whole_it_looks() {
    let (folder, store) = store();
    compiler(&folder.path().join(COPY), "echo rustc 1.96.0");
    assert!(store.complete(pinned()).is_err());
}

#[test]
fn a_copy_whose_compiler_does_not_run_is_refused_with_its_words() {
    let (folder, store) = store();
    let copy = folder.path().join(COPY);
    compiler(&copy, "echo cannot open libLLVM >&2; exit 127");
    fs::write(copy.join(STAMP), "").unwrap();
    let why = store.complete(pinned()).unwrap_err();
    assert!(why.contains("cannot open libLLVM"), "{why}");
}

#[test]
fn a_copy_without_its_source_or_older_than_the_pin_is_refused() {
    let (folder, store) = store();
    let copy = folder.path().join(COPY);
    compiler(&copy, "echo rustc 1.94.0");
    fs::write(copy.join(STAMP), "").unwrap();
    assert!(store.complete(pinned()).unwrap_err().contains("1.94.0 is older than 1.95.0"));
    fs::remove_dir_all(copy.join("usr/lib")).unwrap();
    assert!(store.complete(pinned()).unwrap_err().contains("lacks"));
}

#[test]
fn what_was_cut_off_is_never_taken_and_is_removed_by_the_next() {
    let (folder, store) = store();
    let cut_off = store.begin().unwrap();
    compiler(&cut_off.tree(), "echo rustc 1.96.0");
    // As if killed: its own tidying-up does not run.
    std::mem::forget(cut_off);
    assert!(store.complete(pinned()).is_err());
    let old = folder.path().join(format!("{PARTIAL}0"));
    fs::create_dir_all(old.join("work")).unwrap();
    let next = store.begin().unwrap();
    assert!(!old.exists());
    assert!(!next.sysroot().exists());
    drop(next);
    assert!(!left_over(folder.path()));
}

#[test]
fn a_broken_copy_is_replaced() {
    let (folder, store) = store();
    compiler(&folder.path().join(COPY), "exit 1");
    fs::write(folder.path().join(COPY).join("junk"), "").unwrap();
    let unfinished = store.begin().unwrap();
    compiler(&unfinished.tree(), "echo rustc 1.95.0");
    unfinished.finish(&downloads()).unwrap();
    assert!(store.complete(pinned()).is_ok());
    assert!(!folder.path().join(COPY).join("junk").exists());
}

#[test]
fn the_lock_is_held_until_it_is_dropped() {
    let (folder, store) = store();
    let lock = store.lock().unwrap();
    let other = File::open(folder.path().join(format!("{COPY}.lock"))).unwrap();
    assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
    drop(lock);
    // Waits: a child that another test is starting just now may hold the lock's file for a moment.
    other.lock().unwrap();
}

fn left_over(folder: &Path) -> bool {
    let mut entries = fs::read_dir(folder).unwrap().flatten();
    entries.any(|entry| entry.file_name().to_string_lossy().starts_with(PARTIAL))
}
