//! The examples of the library: each is built and run, on the interpreter, and on KVM where this machine has one.

use std::{
    collections::HashMap,
    path::PathBuf,
    process::{Command, Output},
    sync::OnceLock,
};

use crate::common::{self, text};

/// The programs of the examples, by name. `None` where there is no cargo, as in the nested machine.
fn programs() -> Option<&'static HashMap<String, PathBuf>> {
    static PROGRAMS: OnceLock<Option<HashMap<String, PathBuf>>> = OnceLock::new();
    PROGRAMS.get_or_init(|| Some(build(Command::new(std::env::var_os("CARGO")?)))).as_ref()
}

fn build(mut cargo: Command) -> HashMap<String, PathBuf> {
    cargo.args(["build", "--package", "guestlab", "--examples", "--message-format", "json"]);
    let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(built.status.success(), "{}", text(&built.stderr));
    let messages = text(&built.stdout);
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let program = |message: serde_json::Value| {
        let name = message["target"]["name"].as_str()?.to_owned();
        Some((name, message["executable"].as_str()?.into()))
    };
    messages.filter_map(program).collect()
}

/// Runs an example on each engine that works here, and returns its lines from each.
fn lines(example: &str, arguments: &[&str]) -> Vec<Vec<String>> {
    let Some(programs) = programs() else {
        eprintln!("skipped: there is no cargo that builds the examples");
        return Vec::new();
    };
    let run = |engine: &[&str]| {
        let output = Command::new(&programs[example]).args(engine).args(arguments).output().expect("it runs");
        lines_of(example, &output)
    };
    let mut all = vec![run(&["--soft"])];
    if common::can_run_guests() {
        all.push(run(&[]));
    }
    all
}

fn lines_of(example: &str, output: &Output) -> Vec<String> {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{example}\nstdout: {out}\nstderr: {err}");
    out.lines().map(str::to_owned).collect()
}

#[test]
fn count_exits_prints_what_the_guest_prints_and_the_number_of_its_exits() {
    let image = common::image("hello");
    for lines in lines("count_exits", &[image.to_str().expect("a path in UTF-8")]) {
        assert_eq!(lines[0], "hello from VM 1, which has 2048 KiB of memory");
        assert_eq!(lines[lines.len() - 3..], ["Stop(Exited(0))", "     5 io_in", "    29 io_out"]);
    }
}

#[test]
fn own_hypercall_answers_with_the_square() {
    for lines in lines("own_hypercall", &[]) {
        assert_eq!(lines, ["144", "Stop(Halted)"]);
    }
}

#[test]
fn message_to_vm_reaches_the_chosen_vm_only() {
    for lines in lines("message_to_vm", &[]) {
        assert!(lines.contains(&"VM 3 prints in round 3: 42".to_owned()), "{lines:?}");
        assert_eq!(lines.iter().filter(|line| line.contains("prints")).count(), 1, "{lines:?}");
        assert_eq!(lines.last().map(String::as_str), Some("VM 2 still waits"));
    }
}

#[test]
fn preempt_gives_both_endless_loops_their_time() {
    for lines in lines("preempt", &[]) {
        for vm in [1, 2] {
            let beginning = format!("VM {vm} counted to ");
            let count = lines.iter().find_map(|line| line.strip_prefix(&beginning)?.parse::<u32>().ok());
            assert!(count.is_some_and(|count| count > 0), "{lines:?}");
        }
        assert_eq!(lines.last().map(String::as_str), Some("10 time slices for each VM"));
    }
}

#[test]
fn shared_page_has_the_sums_of_both_vms() {
    for lines in lines("shared_page", &[]) {
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[5], "after VM 2's turn the page has 33");
    }
}

/// The template's `exchange` is empty: each VM keeps its own ring.
#[test]
fn two_vms_take_turns_but_exchange_nothing_yet() {
    let images = ["guest-producer", "guest-consumer"].map(common::image);
    let paths = images.each_ref().map(|path| path.to_str().expect("a path in UTF-8"));
    for lines in lines("two_vms", &paths) {
        assert_eq!(lines.len(), 10);
        let of = |vm: &str| lines.iter().filter(|line| line.contains(vm)).cloned().collect::<Vec<_>>();
        assert!(of("VM 1").last().is_some_and(|line| !line.contains("count: 0")), "{lines:?}");
        assert!(of("VM 2").iter().all(|line| line.contains("count: 0")), "{lines:?}");
    }
}
