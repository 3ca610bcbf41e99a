//! The tracer: it shows and counts instructions, and guests behave as without it.

use std::fs;

use crate::common::{self, can_run_guests, expect, guestlab, image, pingpong, text};
use serde_json::Value;
use tempfile::NamedTempFile;

/// The modes of every machine.
const MODES: [&str; 3] = ["real", "protected", "long"];

const EXCHANGE: [&str; 6] =
    ["run", "prodcons", "--seed=7", "--schedule=string:12211222", "--format", "jsonl"];

/// Runs the program with the trace in a file, and returns the trace, the status and both outputs.
fn traced(args: &[&str]) -> (String, Option<i32>, String, String) {
    let file = NamedTempFile::new().expect("a file");
    let path = file.path().to_str().expect("a plain path");
    let output = guestlab(&[args, &["--timeout=120", "--trace-instructions-to", path]].concat());
    let trace = fs::read_to_string(file.path()).expect("a trace");
    (trace, output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn events(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).expect("one JSON object a line")).collect()
}

fn profile(args: &[&str]) -> Value {
    let (out, _) = expect(&[args, &["--profile", "--format", "jsonl", "--timeout=120"]].concat(), 0);
    events(&out).pop().expect("events")
}

#[test]
fn the_boot_is_shown_instruction_by_instruction() {
    if !can_run_guests() {
        return;
    }
    let (plain, _) = expect(&["run", "hello"], 0);
    for (mode, steps) in [
        ("real", &["mov ss, ax", "lidt", "mov esp, 0x7000                 esp=7000"][..]),
        (
            "protected",
            &["mov cr0, eax                    cr0=11", "cs=8", "protected+0x0", "mov ss, ax", "ss=10"],
        ),
        ("long", &["rep stosd [edi]                 ecx=0", "cr0=80000011", "long+0x0", "ltr ax"]),
    ] {
        let (trace, status, out, _) = traced(&["run", "hello", "--mode", mode, "--trace-instructions"]);
        assert_eq!((status, &out), (Some(0), &plain));
        let mut lines = trace.lines();
        assert_eq!(lines.next(), Some("00007000  _start+0x0                fa                cli"), "{mode}");
        assert_eq!(lines.next(), Some("00007001  _start+0x1                fc                cld"));
        assert_eq!(
            lines.next().and_then(|line| line.split("  efl=").next()).map(str::trim_end),
            Some("00007002  _start+0x2                31c0              xor ax, ax")
        );
        let mut from = 0;
        for step in steps {
            let at = trace[from..].find(step);
            from += at.unwrap_or_else(|| panic!("{mode}: no {step:?} from {from} on in\n{trace}"));
        }
        assert!(trace.contains("hello::main+0x0"), "{trace}");
    }
}

#[test]
fn after_so_many_instructions_the_guest_runs_on() {
    if !can_run_guests() {
        return;
    }
    for args in [&["run", "hello"][..], &EXCHANGE] {
        let (plain, _) = expect(args, 0);
        for limit in [1, 30] {
            let (out, err) = expect(&[args, &["--trace-instructions", &limit.to_string()]].concat(), 0);
            assert_eq!(out, plain);
            let shown = err.lines().filter(|line| line.contains("_start+") || line.contains("protected+"));
            assert!(shown.count() >= limit.min(20), "{err}");
            assert!(err.contains(&format!("no more is shown: --trace-instructions {limit}")), "{err}");
        }
    }
}

#[test]
fn an_exchange_under_the_tracer_is_the_same_exchange_and_costs_the_same_each_time() {
    if !can_run_guests() {
        return;
    }
    for mode in MODES {
        let args = [&EXCHANGE[..], &["--mode", mode]].concat();
        let (plain, _) = expect(&args, 0);
        let (trace, status, out, err) = traced(&[&args[..], &["--profile", "--trace-instructions"]].concat());
        assert_eq!(status, Some(0), "{err}");
        let mut lines: Vec<&str> = out.lines().collect();
        let profile = lines.pop().expect("a profile");
        assert_eq!(lines.join("\n"), plain.trim_end());

        let profile: Value = serde_json::from_str(profile).expect("JSON");
        assert_eq!(profile["event"], "profile");
        let number = |value: &Value| value.as_u64().expect("a number");
        let mut all = 0;
        for (vm, turns) in [(0, 3), (1, 5)] {
            let vm = &profile["vms"][vm];
            let functions = vm["functions"].as_array().expect("functions");
            let sum: u64 = functions.iter().map(|function| number(&function["instructions"])).sum();
            assert_eq!(sum, number(&vm["instructions"]));
            let lines = vm["lines"].as_array().expect("lines");
            let of_lines: u64 = lines.iter().map(|line| number(&line["instructions"])).sum();
            // Only the boot's assembly has no lines.
            assert!(of_lines < sum && of_lines > number(&vm["turns"]["instructions"]), "{of_lines} of {sum}");
            let main = ["guest-producer/src/main.rs", "guest-consumer/src/main.rs"][usize::from(turns == 5)];
            assert!(lines.iter().any(|line| line["file"] == main && number(&line["line"]) > 10), "{vm}");
            assert_eq!(vm["turns"]["count"], turns);
            assert_eq!(number(&vm["boot"]) + number(&vm["turns"]["instructions"]), sum, "{vm}");
            let (min, median, max) = (&vm["turns"]["min"], &vm["turns"]["median"], &vm["turns"]["max"]);
            assert!(0 < number(min) && number(min) <= number(median) && number(median) <= number(max));
            all += sum;
        }
        assert_eq!(trace.lines().count() as u64, all);
        assert!(trace.lines().all(|line| line.starts_with("VM 1  ") || line.starts_with("VM 2  ")));

        let (again, _) = expect(&[&args[..], &["--profile"]].concat(), 0);
        assert_eq!(again, out);
    }
}

#[test]
fn the_table_says_what_a_turn_costs() {
    if !can_run_guests() {
        return;
    }
    let (out, _) = expect(&["run", "prodcons", "--preset=basic", "--seed=1", "--turns=6", "--profile"], 0);
    let table = out.split("audit: ok").nth(1).expect("a table after the end");
    assert!(table.contains("VM 1, guest-producer: ") && table.contains(" of them to boot"), "{table}");
    assert!(table.contains("  3 turns, of ") && table.contains(" instructions each, median "), "{table}");
    assert!(table.contains("%  function\n") && table.contains("  _start\n"), "{table}");
    assert!(table.contains("%  line\n") && table.contains("  guest-rt/src/ring.rs:"), "{table}");
}

#[test]
fn a_recording_that_was_made_under_the_tracer_is_replayed() {
    if !can_run_guests() {
        return;
    }
    let file = NamedTempFile::new().expect("a file");
    let path = file.path().to_str().expect("a plain path");
    expect(&[&EXCHANGE[..], &["--record", path, "--profile"]].concat(), 0);
    assert!(expect(&["replay", path], 0).0.contains("identical"));
}

#[test]
fn interrupts_reach_a_guest_that_is_traced() {
    if !can_run_guests() {
        return;
    }
    for mode in MODES {
        let args = ["run", "timer", "--mode", mode];
        let (plain, _) = expect(&args, 0);
        let (trace, status, out, err) = traced(&[&args[..], &["--trace-instructions"]].concat());
        assert_eq!((status, out), (Some(0), plain), "{mode}: {err}");
        let lines: Vec<&str> = trace.lines().collect();
        let came = |at: &usize| lines[*at] == "an interrupt comes";
        let interrupts: Vec<usize> = (0..lines.len()).filter(came).collect();
        assert_eq!(interrupts.len(), 4, "{mode}: {trace}");
        // Three of them end `sti; hlt`, and each handler is seen from its first instruction on.
        let halted = |at: &&usize| lines[**at - 1].contains("hlt") && lines[**at - 2].contains("sti");
        assert_eq!(interrupts.iter().filter(halted).count(), 3, "{mode}: {trace}");
        assert!(interrupts.iter().all(|at| lines[at + 1].contains("push ")), "{mode}: {trace}");
    }
}

#[test]
fn exceptions_are_handled_and_reported_as_without_a_tracer() {
    if !can_run_guests() {
        return;
    }
    for (guest, modes) in [
        ("recovers", &MODES[..]),
        ("undefined-instruction", &MODES),
        ("page-faults", &["long"]),
        ("jumps-to-null", &MODES),
        ("wild-write", &MODES),
        ("overflows-stack", &["protected"]),
        ("triple-faults", &["protected"]),
        ("panics", &["protected"]),
    ] {
        for mode in modes {
            let args = ["run", guest, "--mode", mode];
            let plain = guestlab(&args);
            let plain = (plain.status.code(), text(&plain.stdout), text(&plain.stderr));
            for limit in [&["--trace-instructions"][..], &["--trace-instructions", "60"]] {
                let (trace, status, out, err) = traced(&[&args[..], limit].concat());
                assert_eq!((status, out, err), plain, "{guest} in {mode} mode\n{trace}");
                assert!(trace.starts_with("00007000  _start+0x0"), "{trace}");
            }
        }
    }
}

#[test]
fn a_handler_of_an_exception_is_seen_from_its_first_instruction_on() {
    if !can_run_guests() {
        return;
    }
    for mode in MODES {
        let (trace, ..) = traced(&["run", "recovers", "--mode", mode, "--trace-instructions"]);
        let lines: Vec<&str> = trace.lines().collect();
        let divisions: Vec<usize> = (0..lines.len()).filter(|&at| lines[at].contains(" div ecx")).collect();
        assert_eq!(divisions.len(), 3, "{mode}: {trace}");
        // The error code, or a word in its place, and the vector.
        for at in divisions {
            assert!(lines[at + 1].contains("push 0") && lines[at + 2].contains("push 0"), "{mode}: {trace}");
        }
    }
}

#[test]
fn limits_hold_and_steps_are_no_exits() {
    if !can_run_guests() {
        return;
    }
    let (_, err) = expect(&["run", "spins", "--timeout", "0.5", "--profile"], 4);
    assert!(err.contains("still running after 0.5 s, the deadline"), "{err}");
    assert!(err.contains("VM 1, spins was stepped, which is slow: it executed "), "{err}");
    let limited = ["run", "hello", "--max-exits", "10"];
    let (_, plain) = expect(&limited, 4);
    let (_, status, _, err) = traced(&[&limited[..], &["--trace-instructions"]].concat());
    assert_eq!((status, err), (Some(4), plain));
}

#[test]
fn an_image_without_symbols_is_counted_all_the_same() {
    if !can_run_guests() {
        return;
    }
    let whole = profile(&["run", "hello"]);
    let mut file = fs::read(image("hello")).expect("an image");
    // The section headers of a 32-bit ELF file: where, how many, and which has their names.
    file[0x20..0x24].fill(0);
    file[0x30..0x34].fill(0);
    let stripped = NamedTempFile::new().expect("a file");
    fs::write(stripped.path(), file).expect("written");
    let path = stripped.path().to_str().expect("a plain path");
    let bare = profile(&["run", "--image", path]);
    assert_eq!(bare["vms"][0]["instructions"], whole["vms"][0]["instructions"]);
    let functions = bare["vms"][0]["functions"].as_array().expect("functions");
    assert_eq!((functions.len(), &functions[0]["function"]), (1, &Value::Null));
    assert!(whole["vms"][0]["lines"].is_array() && bare["vms"][0]["lines"].is_null());
    let (trace, ..) = traced(&["run", "--image", path, "--trace-instructions", "1"]);
    assert!(trace.starts_with("00007000                            fa                cli\n"), "{trace}");
}

/// The functions of a VM's profile, with the instructions of each.
fn functions(profile: &Value, vm: usize) -> Vec<(String, u64)> {
    let functions = profile["vms"][vm]["functions"].as_array().expect("functions");
    let named = |it: &Value| Some((it["function"].as_str()?.to_owned(), it["instructions"].as_u64()?));
    functions.iter().filter_map(named).collect()
}

#[test]
fn inlined_functions_are_counted_by_their_own_names() {
    if !can_run_guests() {
        return;
    }
    for mode in MODES {
        let profile = profile(&[&EXCHANGE[..4], &["--mode", mode]].concat());
        for (vm, expected) in [
            (
                0,
                &["guest_producer::main", "push_each::<guest_producer::main::{closure#0}>", "Digest>::mix"][..],
            ),
            (1, &["guest_consumer::main", "take_each::<core::mem::drop<u32>>", "Digest>::mix", "end_turn"]),
        ] {
            let functions = functions(&profile, vm);
            for expected in expected {
                assert!(functions.iter().any(|(name, _)| name.ends_with(expected)), "{mode}: {functions:?}");
            }
            let all: u64 = functions.iter().map(|(_, instructions)| instructions).sum();
            // Inlined code of Rust's library counts for its caller. The compiler may leave a small function whole.
            let of_the_library = functions.iter().filter(|(name, _)| name.starts_with("core::"));
            let of_the_library: u64 = of_the_library.map(|(_, instructions)| instructions).sum();
            assert!(of_the_library * 20 < all, "{mode}: {functions:?}");
            // Everything is inlined into this one.
            let whole = functions.iter().find(|(name, _)| name == "__guestlab_main").map_or(0, |it| it.1);
            assert!(whole * 20 < all, "{mode}: {functions:?}");
        }
    }
}

#[test]
fn an_image_without_debug_information_is_counted_by_its_symbols() {
    if !can_run_guests() {
        return;
    }
    let whole = profile(&["run", "hello"]);
    let mut file = fs::read(image("hello")).expect("an image");
    let name = b".debug_info";
    let at = file.windows(name.len()).rposition(|window| window == name).expect("the section's name");
    file[at + 1] = b'x';
    let bare = NamedTempFile::new().expect("a file");
    fs::write(bare.path(), file).expect("written");
    let bare = profile(&["run", "--image", bare.path().to_str().expect("a plain path")]);
    assert_eq!(bare["vms"][0]["instructions"], whole["vms"][0]["instructions"]);
    let names: Vec<String> = functions(&bare, 0).into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&"hello::main".to_owned()) && names.contains(&"_start".to_owned()), "{names:?}");
    assert!(functions(&whole, 0).len() > names.len(), "{names:?}");
}

/// The last instructions in a report, without its words.
fn last(report: &str) -> Vec<&str> {
    let Some((_, last)) = report.split_once("\n  last ") else { return Vec::new() };
    last.lines().map(str::trim).collect()
}

#[test]
fn the_report_of_a_failure_has_the_instructions_that_led_to_it() {
    if !can_run_guests() {
        return;
    }
    for (guest, status, newest) in [
        ("null-pointer", 3, "[eax]"),
        ("triple-faults", 3, " ud2"),
        // Neither the handler of the exception nor the text of the panic is shown.
        ("undefined-instruction", 3, " ud2 "),
        ("panics", 1, " call 0x"),
        ("exits-with-7", 1, " out 0xf0, eax"),
    ] {
        let (trace, ..) = traced(&["run", guest, "--trace-instructions"]);
        let trace: Vec<&str> = trace.lines().collect();
        let (_, plain) = expect(&["run", guest], status);
        for count in [1, 7, 1000] {
            let (_, err) = expect(&["run", guest, "--last", &count.to_string(), "--timeout=120"], status);
            let lines = last(&err);
            let end =
                trace.iter().rposition(|line| lines.last() == Some(line)).expect("a line of the trace") + 1;
            assert!(trace[end - 1].contains(newest), "{guest}: {err}");
            assert_eq!(lines, trace[end.saturating_sub(count)..end], "{guest}");
            assert!(err.starts_with(plain.trim_end()), "{guest}: the rest is as without it\n{err}\n{plain}");
        }
        let (out, _) = expect(&["run", guest, "--last", "2", "--format", "jsonl", "--timeout=120"], status);
        let crash = events(&out).into_iter().find(|event| event["event"] == "crash").expect("a crash");
        assert_eq!(crash["last_instructions"].as_array().map(Vec::len), Some(2), "{crash}");
    }
}

#[test]
fn only_the_guest_that_fails_shows_its_last_instructions() {
    if !can_run_guests() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let page = folder.path().join("page.html");
    let page = page.to_str().expect("a plain path");
    let wrong = ["run", "prodcons", "--consumer", "takes-all", "--consume=1", "--seed=3", "--last=5"];
    let (out, err) = expect(&[&wrong[..], &["--timeout=120", "--report", page]].concat(), 3);
    let lines = last(&err);
    assert!(lines.len() == 5 && lines[4].ends_with("out 0xf4, eax"), "{err}");
    assert!(!out.contains("out 0xf4, eax"), "{out}");
    let page = fs::read_to_string(page).expect("a page");
    assert!(page.contains("<summary>The last 5 instructions</summary>"), "{page}");
    // A guest that is well has no report, and output as without it.
    assert_eq!(expect(&["run", "hello", "--last", "5", "--timeout=120"], 0), expect(&["run", "hello"], 0));
    // The profile is counted all the same.
    let (out, _) = expect(&["run", "hello", "--last", "5", "--profile", "--timeout=120"], 0);
    assert!(out.contains("%  line\n"), "{out}");
}

#[test]
fn experiments_of_any_kind_are_traced() {
    if !can_run_guests() {
        return;
    }
    let pingpong = pingpong();
    let pingpong = pingpong.to_str().expect("a plain path");
    let args = ["run", "--experiment", pingpong, "--seed=1"];
    assert_eq!(profile(&args), profile(&args));
    let free = ["run", "prodcons", "--schedule=free", "--turns=10", "--timeout=120", "--profile"];
    let (out, _) = expect(&free, 0);
    assert!(out.contains("audit: ok") && out.contains("VM 2, guest-consumer: "), "{out}");
}

#[test]
fn addresses_in_a_segment_are_linear() {
    if !can_run_guests() {
        return;
    }
    // jmp 0x7C0:5; mov cx, 2; mov al, 'x'; out 0xE9, al; loop -6; hlt
    let image = NamedTempFile::new().expect("a file");
    let bytes = b"\xEA\x05\x00\xC0\x07\xB9\x02\x00\xB0x\xE6\xE9\xE2\xFA\xF4";
    fs::write(image.path(), bytes).expect("written");
    let path = image.path().to_str().expect("a plain path");
    let args = ["run", "--image", path, "--format=flat", "--mode=real", "--load=0x7c00"];
    let (trace, status, out, err) = traced(&[&args[..], &["--trace-instructions"]].concat());
    assert_eq!((status, out.as_str()), (Some(0), "xx"), "{err}");
    let addresses: Vec<&str> = trace.lines().filter_map(|line| line.split(' ').next()).collect();
    let expected = [
        "00007c00", "00007c05", "00007c08", "00007c0a", "00007c0c", "00007c08", "00007c0a", "00007c0c",
        "00007c0e",
    ];
    assert_eq!(addresses, expected, "{trace}");
    assert!(trace.contains("loop 0x00007c08"), "{trace}");
}

#[test]
fn a_reader_who_has_seen_enough_does_not_end_the_run() {
    if !can_run_guests() {
        return;
    }
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = common::command(&["run", "hello", "--trace-instructions"])
        .stdout(std::process::Stdio::piped())
        .stderr(writer)
        .output()
        .expect("guestlab runs");
    assert_eq!(output.status.code(), Some(0));
    assert!(!output.stdout.is_empty());
}

#[test]
fn options_without_sense_are_refused() {
    for (args, reason) in [
        (&["--profile", "--gdb", "0"][..], "cannot be used with '--gdb <ADDRESS>'"),
        (&["--trace-instructions", "--gdb", "0"], "cannot be used with"),
        (&["--trace-instructions", "0"], "--trace-instructions"),
        (&["--trace-instructions-to", "x"], "--trace-instructions"),
        (&["--last", "5", "--gdb", "0"], "cannot be used with"),
        (&["--last", "0"], "--last"),
        (&["--last", "1001"], "--last"),
    ] {
        let (_, err) = expect(&[&["run", "hello"][..], args].concat(), 2);
        assert!(err.contains(reason), "{args:?}: {err}");
    }
    if can_run_guests() {
        let args = ["run", "hello", "--trace-instructions", "--trace-instructions-to", "/nowhere/trace"];
        assert!(expect(&args, 2).1.contains("cannot write the trace /nowhere/trace: "));
    }
}
