//! Guests in C do what guests in Rust do: in every CPU mode, in runs, replays, searches and reports. A machine without a
//! C compiler skips these tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::common::{root, text, workspace, write, xtask};

const MODES: [&str; 4] = ["real", "protected", "paged", "long"];

const PRODUCER: &str = include_str!("c_guests/producer.c");
const CONSUMER: &str = include_str!("c_guests/consumer.c");
const SERVICES: &str = include_str!("c_guests/services.c");
const PINGPONG: &str = include_str!("c_guests/pingpong.c");

/// The tests change guests of one workspace, in which `core` is compiled once for each mode.
static WORKSPACE: Mutex<()> = Mutex::new(());

/// The workspace of these tests, with its guests; none on a machine without a C compiler.
fn take_workspace() -> Option<(PathBuf, MutexGuard<'static, ()>)> {
    if Command::new("cc").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: there is no C compiler here");
        return None;
    }
    let alone = WORKSPACE.lock().unwrap_or_else(PoisonError::into_inner);
    let workspace = workspace("in-c");
    let guests = [
        ("c-producer", PRODUCER, ""),
        ("c-consumer", CONSUMER, ""),
        ("c-wrong", PRODUCER, "\"-DNEVER_WRAPS\""),
        ("c-services", SERVICES, ""),
        ("c-pingpong", PINGPONG, ""),
    ];
    for (name, source, flags) in guests {
        guest(&workspace, name, source, flags);
    }
    let _ = fs::remove_dir_all(workspace.join("c-mistake"));
    Some((workspace, alone))
}

/// Puts a guest in C into a workspace.
fn guest(workspace: &Path, name: &str, source: &str, flags: &str) {
    let runtime = root().join("guest-rt/c");
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
         [[bin]]\nname = \"{name}\"\ntest = false\nbench = false\n\n\
         [dependencies]\nguest-c = {{ path = \"{0}\" }}\nguest-rt = {{ path = \"{0}/..\" }}\n\n\
         [build-dependencies]\nguest-c-build = {{ path = \"{0}/build\" }}\n",
        runtime.display()
    );
    let folder = workspace.join(name);
    write(&folder.join("Cargo.toml"), &manifest);
    write(&folder.join("build.rs"), &format!("fn main() {{\n    guest_c_build::compile(&[{flags}]);\n}}\n"));
    write(&folder.join("src/main.rs"), "#![no_std]\n#![no_main]\n\nuse guest_c as _;\n");
    write(&folder.join("src/main.c"), source);
}

/// The end of a command: its status and its two outputs.
#[derive(Debug)]
struct Ended {
    status: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self { status: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

/// Runs a command of xtask, which must end with this status. Returns nothing if this machine cannot do it.
#[track_caller]
fn expect(workspace: &Path, words: &[&str], status: i32) -> Option<Ended> {
    let ended = Ended::from(xtask(workspace, words));
    if ended.status == Some(5) {
        eprintln!("skipped: {}", ended.err);
        return None;
    }
    assert_eq!(ended.status, Some(status), "{words:?}\n{}\n{}", ended.out, ended.err);
    Some(ended)
}

fn lines<'a>(text: &'a str, beginning: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.starts_with(beginning)).collect()
}

#[test]
fn the_exchange_is_the_same_in_c_and_in_rust() {
    let Some((workspace, _alone)) = take_workspace() else { return };
    for mode in MODES {
        let run = |more: &[&str]| {
            let words =
                ["run", "prodcons", "--manifest-path", ".", "--mode", mode, "--seed", "7", "--turns", "60"];
            expect(&workspace, &[&words, more].concat(), 0)
        };
        let json = ["--format", "jsonl"];
        let Some(rust) = run(&json) else { continue };
        let in_c = ["--producer", "c-producer", "--consumer", "c-consumer"];
        let c = run(&[&in_c[..], &json].concat()).expect("it ran in Rust");
        for event in [r#"{"event":"turn""#, r#"{"event":"end""#] {
            let (c, rust) = (lines(&c.out, event), lines(&rust.out, event));
            assert!(!rust.is_empty() && c == rust, "{mode}: {c:#?} and {rust:#?}");
        }
        run(&[&in_c[..], &["--record", "c.recording"]].concat());
        let replayed =
            expect(&workspace, &["replay", "c.recording", "--manifest-path", "."], 0).expect("it ran");
        assert!(replayed.out.contains("identical"), "{mode}: {}", replayed.out);
    }
}

#[test]
fn a_search_finds_the_fault_of_the_wrong_producer_only() {
    let Some((workspace, _alone)) = take_workspace() else { return };
    let explore = |producer: &str, status| {
        let words =
            ["explore", "prodcons", "--manifest-path", ".", "--consumer", "c-consumer", "--seed", "1"];
        expect(&workspace, &[&words[..], &["--runs", "200", "--producer", producer]].concat(), status)
    };
    let Some(right) = explore("c-producer", 0) else { return };
    assert!(right.out.contains("no failure"), "{right:?}");
    let wrong = explore("c-wrong", 3).expect("it ran");
    assert!(wrong.err.contains("broke the ring's rule `pointer-range`"), "{wrong:?}");
    assert!(wrong.err.contains("main ") && wrong.err.contains("c-wrong/src/main.c:"), "{wrong:?}");
}

#[test]
fn every_function_of_the_header_works_in_every_mode() {
    let Some((workspace, _alone)) = take_workspace() else { return };
    let expected = "-1|  -12|5  |007|beef|c|text|%|-9223372036854775808|18446744073709551615|-3|284\n\
                    1234    ab|cd   |  -42\nbytes\n!\n42\nIO in: 3\nIO out: 6\n";
    for mode in MODES {
        for optimization in [&[][..], &["--unoptimized"]] {
            let words = ["run", "--manifest-path", ".", "c-services", "--mode", mode];
            let words = [&words[..], optimization, &["--", "services", "two words"]].concat();
            let Some(ended) = expect(&workspace, &words, 0) else { continue };
            assert!(ended.out.starts_with(expected), "{mode}: {}", ended.out);
            assert!(ended.out.contains("INFO  services: a record\n"), "{mode}: {}", ended.err);
            let half = if mode == "long" { "" } else { "5\n" };
            assert!(ended.out.ends_with(&format!("10000000000\n{half}")), "{mode}: {}", ended.out);
        }
    }
}

#[test]
fn a_failure_is_reported_with_the_line_of_c() {
    let Some((workspace, _alone)) = take_workspace() else { return };
    let line = |code: &str| {
        let line = SERVICES.lines().position(|line| line.contains(code)).expect("code") + 1;
        format!("c-services/src/main.c:{line}")
    };
    for (what, status, said, code) in [
        ("panic", 1, ": gives up", "guestlab_panic(\"gives"),
        ("assert", 1, ": assertion failed: one == 2", "guestlab_assert(one == 2)"),
        ("index", 1, ": index 64 out of bounds of 'uint32_t", "slots[one + 63]"),
        ("overflow", 1, "2147483647 + 1 overflows 'int'", "most + (int)one"),
        ("wide", 1, ": -(-9223372036854775808) overflows 'long", "-((long long)"),
        ("divide", 1, ": 2147483647 divided by zero", "most / "),
        ("shift", 1, ": 'int' 1 shifted by 32", "(int)one <<"),
        ("null", 3, "null pointer: wrote to address 0x0", "(one - 1) = 1"),
        ("vector", 1, "a vector of guestlab_abi.h", "guestlab_set_handler(99"),
        ("exit", 1, "exited with status 7", "guestlab_exit(7)"),
        ("return", 1, "exited with status 9", ""),
    ] {
        // The first one builds the images; they have the report's lines in each mode.
        for mode in if what == "panic" || what == "null" { &MODES[..] } else { &["protected"] } {
            let words = ["run", "--manifest-path", ".", "c-services", "--mode", mode, "--", what];
            let Some(ended) = expect(&workspace, &words, status) else { continue };
            assert!(ended.err.contains(said), "{what}, {mode}: {}", ended.err);
            assert!(code.is_empty() || ended.err.contains(&line(code)), "{what}, {mode}: {}", ended.err);
        }
    }
}

#[test]
fn instructions_are_counted_by_the_functions_of_c() {
    let Some((workspace, _alone)) = take_workspace() else { return };
    let words =
        ["run", "prodcons", "--manifest-path", ".", "--producer", "c-producer", "--turns", "6", "--profile"];
    let Some(ended) = expect(&workspace, &words, 0) else { return };
    let profile = ended.out + &ended.err;
    assert!(profile.contains("c-producer/src/main.c"), "{profile}");
}

#[test]
fn messages_of_c_guests_pass_from_vm_to_vm() {
    let Some((workspace, _alone)) = take_workspace() else { return };
    let vm = |name: &str| format!("[[vm]]\nguest = \"c-pingpong\"\narguments = [\"{name}\"]\n\n");
    let file =
        format!("name = \"pingpong\"\nschedule = \"alternate\"\nturns = 4\n\n{}{}", vm("ping"), vm("pong"));
    write(&workspace.join("pingpong.toml"), &file);
    let words = ["run", "--manifest-path", ".", "--experiment", "pingpong.toml"];
    let Some(ended) = expect(&workspace, &words, 0) else { return };
    for (turn, printed) in ["ping 0", "pong 1", "ping 2", "pong 3"].iter().enumerate() {
        assert!(ended.out.contains(printed), "turn {}: {}", turn + 1, ended.out);
    }
}

#[test]
fn a_mistake_in_c_is_reported_before_anything_runs() {
    let Some((workspace, _alone)) = take_workspace() else { return };
    let main = |body: &str| format!("#include <guestlab.h>\n\nint main(void)\n{{\n    {body}\n}}\n");
    let doubled = main("double half = 0.5 * guestlab_boot_info()->vm;\n    return half > 0;");
    for (source, flags, mode, said) in [
        (
            main("return 0"),
            "",
            "protected",
            "c-mistake/src/main.c:5:13: error: expected ';' before '}' token",
        ),
        (
            main("return misspelled();"),
            "",
            "protected",
            "c-mistake/src/main.c:5:12: error: implicit declaration of function 'misspelled'",
        ),
        (main("void gone(void); gone(); return 0;"), "", "protected", "undefined symbol: gone"),
        (
            main("return 0;").replace("main", "mian"),
            "",
            "protected",
            "the guest has no entry: one of its C files must define `int main(void)`",
        ),
        (
            main("return 0;"),
            "\"-fno-such-flag\"",
            "protected",
            "unrecognized command-line option '-fno-such-flag'",
        ),
        (
            main("static char big[100000]; big[guestlab_random_below(2)] = 1; return big[1];"),
            "",
            "real",
            "the guest is too big for real mode",
        ),
        (
            doubled
                .replace("double half", "double half(void);\n    double x")
                .replace("half >", "half() + x >"),
            "",
            "long",
            "SSE register return with SSE disabled",
        ),
    ] {
        guest(&workspace, "c-mistake", &source, flags);
        let words = ["build-guests", "--manifest-path", ".", "c-mistake", "--mode", mode];
        // The words are gcc's.
        let ended = Ended::from(xtask_with_compiler(&workspace, &words, "gcc"));
        assert_eq!(ended.status, Some(2), "{source}: {ended:?}");
        assert!(ended.err.contains(said), "{source}: {}", ended.err);
    }
    guest(&workspace, "c-mistake", &main("return 0;"), "");
    let words = ["build-guests", "--manifest-path", ".", "c-mistake"];
    let ended = Ended::from(xtask_with_compiler(&workspace, &words, "no-such-compiler"));
    assert_eq!(ended.status, Some(2), "{ended:?}");
    assert!(ended.err.contains("install gcc or clang"), "{}", ended.err);
    fs::remove_file(workspace.join("c-mistake/src/main.c")).expect("removed");
    let ended = Ended::from(xtask(&workspace, &words));
    assert!(ended.status == Some(2) && ended.err.contains("there is no C file in "), "{ended:?}");
}

fn xtask_with_compiler(workspace: &Path, words: &[&str], compiler: &str) -> Output {
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    xtask.args(words).current_dir(workspace).stdin(Stdio::null()).env_remove("CARGO_TARGET_DIR");
    xtask.env("CC", compiler).output().expect("xtask runs")
}
