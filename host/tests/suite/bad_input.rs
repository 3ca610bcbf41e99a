//! Bad input: a clear message, the right status, and nothing of a run before it.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    process::Stdio,
};

use crate::common::{self, can_run_guests, command, expect, image, pingpong};

/// The command must fail with the status, say the sentence, and print nothing else.
#[track_caller]
fn refused(args: &[&str], status: i32, sentence: &str) {
    let (out, err) = expect(args, status);
    assert!(err.contains(sentence), "{args:?}: {err}");
    assert_eq!(out, "", "{args:?}");
}

#[test]
fn a_machine_without_kvm_is_told_what_to_do() {
    let args = ["run", "prodcons", "--engine", "kvm", "--kvm", "/dev/no-such-kvm"];
    refused(&args, 5, "/dev/no-such-kvm is not there: load KVM's module");
    refused(&args, 5, "or run guests without KVM: --engine soft");
    refused(
        &["run", "prodcons", "--engine", "kvm", "--kvm", "/dev/null"],
        5,
        "/dev/null is not KVM's device",
    );
}

#[test]
fn no_permission_is_told_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let (device, program) = (folder.path().join("kvm"), folder.path().join("guestlab"));
    fs::write(&device, "").expect("written");
    // By another process: were the copy open for writing here, a child of another test's could
    // inherit it, and the copy would be "busy".
    let mut copy = std::process::Command::new("cp");
    assert!(copy.arg(env!("CARGO_BIN_EXE_guestlab")).arg(&program).status().expect("cp runs").success());
    for (path, mode) in [(folder.path(), 0o755), (&device, 0o000)] {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("changed");
    }
    let mut command = std::process::Command::new(program);
    command.args(["run", "prodcons", "--engine", "kvm", "--kvm"]).arg(&device);
    // Root may open everything: nobody else's program shows what others see.
    // SAFETY: getuid has no preconditions.
    if unsafe { libc::getuid() } == 0 {
        command.uid(65534).gid(65534);
    }
    let output = command.output().expect("guestlab runs");
    let err = common::text(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{err}");
    assert!(err.contains("no permission on ") && err.contains("no group has access"), "{err}");
}

#[test]
fn images_that_are_none_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("written");
        path.to_str().expect("a path of text").to_owned()
    };
    if can_run_guests() {
        let missing = folder.path().join("missing");
        refused(&["run", "--image", missing.to_str().expect("text")], 2, "No such file");
        refused(&["run", "--image", folder.path().to_str().expect("text")], 2, "it is not a regular file");
        refused(&["run", "--image", &file("empty", b"")], 2, "it is empty");
        refused(&["run", "--image", &file("script", b"#!/bin/sh\n")], 2, "not an ELF file");
        // This test's own program: a dynamic 64-bit one.
        let own = std::env::current_exe().expect("a program");
        refused(&["run", "--image", own.to_str().expect("text")], 2, "dynamic");
    }
}

/// The command, which must fail with the status within a gigabyte of addresses, and say the sentence.
#[track_caller]
fn refused_within_a_gigabyte(args: &[&str], status: i32, sentence: &str) {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -v 1048576 && exec \"$@\"", "sh", env!("CARGO_BIN_EXE_guestlab")]).args(args);
    let output = command.output().expect("guestlab runs");
    let err = common::text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{args:?}: {err}");
    assert!(err.contains(sentence), "{args:?}: {err}");
}

#[test]
fn images_that_name_the_same_bytes_again_and_again_take_no_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bomb.elf");
    // A file of so many program headers over the bytes behind them.
    let write = |count: u16, header: &dyn Fn(u32, u32) -> [u32; 8], bytes: &[u8]| {
        let at = 52 + 32 * u32::from(count);
        let mut file = b"\x7FELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0\x01\0\0\0".to_vec();
        file.extend([0x10_0000_u32, 52, 0, 0].iter().flat_map(|word| word.to_le_bytes()));
        file.extend([52, 32, count, 40, 0, 0].iter().flat_map(|half| half.to_le_bytes()));
        let headers = (0..count).flat_map(|index| header(index.into(), at));
        file.extend(headers.flat_map(u32::to_le_bytes));
        file.extend(bytes);
        fs::write(&path, file).expect("written");
    };
    let args = ["run", "--image", path.to_str().expect("text"), "--mode", "protected"];
    let size = 1 << 20;
    let segment = |index: u32, at| {
        let address = (index + 1) * size;
        [1, at, address, address, size, size, 7, 1]
    };
    write(3000, &segment, &vec![0xF4; size as usize]);
    if can_run_guests() {
        refused_within_a_gigabyte(&args, 2, "does not fit into its memory of 0x200000 bytes");
    }
    // Notes about tests, as many as there can be, before the code.
    let note = [&[9, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0][..], b"Guestlab\0\0\0\0", b"t\0\0\0"].concat();
    let notes = note.repeat(20_000);
    let len = u32::try_from(notes.len()).expect("small");
    let notes_at = |index, at| match index {
        0 => [1, at, 0x10_0000, 0x10_0000, len, len, 7, 1],
        _ => [4, at, 0, 0, len, len, 4, 4],
    };
    write(8000, &notes_at, &notes);
    if can_run_guests() {
        refused_within_a_gigabyte(&args[..3], 2, "no Guestlab note in it");
    }
}

#[test]
fn a_guests_image_cut_off_anywhere_is_refused() {
    let bytes = fs::read(image("guest-consumer")).expect("an image");
    let parse = |len: usize| {
        guestlab::vmm::Image::parse("x", bytes[..len].to_vec(), guestlab::vmm::Request::default())
    };
    // Every length where headers, code and note are, and then many.
    for len in (0..16_384).chain((16_384..bytes.len()).step_by(1009)).chain(bytes.len() - 100..bytes.len()) {
        assert!(parse(len).is_err(), "the first {len} bytes");
    }
    assert!(parse(bytes.len()).is_ok());
}

#[test]
fn an_image_of_another_abi_is_refused_with_both_versions() {
    let mut bytes = fs::read(image("hello")).expect("an image");
    let note = bytes.windows(9).position(|window| window == b"Guestlab\0").expect("a note");
    bytes[note + 12] = 9;
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), bytes).expect("written");
    if can_run_guests() {
        let args = ["run", "--image", file.path().to_str().expect("text")];
        refused(&args, 2, "built for guest ABI 9.1, and this host has ABI 1.1");
    }
}

#[test]
fn bad_options_are_refused() {
    for capacity in ["0", "65", "-1", "abc"] {
        refused(&["run", "prodcons", "--capacity", capacity], 2, "a ring holds 1 to 64 items");
    }
    refused(&["run", "prodcons", "--schedule", "sometimes"], 2, "is not a schedule: it is one of alternate");
    refused(
        &["run", "hello", "--turns", "3"],
        2,
        "--turns is an option of `run prodcons` and `run --experiment` only",
    );
    refused(&["run"], 2, "name what to run");
    refused(&["runn"], 2, "similar subcommand exists: 'run'");
}

#[test]
fn a_file_that_another_command_takes_is_told_which() {
    let image = common::image("hello");
    let image = image.to_str().expect("a plain path");
    refused(&["view", image], 2, "cannot read it: it is an ELF file; an image is run with");
    refused(&["report", image, "x.html"], 2, "an image is run with `cargo xtask run --image FILE`");
    refused(&["replay", image], 2, "cannot read it: it is an ELF file; an image is run with");
    refused(
        &["explore", image],
        2,
        &format!("explore takes `prodcons`; name the guest with `explore prodcons --producer {image}`"),
    );
    refused(&["explore", "x.jsonl"], 2, "run again by `cargo xtask replay x.jsonl`");
    refused(&["test", image], 2, &format!("use --image {image} for an image with tests"));
    refused(&["test", "some"], 2, "name an image with tests: --image FILE");
    let small = tempfile::NamedTempFile::new().expect("a file");
    fs::write(small.path(), "\x7FELF").expect("written");
    let small = small.path().to_str().expect("a plain path");
    refused(&["run", "--experiment", small], 2, "cannot read it: it is an ELF file; an image is run with");
    let recording = tempfile::NamedTempFile::new().expect("a file");
    fs::write(recording.path(), "{\"event\":\"recording\",\"version\":1}\n").expect("written");
    let recording = recording.path().to_str().expect("a plain path");
    refused(
        &["run", "--image", recording],
        2,
        "the record of a run: `cargo xtask replay FILE` runs it again",
    );
    refused(&["run", "--experiment", recording], 2, "it is the record of a run; `cargo xtask replay FILE`");
    refused(&["run", "hello", "--report", "/dev/stdout"], 2, "it is not a regular file");
}

#[test]
fn bad_memory_is_refused() {
    for size in ["0", "1", "2097153", "3145732K", "4G"] {
        refused(&["run", "hello", "--memory", size], 2, "it takes a multiple of 4096");
    }
    refused(
        &["run", "hello", "--memory", "lots"],
        2,
        "a size is a number of bytes, or a number with K, M or G",
    );
    refused(&["run", "he llo"], 2, "\"he llo\" is not a guest's name");
    refused(&["run", "Cargo.toml/kernel.bin"], 2, "there is no such file; `cargo xtask build-guests` lists");
    let image = common::image("hello");
    let image = image.to_str().expect("a plain path");
    refused(&["run", image], 2, &format!("an image in a file is run with --image {image}"));
    refused(&["run", "a/b.toml"], 2, "an experiment's file is run with --experiment a/b.toml");
    for mode in ["protected", "paged", "long"] {
        let args = ["run", "outgrows-memory", "--engine", "soft", "--mode", mode];
        refused(&args, 2, "; give it more: --memory 5M");
    }
    if can_run_guests() {
        refused(
            &["run", "hello", "--memory", "4K"],
            2,
            "does not fit into its memory of 0x1000 bytes: it ends at",
        );
        refused(
            &["run", "hello", "--memory", "32K"],
            2,
            "does not fit into its memory of 0x8000 bytes: it ends at",
        );
        refused(&["run", "outgrows-memory"], 2, "; give it more: --memory 5M");
        let (out, _) = expect(&["run", "outgrows-memory", "--memory", "5M"], 0);
        assert_eq!(out, "the last of 4194304 bytes was 0\n");
        let (out, _) = expect(&["run", "hello", "--memory", "64M"], 0);
        assert!(out.starts_with("hello from VM 1, which has 65536 KiB of memory\n"), "{out}");
    }
}

#[test]
fn bad_schedule_files_are_refused() {
    if can_run_guests() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().to_str().expect("text").to_owned();
        let schedule = format!("file:{path}");
        let refuse = |contents: &[u8], sentence: &str| {
            fs::write(file.path(), contents).expect("written");
            refused(&["run", "prodcons", "--schedule", &schedule], 2, sentence);
        };
        refuse(b"", "the schedule has no turns");
        refuse(b"# nothing\n", "the schedule has no turns");
        refuse(b"12\n 1x\n", &format!("{path}, line 2, column 3: 'x' does not name a VM"));
        refuse(b"\xff\xfe1\n", "cannot read the schedule");
        refused(&["run", "prodcons", "--schedule", "file:/dev/zero"], 2, "it is not a regular file");
        refused(&["run", "prodcons", "--schedule", "file:/no/such/file"], 2, "No such file");
    }
}

/// Reads one line of a run and goes away; the run must end with status 0, and say nothing.
#[track_caller]
fn ends_when_its_reader_leaves(args: &[&str]) {
    if can_run_guests() {
        let mut child =
            command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("guestlab runs");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        out.read_line(&mut line).expect("a line");
        drop(out);
        let mut err = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut err).expect("text");
        assert_eq!((child.wait().expect("it ends").code(), err.as_str()), (Some(0), ""));
    }
}

#[test]
fn a_reader_that_leaves_ends_the_run_quietly() {
    ends_when_its_reader_leaves(&["run", "prodcons", "--turns", "200000", "--timeout", "50"]);
    ends_when_its_reader_leaves(&["run", "prints-forever", "--timeout", "50"]);
    let free = ["--schedule", "free", "--producers", "3", "--turns", "200000", "--timeout", "50"];
    ends_when_its_reader_leaves(&[&["run", "prodcons"], &free[..]].concat());
    let pingpong = pingpong();
    let pingpong = pingpong.to_str().expect("a path of text");
    ends_when_its_reader_leaves(&["run", "--experiment", pingpong, "--turns", "200000", "--timeout", "50"]);
}

#[test]
fn an_output_that_cannot_be_written_ends_the_run() {
    if can_run_guests() {
        let full = || fs::File::options().write(true).open("/dev/full").expect("/dev/full");
        let status =
            command(&["run", "prints-forever", "--timeout", "50"]).stdout(full()).stderr(full()).status();
        assert_eq!(status.expect("guestlab runs").code(), Some(5));
        let status = command(&["run", "panics"]).stdout(Stdio::null()).stderr(full()).status();
        assert_eq!(
            status.expect("guestlab runs").code(),
            Some(1),
            "a report that cannot be written is no bug"
        );
    }
}
