//! The files that runs leave: whole or not there, however a run ends, and never in the place of what the user had.

use std::{
    ffi::c_int,
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    os::unix::{
        fs::symlink,
        process::{CommandExt, ExitStatusExt},
    },
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use crate::common::{await_run, can_run_guests, command, expect, image, text};
use libc::{SIGHUP, SIGINT, SIGKILL, SIGTERM};
use tempfile::TempDir;

/// The user's old file.
const OLD: &str = "the user's own\n";

/// The options that name a file, each with one and what goes with it.
const OUTPUTS: [&[&str]; 4] = [
    &["--report", "page.html"],
    &["--trace", "trace.json"],
    &["--flame", "flame.svg"],
    &["--trace-instructions", "9", "--trace-instructions-to", "lines.txt"],
];

/// The same for coverage, which only the interpreter has.
const COVERAGE: &[&str] = &["--engine", "soft", "--coverage", "cover.html"];

/// The files of these options, and of `--record`.
const FILES: [&str; 5] = ["page.html", "trace.json", "flame.svg", "lines.txt", "run.jsonl"];

/// A folder in which these files are the user's.
fn folder(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    files.iter().for_each(|name| fs::write(folder.path().join(name), OLD).expect("written"));
    folder
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().expect("text")).collect();
    names.sort();
    names
}

/// A command that is run in a folder.
fn command_in(folder: &Path, args: &[&str]) -> Command {
    let mut command = command(args);
    command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

#[track_caller]
fn expect_in(folder: &Path, args: &[&str], status: i32) -> String {
    let output = command_in(folder, args).output().expect("guestlab runs");
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{args:?}: {err}");
    err
}

fn send(child: &Child, signal: c_int) {
    // SAFETY: the child has not been waited for, so that its process number is its own.
    unsafe { libc::kill(child.id().cast_signed(), signal) };
}

/// Signals a run once it has begun.
fn signalled(folder: &Path, args: &[&str], signal: c_int) -> Output {
    let mut child = command_in(folder, args).spawn().expect("guestlab runs");
    await_run(&mut child);
    thread::sleep(Duration::from_millis(100));
    send(&child, signal);
    child.wait_with_output().expect("it ends")
}

/// A long run of two VMs with all outputs.
fn exchange() -> Vec<&'static str> {
    [&["run", "prodcons", "--turns", "1000000", "--record", "run.jsonl"], OUTPUTS.concat().as_slice()]
        .concat()
}

/// Each file must be whole, and there must be no other.
#[track_caller]
fn all_are_whole(folder: &Path, files: &[&str]) {
    let mut expected = files.to_vec();
    expected.sort_unstable();
    assert_eq!(names(folder), expected);
    for name in files {
        let content = fs::read_to_string(folder.join(name)).expect("text");
        assert_ne!(content, OLD, "{name}");
        match *name {
            "page.html" => assert!(
                content.contains("it was interrupted or killed") && content.ends_with("</html>"),
                "{content}"
            ),
            "trace.json" => {
                serde_json::from_str::<serde_json::Value>(&content).expect("all of the array");
            }
            "flame.svg" => assert!(content.trim_end().ends_with("</svg>"), "{content}"),
            "cover.html" => {
                assert!(content.contains("/spins.rs</a>") && content.ends_with("</html>"), "{content}")
            }
            "lines.txt" => assert!(content.lines().count() > 9 && content.ends_with('\n'), "{content}"),
            _ => drop(expect(&["replay", folder.join(name).to_str().expect("text")], 0)),
        }
    }
}

#[test]
fn a_signal_leaves_every_file_whole() {
    if can_run_guests() {
        let exchange = exchange();
        let alone = [&["run", "spins"], OUTPUTS.concat().as_slice()].concat();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            for old in [&[][..], &FILES] {
                for (args, files) in [(&exchange, &FILES[..]), (&alone, &FILES[..4])] {
                    let old: Vec<&str> = old.iter().copied().filter(|name| files.contains(name)).collect();
                    let folder = folder(&old);
                    let output = signalled(folder.path(), args, signal);
                    assert_eq!(output.status.signal(), Some(signal), "{args:?}: {}", text(&output.stderr));
                    all_are_whole(folder.path(), files);
                }
            }
            let folder = folder(&["cover.html"]);
            let output = signalled(folder.path(), &[&["run", "spins"], COVERAGE].concat(), signal);
            assert_eq!(output.status.signal(), Some(signal), "{}", text(&output.stderr));
            all_are_whole(folder.path(), &["cover.html"]);
        }
    }
}

#[test]
fn a_kill_leaves_what_the_user_had_and_what_was_told_so_far() {
    if can_run_guests() {
        let args = exchange();
        let new = folder(&[]);
        signalled(new.path(), &args, SIGKILL);
        // What removes the page outlives the run a little.
        while names(new.path()).iter().any(|name| name.ends_with(".part")) {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(!new.path().join("page.html").exists());
        expect(&["replay", new.path().join("run.jsonl").to_str().expect("text")], 0);

        let folder = folder(&FILES);
        signalled(folder.path(), &args, SIGKILL);
        while folder.path().join("page.html.part").exists() {
            thread::sleep(Duration::from_millis(1));
        }
        for name in FILES {
            assert_eq!(fs::read_to_string(folder.path().join(name)).expect("text"), OLD, "{name}");
        }
        expect(&["replay", folder.path().join("run.jsonl.part").to_str().expect("text")], 0);
    }
}

/// gdb's `kill`, before the guest's first instruction.
#[test]
fn a_run_that_gdb_ends_has_a_page() {
    if can_run_guests() {
        let folder = folder(&["page.html"]);
        let args = ["run", "spins", "--gdb", "localhost:0", "--report", "page.html"];
        let mut child = command_in(folder.path(), &args).spawn().expect("guestlab runs");
        let mut err = BufReader::new(child.stderr.take().expect("piped"));
        let mut said = String::new();
        while !said.contains("target remote 127") {
            assert!(err.read_line(&mut said).expect("text") > 0, "{said}");
        }
        let address = said.split("target remote ").nth(1).and_then(|it| it.split('\'').next());
        let mut gdb = TcpStream::connect(address.expect("an address")).expect("it listens");
        gdb.write_all(b"$k#6b").expect("sent");
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
        all_are_whole(folder.path(), &["page.html"]);
    }
}

/// Runs in a folder where no file can have more than so many bytes.
fn limited(folder: &Path, args: &[&str], bytes: libc::rlim_t) -> (Option<i32>, String) {
    let mut command = command_in(folder, args);
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    let set = move || {
        // SAFETY: the pointer is to a limit.
        match unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: what the child does before the program is one system call.
    unsafe { command.pre_exec(set) };
    let output = command.output().expect("guestlab runs");
    (output.status.code(), text(&output.stderr))
}

#[test]
fn a_full_disk_leaves_what_the_user_had() {
    if can_run_guests() {
        for bytes in [0, 3000] {
            for options in [&["--record", "run.jsonl"][..]].into_iter().chain(OUTPUTS).chain([COVERAGE]) {
                let name = options[options.len() - 1];
                let folder = folder(&[name]);
                let exchange = ["run", "prodcons", "--turns", "100"];
                let (status, err) = limited(folder.path(), &[&exchange, options].concat(), bytes);
                // Lines are not worth ending a run for.
                let lines = name == "lines.txt" && bytes > 0;
                let expected = if name == "lines.txt" { 0 } else { 2 };
                assert_eq!(status, Some(expected), "{options:?}: {err}");
                assert!(lines || err.contains("File too large"), "{options:?}: {err}");
                assert_eq!(names(folder.path()), [name]);
                if !lines {
                    let content = fs::read_to_string(folder.path().join(name)).expect("text");
                    assert_eq!(content, OLD, "{options:?}");
                }
            }
        }
    }
}

#[test]
fn a_run_that_cannot_start_changes_nothing() {
    let all = [&["--record", "run.jsonl"], OUTPUTS.concat().as_slice()].concat();
    for (begin, status) in [
        (&["run", "prodcons", "--producer", "./no-such.elf"][..], 2),
        (&["run", "prodcons", "--schedule", "file:no-such"], 2),
        (&["run", "prodcons", "--schedule", "string:13"], 2),
        (&["run", "prodcons", "--consumer", "page.html"], 2),
        (&["run", "prodcons", "--engine", "kvm", "--kvm", "/dev/null"], 5),
    ] {
        for old in [&[][..], &FILES] {
            let folder = folder(old);
            expect_in(folder.path(), &[begin, &all].concat(), status);
            let mut expected = old.to_vec();
            expected.sort_unstable();
            assert_eq!(names(folder.path()), expected, "{begin:?}");
            for name in old {
                assert_eq!(fs::read_to_string(folder.path().join(name)).expect("text"), OLD, "{begin:?}");
            }
        }
    }
}

#[test]
fn an_output_does_not_take_the_place_of_an_input_or_of_another() {
    let folder = folder(&["in", "other"]);
    let at = |name: &str| folder.path().join(name);
    fs::hard_link(at("in"), at("hard")).expect("a link");
    symlink("in", at("soft")).expect("a link");
    let before = names(folder.path());
    for out in ["in", "./in", "hard", "soft"] {
        for (args, one, other) in [
            (&["run", "--image", "in", "--report", out][..], "--report", "--image"),
            (&["run", "--image", "in", "--trace", out], "--trace", "--image"),
            (&["run", "--experiment", "in", "--trace", out], "--trace", "--experiment"),
            (&["run", "prodcons", "--producer", "./in", "--record", out], "--record", "the producer's image"),
            (&["run", "prodcons", "--consumer", "./in", "--report", out], "--report", "the consumer's image"),
            (
                &["run", "prodcons", "--schedule", "file:in", "--record", out],
                "--record",
                "the schedule's file",
            ),
            (&["run", "prodcons", "--report", "in", "--record", out], "--record", "--report"),
            (&["run", "prodcons", "--trace", "in", "--record", out], "--trace", "--record"),
            (&["view", "in", "--svg", out], "--svg", "the run"),
            (&["report", "in", out], "the page", "the run"),
        ] {
            let err = expect_in(folder.path(), args, 2);
            assert!(err.contains(&format!("{one} would replace {other}; name another")), "{args:?}: {err}");
        }
    }
    let program = env!("CARGO_BIN_EXE_guestlab");
    let err = expect_in(folder.path(), &["run", "prodcons", "--report", program], 2);
    assert!(err.contains("would replace this program"), "{err}");
    assert_eq!(names(folder.path()), before);
    assert_eq!(fs::read_to_string(at("in")).expect("text"), OLD);
}

#[test]
fn a_recording_does_not_take_the_place_of_what_is_printed() {
    let folder = folder(&[]);
    let out = fs::File::create(folder.path().join("out")).expect("a file");
    let mut command = command_in(folder.path(), &["run", "prodcons", "--record", "out"]);
    let output = command.stdout(out).output().expect("guestlab runs");
    assert_eq!(output.status.code(), Some(2));
    let err = text(&output.stderr);
    assert!(err.contains("--record would replace standard output"), "{err}");
}

/// Two searches record under one name, which nobody asked for: the guests' names are the same.
#[test]
fn two_searches_at_once_have_two_recordings() {
    if can_run_guests() {
        let folder = folder(&[]);
        let guests = folder.path().join("guests");
        fs::create_dir(&guests).expect("a folder");
        for (guest, name) in [("guest-consumer", "guest-consumer.elf"), ("overfills", "guest-producer.elf")] {
            fs::copy(image(guest), guests.join(name)).expect("copied");
        }
        let good = image("guest-producer");
        let args = ["explore", "prodcons", "--time", "1000", "--producer", good.to_str().expect("text")];
        let in_folder = |args: &[&str]| {
            let mut command = command_in(folder.path(), args);
            command.env("GUESTLAB_IMAGES", &guests).stdout(Stdio::piped());
            command
        };
        let mut first = in_folder(&args).spawn().expect("guestlab runs");
        await_run(&mut first);
        let second = in_folder(&["explore", "prodcons", "--quiet"]).output().expect("guestlab runs");
        let out = text(&second.stdout);
        let named = "\nrecording: recordings/explore-guest-producer-guest-consumer-2.jsonl\n";
        assert!(second.status.code() == Some(3) && out.contains(named), "{out}");
        send(&first, SIGTERM);
        first.wait().expect("it ends");
        // A process of its own removes what the first one had begun.
        let recordings = || names(&folder.path().join("recordings"));
        for _ in 0..200 {
            if recordings().len() == 1 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert_eq!(recordings(), ["explore-guest-producer-guest-consumer-2.jsonl"]);
    }
}
