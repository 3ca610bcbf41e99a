//! Libraries in a cache of their own, without a compiler.

use std::fs::File;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use super::*;

fn cache() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("i386-guestlab-none");
    (folder, target)
}

/// Makes a library of one file.
fn make(_: &Path, tree: &Path) -> Result<(), Error> {
    files::replace(&tree.join("lib/core.rlib"), b"core")
}

fn never(_: &Path, _: &Path) -> Result<(), Error> {
    panic!("it is there already")
}

#[test]
fn a_library_is_made_once() {
    let (_folder, target) = cache();
    let made = obtain(&target, "rustc 1.96.0", make).unwrap();
    assert_eq!(fs::read(made.join("lib/core.rlib")).unwrap(), b"core");
    assert_eq!(obtain(&target, "rustc 1.96.0", never).unwrap(), made);
}

#[test]
fn a_library_that_failed_or_was_cut_off_is_made_again() {
    let (_folder, target) = cache();
    let fail = |work: &Path, tree: &Path| make(work, tree).and(Err(Error::cannot_run("no space")));
    assert!(obtain(&target, "a", fail).is_err());
    // As if killed: its own tidying-up does not run.
    let store = Store::in_folder(target.clone(), &format!("{:016x}", hash("a")));
    let cut_off = store.begin().unwrap();
    make(&cut_off.work, &cut_off.tree).unwrap();
    let left = cut_off.tree.clone();
    std::mem::forget(cut_off);
    let makes = AtomicUsize::new(0);
    let count = |work: &Path, tree: &Path| {
        makes.fetch_add(1, Ordering::Relaxed);
        make(work, tree)
    };
    obtain(&target, "a", count).unwrap();
    assert_eq!(makes.into_inner(), 1);
    assert!(!left.exists());
}

#[test]
fn two_at_once_make_one() {
    let (_folder, target) = cache();
    let (makes, both) = (AtomicUsize::new(0), Barrier::new(2));
    let slow = |work: &Path, tree: &Path| {
        makes.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(20));
        make(work, tree)
    };
    let obtain = || {
        both.wait();
        obtain(&target, "a", slow).unwrap()
    };
    let found =
        std::thread::scope(|scope| [scope.spawn(obtain), scope.spawn(obtain)].map(|it| it.join().unwrap()));
    assert_eq!(found[0], found[1]);
    assert_eq!(makes.load(Ordering::Relaxed), 1);
}

#[test]
fn the_last_used_libraries_are_kept() {
    let (_folder, target) = cache();
    let obtain = |inputs: &str| obtain(&target, inputs, make).unwrap();
    let [a, b] = ["a", "b"].map(obtain);
    for (library, age) in [(&a, 20), (&b, 10)] {
        let stamp = File::options().append(true).open(library.join("packages")).unwrap();
        stamp.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
    }
    obtain("a");
    let c = obtain("c");
    assert!(a.exists() && !b.exists() && c.exists());
}

/// A sysroot with a compiler, which is a shell script, and its library source.
fn toolchain(folder: &Path) -> Toolchain {
    for name in SOURCES {
        files::replace(&folder.join("lib/rustlib/src/rust/library").join(name).join("src/lib.rs"), b"")
            .unwrap();
    }
    set_compiler(folder, "rustc 1.96.0");
    Toolchain::made_up(folder)
}

/// Another process writes it: a file that we have open for writing may leak into a child of another test for a moment,
/// and then nobody can execute it.
fn set_compiler(folder: &Path, version: &str) {
    files::create_folder(&folder.join("bin")).unwrap();
    let mut write = Command::new("sh");
    write.args(["-c", "printf '#!/bin/sh\\necho %s\\n' \"$1\" >\"$2\" && chmod +x \"$2\"", "sh", version]);
    assert!(write.arg(folder.join("bin/rustc")).status().unwrap().success());
}

#[test]
fn another_compiler_source_or_target_is_another_library() {
    let folder = tempfile::tempdir().unwrap();
    let toolchain = toolchain(folder.path());
    let inputs = |mode| inputs(&toolchain, mode).unwrap();
    let first = inputs(Mode::Protected);
    assert_eq!(first, inputs(Mode::Protected));
    assert_eq!(first, inputs(Mode::Paged), "one target, one library");
    assert_ne!(first, inputs(Mode::Real));
    assert_ne!(inputs(Mode::Real), inputs(Mode::Long));
    assert!(first.contains(r#""llvm-target": "i386-unknown-none-elf""#), "the target's file: {first}");
    assert!(first.contains("[profile.guest]") && first.contains("overflow-checks = false"), "{first}");
    assert!(first.contains("sse2") && !inputs(Mode::Long).contains("cfg=target_feature"), "{first}");
    assert!(first.contains("-Zbuild-std-features=compiler-builtins-mem"), "{first}");
    set_compiler(folder.path(), "rustc 1.97.0");
    let second = inputs(Mode::Protected);
    assert_ne!(first, second);
    fs::write(toolchain.sysroot.library().join("alloc/src/lib.rs"), "damaged").unwrap();
    assert_ne!(second, inputs(Mode::Protected));
}
