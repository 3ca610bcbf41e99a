//! All features in the jail, in many environments: no run dies of a call that its lists lack.
//!
//! Each command runs in one environment after another. `GUESTLAB_SOAK=all` runs every command in every
//! environment, which takes minutes.

use std::{
    env,
    ffi::CString,
    fs,
    io::Read,
    net::TcpStream,
    os::unix::{
        ffi::OsStrExt,
        process::{CommandExt, ExitStatusExt},
    },
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::common::{ask, can_run_guests, command, image, pingpong, text};
use guestlab::process::jail::{self, VIOLATION};
use tempfile::TempDir;

/// Variables that change what the C library's heap, the threads or a panic do.
const VARIABLES: &[&[(&str, &str)]] = &[
    &[],
    &[("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1:glibc.malloc.top_pad=8388608")],
    &[("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4096")],
    &[("GLIBC_TUNABLES", "glibc.malloc.hugetlb=2")],
    &[("GLIBC_TUNABLES", "glibc.malloc.arena_max=64:glibc.malloc.arena_test=1")],
    &[("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=0:glibc.malloc.top_pad=0")],
    &[("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=64:glibc.malloc.mmap_max=65536")],
    &[("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0:glibc.malloc.perturb=165")],
    &[("GLIBC_TUNABLES", "glibc.pthread.rseq=0:glibc.pthread.stack_cache_size=0")],
    &[("MALLOC_ARENA_MAX", "8"), ("MALLOC_TRIM_THRESHOLD_", "0"), ("MALLOC_TOP_PAD_", "0")],
    &[("MALLOC_PERTURB_", "90"), ("MALLOC_MMAP_THRESHOLD_", "64"), ("MALLOC_CHECK_", "3")],
    &[("LD_PRELOAD", "libc_malloc_debug.so.0"), ("GLIBC_TUNABLES", "glibc.malloc.check=3")],
    &[("RUST_BACKTRACE", "full"), ("RUST_MIN_STACK", "262144")],
    &[("LANG", "de_DE.UTF-8"), ("LC_ALL", "C"), ("TZ", "Asia/Tokyo"), ("CLICOLOR_FORCE", "1")],
];

/// The fault of the place that a process starts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Usual,
    /// This file is closed.
    Closed(i32),
    /// The current folder is not there any more.
    NoFolder,
}

const PLACES: [Place; 5] =
    [Place::Usual, Place::Closed(0), Place::Closed(1), Place::Closed(2), Place::NoFolder];

/// Files that the commands read and write.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().expect("a folder") };
        // mov eax, 0x100; again: out 0xEC, eax; jmp again; and at 0x100 a text.
        let mut prints = vec![0x66, 0xB8, 0, 1, 0, 0, 0x66, 0xE7, 0xEC, 0xEB, 0xFB];
        prints.resize(0x100, 0);
        prints.extend(vec![b'x'; 30_000]);
        prints.extend(b"\n\0");
        // again: mov eax, -1; out 0xEE, eax; in eax, 0xEE; jmp again
        let translates = [0x66, 0xB8, 0xFF, 0xFF, 0xFF, 0xFF, 0x66, 0xE7, 0xEE, 0x66, 0xE5, 0xEE, 0xEB, 0xF2];
        fs::write(files.path("prints.bin"), prints).expect("written");
        fs::write(files.path("translates.bin"), translates).expect("written");
        fs::copy(pingpong(), files.path("pingpong.toml")).expect("copied");
        files
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("a path of text").into()
    }
}

/// Command lines, in words. `@NAME` is a file of [`Files`], `%NAME` a guest's image.
const COMMANDS: &[&str] = &[
    // The first makes what later ones read.
    "run prodcons --turns 300 --seed 1 --record @run.jsonl",
    "replay @run.jsonl",
    "run prodcons --turns 300 --format jsonl --report @p.html --trace @t.json --stats",
    "run prodcons --schedule free --turns 3000 --report @p.html",
    "run prodcons --schedule free --producers 8 --consumers 8 --turns 1000 --format jsonl --trace @t.json",
    "run prodcons --schedule free --turns 100 --report @p.html --consumer %panics",
    "run prodcons --schedule free --turns 100 --consumer %overdraws --report @p.html",
    "run prodcons --schedule free --producers 3 --consumer %hangs --turn-timeout 0.1 --trace @t.json",
    "run prodcons --turns 9 --producer %overfills --record @broken.jsonl --report @p.html",
    "run prodcons --turns 4 --explain",
    "run prodcons --turns 2 --trace-instructions 2000 --profile",
    "run prodcons --turns 2 --trace-instructions-to @lines.txt --profile --format jsonl",
    "run prodcons --turns 40 --quiet --capacity 64 --preset mass",
    "run --experiment @pingpong.toml --turns 200 --report @p.html --trace @t.json",
    "run --experiment @pingpong.toml --turns 20 --format jsonl --profile",
    "run hello --report @p.html --stats --dump-regs",
    "run hello --trace-instructions",
    "run logs --log trace --format jsonl --report @p.html",
    "run timer",
    "run stopwatch --stats",
    "run primes --profile",
    "run panics --report @p.html --trace @t.json",
    "run null-pointer --last 1000 --report @p.html",
    "run wild-write --report @p.html --dump-regs",
    "run overflows-stack",
    "run forges-its-stack --format jsonl",
    "run divides-by-zero --report @p.html",
    "run undefined-instruction",
    "run triple-faults --report @p.html",
    "run jumps-to-null",
    "run exits-with-7",
    "run spins --timeout 0.1",
    "run waits-long --timeout 0.1",
    "run prints-forever --max-exits 3000",
    "run prints-forever --timeout 0.2 --format jsonl --trace @t.json --max-output 1M",
    "run --image @prints.bin --format flat --mode real --max-exits 500 --report @p.html",
    "run --image @prints.bin --format flat --mode real --max-exits 200 --format jsonl --trace @t.json",
    "run --image @translates.bin --format flat --mode real --max-exits 2000",
    "run --image @translates.bin --format flat --mode real --max-exits 2000 --allow-hva --explain",
    "explore prodcons --runs 30 --depth 3",
    "explore prodcons --quiet --producer %overfills --record @found.jsonl",
    "explore prodcons --runs 20 --depth 2 --consumer %panics --format jsonl",
    "test --image %failing-tests --timeout 0.5",
    "gdb run spins --timeout 0.5 --gdb localhost:0",
    "gdb run prodcons --turns 4 --gdb localhost:0 --gdb-vm 2 --report @p.html",
];

fn words(line: &str, files: &Files) -> Vec<String> {
    let word = |word: &str| match (word.strip_prefix('@'), word.strip_prefix('%')) {
        (Some(name), _) => files.path(name),
        (_, Some(name)) => image(name).to_str().expect("a path of text").into(),
        _ => word.into(),
    };
    line.split(' ').map(word).collect()
}

/// Has a process start in a place.
fn put(command: &mut Command, place: Place) {
    // The closure must own it, and what it does is to take nothing from the heap.
    let folder = tempfile::tempdir().expect("a folder").keep();
    let path = CString::new(folder.as_os_str().as_bytes()).expect("a path");
    let go = move || {
        // SAFETY: it is a path that ends with a NUL.
        unsafe { libc::rmdir(path.as_ptr()) };
        // A run that does not end is ended, and complained of.
        // SAFETY: it has no preconditions.
        unsafe { libc::alarm(100) };
        if let Place::Closed(file) = place {
            // SAFETY: the file is the new process's own.
            unsafe { libc::close(file) };
        }
        Ok(())
    };
    if place == Place::NoFolder {
        command.current_dir(folder);
    }
    // SAFETY: the closure makes system calls only.
    unsafe { command.pre_exec(go) };
}

/// A client of gdb's protocol that looks at registers, makes a step and lets the guest go on.
fn debug(child: &mut Child) -> Vec<u8> {
    let mut err = child.stderr.take().expect("piped");
    let (mut said, mut bytes) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = err.read(&mut bytes) {
        said.extend_from_slice(&bytes[..length]);
        let text = String::from_utf8_lossy(&said);
        let address = text.split("target remote ").nth(1).and_then(|rest| rest.split_once('\''));
        let Some(mut stream) = address.and_then(|(address, _)| TcpStream::connect(address).ok()) else {
            continue;
        };
        let _ = ["?", "g", "s", "c"].map(|packet| ask(&mut stream, packet));
        let _ = err.read_to_end(&mut said);
        break;
    }
    said
}

/// Runs a command line; complains if it dies of its jail, or of a bug.
fn run(line: &str, variables: &[(&str, &str)], place: Place, files: &Files) -> Result<(), String> {
    let words = words(line, files);
    let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
    let debugged = args.first() == Some(&"gdb");
    if debugged {
        args.remove(0);
    }
    let mut command = command(&args);
    command.envs(variables.iter().copied()).stdout(Stdio::null()).stderr(Stdio::piped());
    put(&mut command, place);
    let mut child = command.spawn().expect("guestlab runs");
    let mut said = if debugged { debug(&mut child) } else { Vec::new() };
    let output = child.wait_with_output().expect("it ends");
    said.extend(output.stderr);
    let said = text(&said);
    let is_well = output.status.code().is_some_and(|status| status <= 5) && !said.contains(VIOLATION);
    is_well.then_some(()).ok_or_else(|| {
        format!("{line} with {variables:?} and {place:?}: {:?}\n{said}", output.status.signal())
    })
}

/// The loader can preload a library only if it is there; it says so otherwise, and goes on.
fn can_be_set(variables: &[(&str, &str)]) -> bool {
    !variables.iter().any(|(name, _)| *name == "LD_PRELOAD")
        || Path::new("/lib/x86_64-linux-gnu/libc_malloc_debug.so.0").exists()
}

#[test]
fn no_feature_makes_a_call_that_the_jail_refuses_in_any_environment() {
    if !can_run_guests() || !jail::is_available() {
        return;
    }
    let files = Files::new();
    let all = env::var_os("GUESTLAB_SOAK").is_some_and(|value| value == "all");
    let variables: Vec<_> = VARIABLES.iter().filter(|it| can_be_set(it)).collect();
    let mut failures = Vec::new();
    for (index, line) in COMMANDS.iter().enumerate() {
        let combinations: Vec<_> = match all {
            true => variables.iter().flat_map(|it| PLACES.map(|place| (*it, place))).collect(),
            // The numbers of both have no common divisor, so that most pairs come in turn.
            false => vec![(variables[index % variables.len()], PLACES[(index + 1) % PLACES.len()])],
        };
        for (variables, place) in combinations {
            if line.starts_with("gdb ") && place == Place::Closed(2) {
                // Nobody would know where gdb is waited for.
                continue;
            }
            if let Err(failure) = run(line, variables, place, &files) {
                // The long way takes minutes, and may be broken off.
                eprintln!("{failure}");
                failures.push(failure);
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Every heap that a variable asks for is tried where it did harm: in threads, with much to keep.
#[test]
fn free_running_survives_every_heap() {
    if !can_run_guests() || !jail::is_available() {
        return;
    }
    let files = Files::new();
    let line =
        "run prodcons --schedule free --turns 3000 --producers 5 --consumers 5 --report @p.html --quiet";
    let variables = VARIABLES.iter().filter(|it| can_be_set(it));
    let failures: Vec<_> = variables.filter_map(|it| run(line, it, Place::Usual, &files).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
