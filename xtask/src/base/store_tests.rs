//! Whole and unfinished copies, without a network.

use std::{fs::TryLockError, path::Path};

use super::*;

const NAME: &str = "guest toolchain";
const COPY: &str = "guest-toolchain";
const PARTIAL: &str = "guest-toolchain.partial-";

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::in_folder(folder.path().into(), NAME);
    (folder, store)
}

const CONTENT: &str = "rustc-web=1.96.0\n";

#[test]
fn a_finished_copy_is_taken() {
    let (folder, store) = store();
    let copy = store.begin().unwrap().finish(CONTENT).unwrap();
    assert_eq!(store.find(), Ok((copy, CONTENT.into())));
    assert!(!left_over(folder.path()));
}

#[test]
fn a_copy_without_a_stamp_is_refused_however_whole_it_looks() {
    let (folder, store) = store();
    fs::create_dir_all(folder.path().join(COPY).join("usr/bin")).unwrap();
    assert!(store.find().is_err());
}

#[test]
fn an_unfinished_copy_is_never_used_and_the_next_removes_it() {
    let (folder, store) = store();
    let cut_off = store.begin().unwrap();
    fs::write(cut_off.tree.join("rustc"), "").unwrap();
    // As if killed: its own tidying-up does not run.
    std::mem::forget(cut_off);
    assert!(store.find().is_err());
    let old = folder.path().join(format!("{PARTIAL}0"));
    fs::create_dir_all(old.join("work")).unwrap();
    let next = store.begin().unwrap();
    assert!(!old.exists());
    assert!(!next.tree.join("rustc").exists());
    drop(next);
    assert!(!left_over(folder.path()));
}

#[test]
fn a_broken_copy_is_replaced() {
    let (folder, store) = store();
    let junk = folder.path().join(COPY).join("junk");
    fs::create_dir_all(&junk).unwrap();
    store.begin().unwrap().finish(CONTENT).unwrap();
    assert!(store.find().is_ok());
    assert!(!junk.exists());
}

#[test]
fn copies_of_another_kind_are_left_alone() {
    let (folder, store) = store();
    let other = Store::in_folder(folder.path().into(), "nested linux");
    let unfinished = other.begin().unwrap();
    store.begin().unwrap().finish(CONTENT).unwrap();
    assert!(unfinished.tree.is_dir());
    assert!(other.find().is_err());
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
