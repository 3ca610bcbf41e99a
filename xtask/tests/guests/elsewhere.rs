//! Guests outside of Guestlab's workspace.

use std::path::Path;
use std::process::Command;

use crate::common::{self, guest, text, workspace, xtask};

const SOURCE: &str = "#![no_std]\n#![no_main]\n\nguest_rt::entry!(main);\n\n\
                      fn main() -> ! {\n    panic!(\"far from home\")\n}\n";

#[test]
fn guests_of_another_workspace_are_built_into_its_own_folder() {
    let workspace = workspace("elsewhere");
    guest(&workspace, "far-away", SOURCE);
    let manifest = workspace.join("Cargo.toml");
    for manifest in [manifest.as_path(), &workspace, &workspace.join("far-away")] {
        let manifest = manifest.to_str().expect("a path");
        let output = xtask(common::root(), &["build-guests", "--manifest-path", manifest]);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{err}");
        assert!(out.contains("target/tmp/elsewhere/target/guests/far-away.elf"), "{out}");
    }
    let image = std::fs::read(workspace.join("target/guests/far-away.elf")).expect("the image");
    let holds = |text: &str| image.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("far-away/src/main.rs"), "a panic names its file");
    let home = common::root().to_str().expect("a path");
    assert!(!holds(home), "an image is the same wherever it is built");
}

#[test]
fn a_guest_that_is_not_optimized_has_its_functions_apart() {
    let workspace = workspace("unoptimized");
    let function = "fn twice(number: u32) -> u32 {\n    number * 2\n}\n";
    let source =
        SOURCE.replace("\"far from home\"", "\"far from home, {}\", twice(guest_rt::boot::info().vm)");
    guest(&workspace, "plain", &format!("{source}\n{function}"));
    let traced = |more: &[&str]| {
        let arguments =
            [&["run", "plain", "--manifest-path", "plain", "--trace-instructions"], more].concat();
        let output = xtask(&workspace, &arguments);
        (output.status.code(), text(&output.stderr))
    };
    let (status, optimized) = traced(&[]);
    if status == Some(5) {
        eprintln!("skipped: this machine cannot run guests");
        return;
    }
    assert!(!optimized.contains("  plain::twice+0x0 "), "{optimized}");
    let (status, unoptimized) = traced(&["--unoptimized"]);
    assert!(status == Some(1) && unoptimized.contains("far from home, 2"), "{unoptimized}");
    assert!(unoptimized.contains("  plain::twice+0x0 "), "{unoptimized}");
}

/// LLVM's fast instruction selection has wrong calls in 16-bit code, of functions that return a structure in memory.
#[test]
fn a_guest_in_real_mode_that_is_not_optimized_returns_structures() {
    let workspace = workspace("unoptimized");
    let function = "#[inline(never)]\nfn numbers(first: u32) -> [u32; 5] {\n    [first; 5]\n}\n";
    let source =
        SOURCE.replace("panic!(\"far from home\")", "panic!(\"{:?}\", numbers(guest_rt::boot::info().vm))");
    guest(&workspace, "returns", &format!("{source}\n{function}"));
    let words = ["run", "--manifest-path", ".", "returns", "--mode", "real", "--unoptimized"];
    let output = xtask(&workspace, &words);
    let err = text(&output.stderr);
    if output.status.code() == Some(5) {
        eprintln!("skipped: this machine cannot run guests");
        return;
    }
    assert!(output.status.code() == Some(1) && err.contains("[1, 1, 1, 1, 1]"), "{err}");
}

#[test]
fn arithmetic_that_overflows_is_a_panic_however_the_guest_is_built() {
    let workspace = workspace("unoptimized");
    let source =
        SOURCE.replace("panic!(\"far from home\")", "panic!(\"{} left\", guest_rt::boot::info().vm - 2)");
    guest(&workspace, "counts-down", &source);
    for more in [&[][..], &["--unoptimized"]] {
        let output = xtask(&workspace, &[&["run", "--manifest-path", ".", "counts-down"], more].concat());
        let err = text(&output.stderr);
        if output.status.code() == Some(5) {
            eprintln!("skipped: this machine cannot run guests");
            return;
        }
        assert_eq!(output.status.code(), Some(1), "{more:?}: {err}");
        let said = "panicked at counts-down/src/main.rs:7:23: attempt to subtract with overflow";
        assert!(err.contains(said), "{more:?}: {err}");
    }
}

/// Cargo's own words are not ours: only what the guest's program says is compared.
#[test]
fn cargo_run_says_how_a_guest_is_run() {
    let workspace = workspace("in-an-editor");
    guest(&workspace, "far-away", SOURCE);
    let run = |folder: &Path, arguments: &[&str]| {
        let mut run = Command::new(env!("CARGO"));
        run.args(["run", "--quiet"]).args(arguments).current_dir(folder).env_remove("CARGO_TARGET_DIR");
        let output = run.env("CARGO_TARGET_DIR", workspace.join("target")).output().expect("cargo runs");
        (output.status.code(), text(&output.stderr).trim_end().to_owned())
    };
    let typed = format!(
        "far-away is a guest, and runs in a virtual machine: in {}, cargo xtask run far-away --manifest-path {}",
        common::root().canonicalize().expect("a path").display(),
        workspace.join("far-away/Cargo.toml").display()
    );
    assert_eq!(run(&workspace.join("far-away"), &[]), (Some(2), typed));
    let typed = "guest-producer is a guest, and runs in a virtual machine: cargo xtask run guest-producer";
    assert_eq!(run(&common::root().join("guest-producer"), &[]), (Some(2), typed.into()));
}

#[test]
fn an_editor_has_nothing_to_say_about_a_guest() {
    let workspace = workspace("in-an-editor");
    guest(&workspace, "far-away", SOURCE);
    let mut check = Command::new(env!("CARGO"));
    check.args(["check", "--workspace", "--all-targets", "--message-format", "json"]);
    check.current_dir(&workspace).env_remove("CARGO_TARGET_DIR");
    let output = check.output().expect("cargo runs");
    let out = text(&output.stdout);
    assert!(!out.contains(r#""reason":"compiler-message""#), "{out}");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(out.contains("far-away/src/main.rs"), "the guest was checked: {out}");
}

#[test]
fn a_workspace_without_guests_is_refused() {
    let workspace = workspace("without-guests");
    common::write(&workspace.join("other/Cargo.toml"), "[package]\nname = \"other\"\n");
    common::write(&workspace.join("other/src/lib.rs"), "");
    for command in ["build-guests", "run"] {
        let output = xtask(&workspace, &[command, "--manifest-path", "Cargo.toml"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("a guest is a package with a binary that depends on guest-rt"));
    }
}
