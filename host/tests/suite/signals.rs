//! Signals: a run ends in good order, and then the program dies by the signal.

use std::{
    ffi::c_int,
    fs::{self, File},
    io::{self, Read},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::common::{
    self, await_run, can_run_guests, command, expect, full_pipe, image, is_running, pingpong, terminal, text,
};
use libc::{SIGHUP, SIGINT, SIGTERM};

fn send(child: &Child, signal: c_int) {
    // SAFETY: the child has not been waited for, so that its process number is its own.
    unsafe { libc::kill(child.id().cast_signed(), signal) };
}

/// Starts a run, and signals it after this time. Returns its standard error.
#[track_caller]
fn interrupted(command: &mut Command, signal: c_int, wait: Duration) -> String {
    let mut child = command.stderr(Stdio::piped()).spawn().expect("guestlab runs");
    await_run(&mut child);
    thread::sleep(wait);
    send(&child, signal);
    let output = child.wait_with_output().expect("it ends");
    let err = text(&output.stderr);
    assert_eq!(output.status.signal(), Some(signal), "{:?}: {err}", output.status);
    err
}

fn name(signal: c_int) -> &'static str {
    match signal {
        SIGHUP => "SIGHUP",
        SIGINT => "SIGINT",
        _ => "SIGTERM",
    }
}

#[test]
fn an_interrupted_run_says_where_it_was_and_its_recording_replays() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let (recording, transcript) = (folder.path().join("run.jsonl"), folder.path().join("out"));
        let path = recording.to_str().expect("a path of text");
        for (wait, signal) in [0, 5, 50, 200].into_iter().zip([SIGINT, SIGTERM, SIGHUP, SIGINT]) {
            let mut command = command(&["run", "prodcons", "--turns", "1000000", "--record", path]);
            command.stdout(File::create(&transcript).expect("a file"));
            let err = interrupted(&mut command, signal, Duration::from_millis(wait));
            let begin = format!("guestlab: interrupted by {}: VM ", name(signal));
            assert!(err.starts_with(&begin) && err.lines().count() == 1, "{err}");
            let turns = err.trim_end().split_once(", turn ").map(|(_, turn)| turn.parse().expect("a number"));
            let turns: usize = turns.map_or(0, |turn: usize| turn - 1);
            let shown = fs::read_to_string(&transcript).expect("a transcript");
            assert_eq!(shown.lines().filter(|line| line.starts_with("turn ")).count(), turns);
            let expected =
                format!("identical: {turns} turns; the recording has no end: its run was stopped\n");
            assert_eq!(expect(&["replay", path], 0).0, expected);
        }
    }
}

#[test]
fn every_kind_of_run_is_interrupted() {
    if can_run_guests() {
        let (pingpong, spins) = (pingpong(), image("spins"));
        let pingpong = pingpong.to_str().expect("a path of text");
        let spins = spins.to_str().expect("a path of text");
        let folder = tempfile::tempdir().expect("a folder");
        let record = folder.path().join("explore.jsonl");
        let record = record.to_str().expect("a path of text");
        for args in [
            &["run", "spins"][..],
            &["run", "prints-forever"],
            &["run", "prodcons", "--schedule", "free", "--producers", "4", "--turns", "10000000"],
            &["run", "prodcons", "--schedule", "free", "--producer", spins],
            &["run", "prodcons", "--consumer", spins],
            &["run", "--experiment", pingpong, "--turns", "10000000"],
            &["explore", "prodcons", "--time", "1000", "--record", record],
        ] {
            for (wait, signal) in [(0, SIGTERM), (100, SIGINT)] {
                let mut command = command(args);
                let err = interrupted(command.stdout(Stdio::null()), signal, Duration::from_millis(wait));
                let begin = format!("guestlab: interrupted by {}", name(signal));
                assert!(err.starts_with(&begin) && err.lines().count() == 1, "{args:?}: {err}");
            }
        }
        assert!(!Path::new(record).exists());
    }
}

#[test]
fn the_line_that_shows_progress_is_cleared() {
    if can_run_guests() {
        let Some((mut terminal, end)) = terminal(80, 24) else {
            eprintln!("skipped: there is no terminal to be had here");
            return;
        };
        let mut command = command(&["explore", "prodcons", "--time", "1000"]);
        let child = command.env("TERM", "xterm").stdout(Stdio::null()).stderr(end).spawn();
        let child = child.expect("guestlab runs");
        // With the command our copy of the other end goes.
        drop(command);
        let mut shown = String::new();
        let mut bytes = [0; 4096];
        let mut is_signalled = false;
        // The last end that is closed makes an error of it.
        while let Ok(len @ 1..) = terminal.read(&mut bytes) {
            shown += &String::from_utf8_lossy(&bytes[..len]);
            if !is_signalled && shown.contains(" a second") {
                send(&child, SIGINT);
                is_signalled = true;
            }
        }
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.signal(), Some(SIGINT), "{shown:?}");
        let last = shown.rsplit("\x1b[2K").next().expect("a part");
        assert!(last.contains("interrupted by SIGINT") && !last.contains(" a second"), "{shown:?}");
    }
}

#[test]
fn an_interrupted_replay_is_no_difference() {
    if can_run_guests() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.jsonl");
        let path = path.to_str().expect("a path of text");
        // A long one, so that its replay is still at it.
        let turns = if crate::common::engine() == "kvm" { "100000" } else { "200000" };
        expect(&["run", "prodcons", "--turns", turns, "--record", path, "--quiet"], 0);
        let err = interrupted(&mut command(&["replay", path]), SIGINT, Duration::from_millis(100));
        assert!(err.starts_with("guestlab: interrupted by SIGINT"), "{err}");
    }
}

#[test]
fn an_output_that_is_not_read_does_not_hold_an_interruption() {
    if can_run_guests() {
        let (reader, writer) = full_pipe();
        let mut command = command(&["run", "prodcons", "--turns", "1000000"]);
        let err = interrupted(command.stdout(writer), SIGINT, Duration::from_millis(100));
        assert!(err.starts_with("guestlab: interrupted by SIGINT"), "{err}");
        drop(reader);
    }
}

#[test]
fn a_second_signal_kills_at_once() {
    if can_run_guests() {
        // What is to be said of the interruption cannot be: nobody reads it, and the pipe is full.
        let (reader, full) = full_pipe();
        let mut child = command(&["run", "spins"]).stderr(full).spawn().expect("guestlab runs");
        await_run(&mut child);
        send(&child, SIGINT);
        // The run is over; and a second signal is one that does not come at once.
        while is_running(&child) {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(300));
        send(&child, SIGTERM);
        assert_eq!(child.wait().expect("it ends").signal(), Some(SIGTERM));
        drop(reader);
    }
}

#[test]
fn a_signal_that_comes_twice_at_once_is_one() {
    if can_run_guests() {
        let mut child = command(&["run", "spins"]).stderr(Stdio::piped()).spawn().expect("guestlab runs");
        await_run(&mut child);
        send(&child, SIGTERM);
        send(&child, SIGTERM);
        let mut err = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut err).expect("text");
        assert_eq!(child.wait().expect("it ends").signal(), Some(SIGTERM));
        assert!(err.starts_with("guestlab: interrupted by SIGTERM: VM 1, spins"), "{err}");
    }
}

#[test]
fn a_signal_that_is_ignored_stays_so() {
    if can_run_guests() {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "trap '' HUP; exec \"$@\"",
            "sh",
            env!("CARGO_BIN_EXE_guestlab"),
            "run",
            "spins",
        ]);
        command.args(["--timeout", "1"]).env("GUESTLAB_IMAGES", common::images());
        let mut child = command.stderr(Stdio::null()).spawn().expect("sh runs");
        await_run(&mut child);
        send(&child, SIGHUP);
        assert_eq!(child.wait_with_output().expect("it ends").status.code(), Some(4));
    }
}

/// Signals all processes of a shell's group, as a terminal does. The end of their common output means that all have ended.
#[test]
fn a_shell_that_is_signalled_leaves_no_process() {
    if can_run_guests() {
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let mut command = Command::new("sh");
            command.args(["-c", "\"$@\"; exit 9", "sh", env!("CARGO_BIN_EXE_guestlab"), "run", "prodcons"]);
            command.args(["--schedule", "free", "--turns", "100000000", "--timeout", "1000"]);
            command.env("GUESTLAB_IMAGES", common::images()).process_group(0);
            let mut shell = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("sh runs");
            let mut out = shell.stdout.take().expect("piped");
            out.read_exact(&mut [0; 4096]).expect("it runs");
            // SAFETY: the shell has not been waited for, so that its process group is its own.
            unsafe { libc::kill(-shell.id().cast_signed(), signal) };
            io::copy(&mut out, &mut io::sink()).expect("an end of the output");
            shell.wait().expect("it ends");
        }
    }
}
