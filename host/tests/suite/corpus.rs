//! The fuzz targets over their corpus, without the fuzzer: old findings stay fixed.

use std::{fs, path::Path};

use crate::targets;

/// A target's name and function.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 12] = [
    ("experiment", targets::experiment::run),
    ("gdb", targets::gdb::run),
    ("hypercall", targets::hypercall::run),
    ("image", targets::image::run),
    ("lockstep", targets::lockstep::run),
    ("note", targets::note::run),
    ("post_mortem", targets::post_mortem::run),
    ("recording", targets::recording::run),
    ("schedule", targets::schedule::run),
    ("step", targets::step::run),
    ("story", targets::story::run),
    ("transition", targets::transition::run),
];

/// Returns the files of a target's corpus, or `None` without the sources, as in the nested machine.
fn corpus(target: &str) -> Option<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = fs::read_dir(folder).ok()?;
    Some(files.map(|file| fs::read(file.expect("an entry").path()).expect("a file")).collect())
}

#[test]
fn every_target_takes_its_corpus() {
    for (name, target) in TARGETS {
        match corpus(name) {
            Some(files) => {
                assert!(!files.is_empty(), "{name} has no corpus");
                files.iter().for_each(|file| target(file));
            }
            None => eprintln!("skipped: the corpus of {name} is not here"),
        }
    }
}

#[test]
fn every_target_takes_nothing_and_anything() {
    for (_, target) in TARGETS {
        for byte in [0, 1, b'"', 0x7F, 0xFF] {
            for len in [0, 1, 2, 10, 64, 500] {
                target(&vec![byte; len]);
            }
        }
    }
}

/// The names of the packages that a package depends on, in a lock file.
fn dependencies(lock: &str, package: &str) -> Vec<String> {
    let lock: toml::Table = lock.parse().expect("a lock file");
    let packages = lock["package"].as_array().expect("packages");
    let package = packages.iter().find(|it| it["name"].as_str() == Some(package)).expect("the package");
    let names = package["dependencies"].as_array().expect("names").iter();
    names.map(|name| name.as_str().expect("a name").split(' ').next().expect("a word").into()).collect()
}

/// Returns true if only the tests of the package with this manifest depend on `name`.
fn is_for_tests(manifest: &toml::Table, name: &str) -> bool {
    let has = |kind: &str| manifest[kind].get(name).is_some();
    has("dev-dependencies") && !has("dependencies")
}

/// Otherwise cargo would change the lock file when the targets are built.
#[test]
fn the_targets_lock_file_has_what_the_host_depends_on() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(folder.join(path));
    let (Ok(own), Ok(lock), Ok(manifest)) =
        (read("../Cargo.lock"), read("fuzz/Cargo.lock"), read("Cargo.toml"))
    else {
        eprintln!("skipped: the lock files are not here");
        return;
    };
    let (mut own, lock) = (dependencies(&own, "guestlab"), dependencies(&lock, "guestlab"));
    let manifest = manifest.parse().expect("a manifest");
    own.retain(|name| !is_for_tests(&manifest, name));
    assert_eq!(lock, own, "say `cargo metadata --manifest-path host/fuzz/Cargo.toml`, which mends the file");
}
