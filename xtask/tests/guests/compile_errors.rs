//! Guests that must not compile, and what their authors are told: the lines that begin with `//~` in
//! each file of `compile_errors`, in this order. What is rustc's own around them may change.

use std::fs;
use std::path::Path;

use crate::common::{guest, text, workspace, xtask};

/// The status of what does not compile.
const BAD_INPUT: i32 = 2;

#[test]
fn guests_that_cannot_run_do_not_compile_and_the_error_says_why() {
    let workspace = workspace("compile-errors");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile_errors");
    let mut cases: Vec<_> =
        fs::read_dir(folder).expect("the cases").map(|case| case.expect("a case").path()).collect();
    cases.sort();
    assert!(cases.len() >= 11, "{cases:?}");
    let name = |case: &Path| case.file_stem().expect("a name").to_string_lossy().replace('_', "-");
    let sources: Vec<_> =
        cases.iter().map(|case| (name(case), fs::read_to_string(case).expect("a case"))).collect();
    for (name, source) in &sources {
        guest(&workspace, name, source);
    }
    for (name, source) in &sources {
        refuses(&workspace, name, source);
    }
}

fn refuses(workspace: &Path, name: &str, source: &str) {
    let mode = if name.ends_with("real-mode") { "real" } else { "protected" };
    let output = xtask(workspace, &["build-guests", "--manifest-path", "Cargo.toml", "--mode", mode, name]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(BAD_INPUT), "{name}: {said}");
    let mut lines = said.lines();
    let expected: Vec<&str> = source.lines().filter_map(|line| line.strip_prefix("//~ ")).collect();
    assert!(!expected.is_empty(), "{name} expects nothing");
    for expected in expected {
        assert!(lines.any(|line| line.contains(expected)), "{name}: not there: {expected}\n{said}");
    }
}
