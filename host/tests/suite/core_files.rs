//! Core files of guests that fail, opened by the real gdb.

use std::{
    fs,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    common::{MODES, can_run_guests, command, image, pingpong, text},
    gdb::{Run, has_gdb, image_in},
};

/// Runs a guest that fails, with a core file in a folder. Returns its status and standard error.
fn fails(folder: &TempDir, args: &[&str]) -> (Option<i32>, String) {
    let mut command = command(args);
    let output = command.args(["--core", "core"]).current_dir(folder.path()).output().expect("guestlab runs");
    (output.status.code(), text(&output.stderr))
}

/// Runs commands in gdb on a core. Returns its output.
fn gdb(image: Option<&Path>, core: &Path, commands: &[&str]) -> String {
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-batch", "-ex", "set pagination off"]);
    match image {
        Some(image) => gdb.arg(image).arg(core),
        None => gdb.arg("-core").arg(core),
    };
    gdb.args(commands.iter().flat_map(|command| ["-ex", command]));
    let output = gdb.stdin(Stdio::null()).output().expect("gdb runs");
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// Returns true if this machine runs a mode.
fn has_mode(err: &str) -> bool {
    let has_mode = !err.contains("cannot run guests in");
    if !has_mode {
        eprintln!("skipped: {err}");
    }
    has_mode
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn gdb_shows_the_calls_the_registers_and_the_instruction_of_a_crash_in_each_mode() {
    if !has_gdb() {
        return;
    }
    for mode in MODES {
        let folder = folder();
        let (status, err) = fails(&folder, &["run", "divides-by-zero", "--mode", mode]);
        if !has_mode(&err) {
            continue;
        }
        assert_eq!(status, Some(3), "{mode}: {err}");
        let image = image_in("divides-by-zero", mode);
        assert!(
            err.contains(&format!(
                "VM 1, divides-by-zero: its core is in core: gdb {} core\n",
                image.display()
            )),
            "{err}"
        );
        let core = folder.path().join("core");
        let said = gdb(Some(&image), &core, &["bt", "info registers", "x/i $pc", "print $mxcsr"]);
        for expected in [
            "Program terminated with signal SIGFPE",
            "in divides_by_zero::main () at guest-rt/examples/misbehaving/divides-by-zero.rs:10",
            "guest_rt::boot::start::rust_entry () at guest-rt/src/boot/start.rs",
            "\tdiv ",
            "[ IM DM ZM OM UM PM ]",
        ] {
            assert!(said.contains(expected), "{mode}: {expected}: {said}");
        }
        assert!(!said.contains("may not match"), "{said}");
        // The divisor, in the register that the instruction names.
        let line = said.lines().find(|line| line.starts_with(if mode == "long" { "rcx" } else { "ecx" }));
        assert_eq!(line.and_then(|line| line.split_whitespace().nth(1)), Some("0x0"), "{mode}: {said}");
        // Zeros take no place: the guest has 2 MiB.
        assert!(fs::metadata(&core).expect("a file").len() < 200_000, "{mode}");
    }
}

#[test]
fn the_core_is_that_of_the_guest_that_failed() {
    if !has_gdb() {
        return;
    }
    for mode in MODES {
        let folder = folder();
        let args = [
            "run",
            "prodcons",
            "--consumer",
            "full-and-turned",
            "--capacity",
            "2",
            "--seed",
            "5",
            "--schedule",
            "string:1212",
            "--mode",
            mode,
        ];
        let (status, err) = fails(&folder, &args);
        if !has_mode(&err) {
            continue;
        }
        assert_eq!(status, Some(3), "{mode}: {err}");
        let commands = ["bt", "print guest_rt::ring::MAILBOX.pointers.capacity.0.value"];
        let said = gdb(Some(&image_in("full-and-turned", mode)), &folder.path().join("core"), &commands);
        for expected in ["full_and_turned::main () at guest-rt/examples/wrong/full-and-turned.rs:", "$1 = 2"]
        {
            assert!(said.contains(expected), "{mode}: {expected}: {said}");
        }
        assert!(!said.contains("Program terminated"), "a refused turn is no signal: {said}");
    }
}

/// Runs a flat image until it fails, and gdb on its core, without symbols.
fn of_bytes(code: &[u8], options: &[&str], commands: &[&str]) -> String {
    let folder = folder();
    fs::write(folder.path().join("x.bin"), code).expect("written");
    let args = [&["run", "--format", "flat", "--image", "x.bin"], options].concat();
    let (status, err) = fails(&folder, &args);
    assert_eq!(status, Some(3), "{err}");
    gdb(None, &folder.path().join("core"), commands)
}

#[test]
fn a_core_has_the_registers_of_the_fpu() {
    if has_gdb() {
        // fninit; fldpi; fld1; xor ecx, ecx; div cl
        let code = [0xDB, 0xE3, 0xD9, 0xEB, 0xD9, 0xE8, 0x31, 0xC9, 0xF6, 0xF1];
        for mode in ["protected", "long"] {
            let said = of_bytes(
                &code,
                // Not every KVM has x87.
                &["--mode", mode, "--engine", "soft"],
                &["print $st0", "print $st1", "print/x $fctrl"],
            );
            for expected in ["$1 = 1", "$2 = 3.1415926535897932", "$3 = 0x37f", "SIGFPE"] {
                assert!(said.contains(expected), "{mode}: {expected}: {said}");
            }
        }
    }
}

#[test]
fn in_a_real_mode_segment_addresses_are_those_that_gdb_knows() {
    if has_gdb() {
        // jmp 0x7C0:5; mov ax, 0x1234; push ax; xor cx, cx; div cl
        let code = b"\xEA\x05\x00\xC0\x07\xB8\x34\x12\x50\x31\xC9\xF6\xF1";
        let options = ["--mode", "real", "--load", "0x7c00"];
        let commands = [
            "set architecture i8086",
            "print/x $pc",
            "x/i $pc",
            "print/x $cs",
            "x/1xh $ss * 16 + ((int) $esp & 0xffff)",
        ];
        let said = of_bytes(code, &options, &commands);
        for expected in ["by `x.bin (VM 1, real mode)'", "$1 = 0x7c0b", "div    %cl", "$2 = 0x7c0", "0x1234"]
        {
            assert!(said.contains(expected), "{expected}: {said}");
        }
    }
}

#[test]
fn memory_is_where_the_page_tables_have_it() {
    if has_gdb() {
        // mov rbx, cr3; mov rcx, [rbx]; mov [rbx + 8], rcx; mov rax, 0x80_0000_7c1a; jmp rax; nop; xor ecx, ecx; div cl; "text"
        let code = b"\x0F\x20\xDB\x48\x8B\x0B\x48\x89\x4B\x08\
            \x48\xB8\x1A\x7C\x00\x00\x80\x00\x00\x00\xFF\xE0\x90\x90\x90\x90\x31\xC9\xF6\xF1text";
        let options = ["--mode", "long", "--load", "0x7c00"];
        let commands = ["print/x $pc", "x/s $pc + 2", "x/s 0x7c1e", "x/i $pc"];
        let said = of_bytes(code, &options, &commands);
        for expected in ["$1 = 0x8000007c1c", "0x8000007c1e:\t\"text\"", "0x7c1e:\t\"text\"", "\tdiv    %cl"]
        {
            assert!(said.contains(expected), "{expected}: {said}");
        }
    }
}

#[test]
fn each_bad_end_leaves_a_core_and_a_good_one_leaves_what_was_there() {
    if !can_run_guests() {
        return;
    }
    let pingpong = pingpong();
    let pingpong = pingpong.to_str().expect("text");
    for (args, expected) in [
        (&["run", "panics"][..], 1),
        (&["run", "exits-with-7"], 1),
        (&["run", "triple-faults"], 3),
        (&["run", "spins", "--timeout", "0.2"], 4),
        (&["run", "prints-forever", "--max-exits", "100", "--quiet"], 4),
        (&["run", "prodcons", "--schedule", "free", "--producer", "panics"], 1),
        (&["run", "--experiment", pingpong, "--max-exits", "1"], 4),
        (&["run", "hello"], 0),
        (&["run", "prodcons", "--turns", "4"], 0),
    ] {
        for old in [false, true] {
            let folder = folder();
            let path = folder.path().join("core");
            if old {
                fs::write(&path, "old").expect("written");
            }
            let (status, err) = fails(&folder, args);
            assert_eq!(status, Some(expected), "{args:?}: {err}");
            let core = fs::read(&path).ok();
            match expected {
                0 => assert_eq!(core, old.then(|| b"old".to_vec()), "{args:?}"),
                _ => assert!(core.is_some_and(|core| core.starts_with(b"\x7fELF")), "{args:?}: {err}"),
            }
            assert_eq!(err.contains("its core is in core"), expected != 0, "{err}");
            let files = fs::read_dir(folder.path()).expect("a folder").count();
            assert!(files <= 1, "nothing is left over: {args:?}");
        }
    }
}

#[test]
fn a_large_guest_has_a_small_core() {
    if can_run_guests() {
        let folder = folder();
        let (status, err) = fails(&folder, &["run", "panics", "--memory", "1G"]);
        assert_eq!(status, Some(1), "{err}");
        let metadata = fs::metadata(folder.path().join("core")).expect("a file");
        assert!(metadata.len() < 200_000 && metadata.blocks() > 0, "{metadata:?}");
    }
}

#[test]
fn a_core_that_cannot_be_written_is_told_and_the_status_is_the_guests() {
    if !can_run_guests() {
        return;
    }
    for bytes in [0_u64, 10_000] {
        let folder = folder();
        fs::write(folder.path().join("core"), "old").expect("written");
        let mut command = command(&["run", "panics", "--core", "core"]);
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
        command.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::piped());
        let output = command.output().expect("guestlab runs");
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert!(err.contains("cannot write the core file core: File too large"), "{err}");
        assert!(err.contains("panicked at") && !err.contains("its core is in"), "{err}");
        assert_eq!(fs::read_to_string(folder.path().join("core")).expect("text"), "old");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}

#[test]
fn a_place_where_no_core_can_be_is_refused_before_the_guest_runs() {
    if !can_run_guests() {
        return;
    }
    for (path, expected) in [
        ("/dev/full", "not a regular file"),
        ("no/such/folder/core", "No such file or directory"),
        (".", "not a regular file"),
    ] {
        let output = command(&["run", "panics", "--core", path]).output().expect("guestlab runs");
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!((output.status.code(), out.as_str()), (Some(2), ""), "{err}");
        assert!(
            err.contains(&format!("cannot write the core file {path}: ")) && err.contains(expected),
            "{err}"
        );
    }
    let output = command(&["run", "panics", "--core", "x", "--report", "x"]).output().expect("guestlab runs");
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("--core would replace --report"), "{err}");
}

#[test]
fn gdbs_own_core_file_has_all_memory_in_each_mode() {
    if !has_gdb() {
        return;
    }
    for mode in MODES {
        let folder = folder();
        let core = folder.path().join("core");
        let image = image_in("panics", mode);
        let Some(run) = Run::try_start(&["run", "panics", "--mode", mode, "--timeout=60"], "127.0.0.1:0")
        else {
            continue;
        };
        let generate = format!("generate-core-file {}", core.display());
        let said = run.gdb(&image, &["continue", "info proc mappings", &generate, "kill"]);
        assert!(said.contains("Saved corefile") && !said.contains("warning: Memory read failed"), "{said}");
        assert!(said.contains("rwxp"), "{said}");
        run.end();
        let said = gdb(Some(&image), &core, &["bt"]);
        for expected in ["SIGABRT", "in panics::main () at guest-rt/examples/misbehaving/panics.rs:12"] {
            assert!(said.contains(expected), "{mode}: {expected}: {said}");
        }
        assert!(!said.contains("Cannot access memory"), "{said}");
    }
}

/// gdb asks for files of the process that it takes the guest for. It gets none of this machine.
#[test]
fn no_file_of_this_machine_is_read_over_the_stub() {
    if !has_gdb() {
        return;
    }
    let run = Run::start(&["run", "panics", "--timeout=60"], "127.0.0.1:0");
    let folder = folder();
    let got = folder.path().join("got");
    let get = |file: &str| format!("remote get {file} {}", got.display());
    let put = format!("remote put {} /tmp/x", image("panics").display());
    let said = run.gdb(&image("panics"), &[&get("/etc/passwd"), &put, "remote delete /etc/passwd"]);
    assert!(said.contains("No such file") && said.contains("Read-only file system"), "{said}");
    assert!(!got.exists(), "{said}");
    let (status, ..) = run.end();
    assert_eq!(status, Some(1));
}
