//! The fuzz targets over their corpus, without the fuzzer: what was found once is not found again.

#[path = "../fuzz/src/lib.rs"]
#[expect(dead_code, unreachable_pub, reason = "these are the fuzz targets, of which this uses a part")]
mod targets;

use std::{fs, path::Path};

/// The targets by name.
const TARGETS: [(&str, fn(&[u8])); 8] = [
    ("experiment", targets::experiment::run),
    ("hypercall", targets::hypercall::run),
    ("image", targets::image::run),
    ("note", targets::note::run),
    ("post_mortem", targets::post_mortem::run),
    ("recording", targets::recording::run),
    ("schedule", targets::schedule::run),
    ("transition", targets::transition::run),
];

/// The files of a target's corpus; `None` where the sources are missing, as in the nested machine.
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
