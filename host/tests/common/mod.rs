//! Shared code of the integration tests: the program, the guests' images, and a check that this machine can run guests.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    env,
    fs::{self, File},
    io::{self, PipeReader, PipeWriter, Read, Write},
    net::TcpStream,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
};

use clap::ValueEnum;
use guestlab::engines::Choice;
use tempfile::{NamedTempFile, TempPath};

/// The CPU modes that guests are built for.
pub(crate) const MODES: [&str; 4] = ["real", "protected", "paged", "long"];

/// Returns the folder with the guests' images. `cargo xtask test` builds them and names it; for a plain `cargo test` this
/// builds them.
pub(crate) fn images() -> &'static Path {
    static IMAGES: OnceLock<PathBuf> = OnceLock::new();
    IMAGES.get_or_init(|| env::var_os("GUESTLAB_IMAGES").map_or_else(build_images, PathBuf::from))
}

fn build_images() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's root");
    for mode in MODES {
        let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["xtask", "build-guests", "--shipped", "--mode", mode])
            .current_dir(root)
            .stdout(Stdio::null())
            .status()
            .expect("cargo runs");
        assert!(status.success(), "the guests cannot be built for {mode} mode");
    }
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |target| root.join(target));
    target.join("guests")
}

/// The image of a guest.
pub(crate) fn image(name: &str) -> PathBuf {
    images().join(format!("{name}.elf"))
}

/// Returns true if guests can run here. Otherwise prints why the test was skipped. The machine is asked once.
pub(crate) fn can_run_guests() -> bool {
    static DOCTOR: OnceLock<Output> = OnceLock::new();
    let doctor = DOCTOR.get_or_init(|| guestlab(&["doctor"]));
    if !doctor.status.success() {
        eprintln!("skipped: this machine cannot run guests:\n{}", text(&doctor.stdout));
    }
    doctor.status.success()
}

/// The engine that the tests are run for: KVM, the reference, where it works, and otherwise the interpreter, unless the
/// environment says another.
pub(crate) fn engine() -> String {
    env::var("GUESTLAB_ENGINE").unwrap_or_else(|_| if has_kvm() { "kvm" } else { "soft" }.into())
}

/// The same, as an option has it.
pub(crate) fn choice() -> Choice {
    Choice::from_str(&engine(), false).expect("an engine")
}

/// Returns true if KVM works here, whatever engine the tests are run for. Otherwise prints why not.
pub(crate) fn has_kvm() -> bool {
    static DOCTOR: OnceLock<Output> = OnceLock::new();
    let ask = || Command::new(env!("CARGO_BIN_EXE_guestlab")).args(["doctor", "--engine", "kvm"]).output();
    let doctor = DOCTOR.get_or_init(|| ask().expect("guestlab runs"));
    if !doctor.status.success() {
        eprintln!("the interpreter runs the guests, or a part is skipped:\n{}", text(&doctor.stdout));
    }
    doctor.status.success()
}

/// Returns true if the tests are run for KVM. Otherwise prints why the test was skipped: it is about KVM's own calls.
pub(crate) fn is_for_kvm() -> bool {
    let is_for_kvm = engine() == "kvm";
    if !is_for_kvm {
        eprintln!("skipped: it is about KVM, and the engine is {}", engine());
    }
    is_for_kvm
}

/// Runs the program to its end.
pub(crate) fn guestlab(args: &[&str]) -> Output {
    command(args).output().expect("guestlab runs")
}

/// The program, to be run.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guestlab"));
    command.args(args).stdin(Stdio::null()).env_remove("NO_COLOR");
    command.env("GUESTLAB_ENGINE", engine());
    if !args.starts_with(&["doctor"]) {
        command.env("GUESTLAB_IMAGES", images());
    }
    take_signals();
    command
}

/// Makes children of this process take SIGINT and SIGHUP, as in a terminal. A shell starts background jobs with SIGINT
/// ignored, nohup ignores SIGHUP, and children inherit that: tests that send those signals would then wait forever.
fn take_signals() {
    for signal in [libc::SIGINT, libc::SIGHUP] {
        // SAFETY: there is no handler in this process that could be lost.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Output as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is text")
}

/// Runs the program, which must end with a status, and returns its two outputs.
#[track_caller]
pub(crate) fn expect(args: &[&str], status: i32) -> (String, String) {
    let output = guestlab(args);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{args:?}\nstdout: {out}\nstderr: {err}");
    (out, err)
}

/// Returns true if a process has a run: its watchdog runs.
pub(crate) fn is_running(child: &Child) -> bool {
    let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).expect("its threads");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.into_iter().any(|name| name.trim_end() == "watchdog")
}

/// Waits until a process has a run.
#[track_caller]
pub(crate) fn await_run(child: &mut Child) {
    while !is_running(child) {
        assert_eq!(child.try_wait().expect("it is our child"), None, "it is over before it is signalled");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// The experiment `pingpong`.
pub(crate) fn pingpong() -> TempPath {
    experiment(include_str!("../../../guest-rt/examples/experiments/pingpong.toml"))
}

/// The experiment `ring-of-five`.
pub(crate) fn ring_of_five() -> TempPath {
    experiment(include_str!("../../../guest-rt/examples/experiments/ring-of-five.toml"))
}

/// An experiment in a file: where tests run, the sources may be missing.
fn experiment(text: &str) -> TempPath {
    let file = NamedTempFile::new().expect("a file");
    fs::write(file.path(), text).expect("written");
    file.into_temp_path()
}

/// Returns a full pipe: it takes no more until its reader reads.
pub(crate) fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    // SAFETY: this command only asks for the size of the pipe's buffer.
    let size = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_GETPIPE_SZ) };
    writer.write_all(&vec![0; usize::try_from(size).expect("a size")]).expect("so much fits");
    (reader, writer)
}

/// Returns a terminal: the test's end and the program's end. Returns `None` if the system has none left.
///
/// No program that another test starts meanwhile gets a copy of an end: the last copy that is closed is the end of output.
pub(crate) fn terminal(columns: u16, rows: u16) -> Option<(File, OwnedFd)> {
    let ours = File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open("/dev/ptmx").ok()?;
    // SAFETY: the file is open.
    if unsafe { libc::unlockpt(ours.as_raw_fd()) } != 0 {
        return None;
    }
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the call takes a number.
    let theirs = unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTPEER, flags) };
    if theirs == -1 {
        return None;
    }
    // SAFETY: it was just opened, and nobody else has it.
    let theirs = unsafe { OwnedFd::from_raw_fd(theirs) };
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the pointer is to a size.
    let is_sized = unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) } == 0;
    is_sized.then_some((ours, theirs))
}

/// Returns a line of `/proc` for each thread of a process, by the name of the line.
pub(crate) fn threads(child: &Child, line: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).expect("its threads");
    let of = |text: String| {
        text.lines().find_map(|it| Some(it.strip_prefix(line)?.strip_prefix(':')?.trim().to_owned()))
    };
    tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok().and_then(of)).collect()
}

/// The line of `/proc` for a thread without capabilities.
pub(crate) const NO_CAPABILITIES: &str = "0000000000000000";

/// The number of a process's threads that have given up their rights.
pub(crate) fn confined(child: &Child) -> usize {
    threads(child, "CapEff").iter().filter(|set| *set == NO_CAPABILITIES).count()
}

/// A packet of gdb's protocol, and the answer to it; `None` when the other side has gone.
pub(crate) fn ask(stream: &mut TcpStream, body: &str) -> Option<String> {
    let sum = body.bytes().fold(0_u8, u8::wrapping_add);
    stream.write_all(format!("${body}#{sum:02x}").as_bytes()).ok()?;
    let (mut answer, mut bytes) = (String::new(), [0; 4096]);
    while !answer.contains('#') || answer.ends_with('#') {
        match stream.read(&mut bytes) {
            Ok(len @ 1..) => answer += &String::from_utf8_lossy(&bytes[..len]),
            _ => return None,
        }
    }
    stream.write_all(b"+").ok()?;
    Some(expanded(answer.split(['$', '#']).nth(1)?))
}

/// Text without gdb's run-length encoding: a character, `*`, and how often it comes again, from 29 up.
fn expanded(text: &str) -> String {
    let mut letters = text.chars();
    let mut all = String::new();
    while let Some(letter) = letters.next() {
        match (letter, all.chars().last()) {
            ('*', Some(last)) => {
                let count = letters.next().map_or(0, u32::from).saturating_sub(29);
                all.extend((0..count).map(|_| last));
            }
            _ => all.push(letter),
        }
    }
    all
}
