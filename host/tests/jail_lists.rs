//! What the jail's lists have is needed: without one call after the other, a run is killed that makes it.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::process::ExitStatusExt,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use common::{ask, can_run_guests, command, confined, text};
use guestlab::{
    lab::needs::Needs,
    process::jail::{self, Call, Thread, VIOLATION},
};

const NO_NEEDS: Needs = Needs { explores: false, foreign: false, steps: false, gdb: false, gdb_file: false };

/// A way to run the program with a call left out: it says what it is about to leave out.
type Scenario = fn(&str) -> (Option<i32>, String);

fn run(args: &[&str], without: &str) -> (Option<i32>, String) {
    let output = command(&[args, &["--jail-without", without]].concat()).output().expect("guestlab runs");
    (output.status.signal(), text(&output.stderr))
}

fn plain(without: &str) -> (Option<i32>, String) {
    run(&["run", "prodcons", "--turns", "4"], without)
}

fn crash(without: &str) -> (Option<i32>, String) {
    run(&["run", "wild-write"], without)
}

/// An image of others in real mode, with an exception that nothing handles.
fn foreign(without: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ud2.bin");
    fs::write(&path, [0x0F, 0x0B]).expect("written");
    let path = path.to_str().expect("text");
    run(&["run", "--format", "flat", "--mode", "real", "--image", path], without)
}

fn timer(without: &str) -> (Option<i32>, String) {
    run(&["run", "timer"], without)
}

fn deadline(without: &str) -> (Option<i32>, String) {
    run(&["run", "spins", "--timeout", "0.1"], without)
}

fn free(without: &str) -> (Option<i32>, String) {
    run(&["run", "prodcons", "--schedule", "free"], without)
}

fn explore(without: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x");
    let path = path.to_str().expect("text");
    let args = ["explore", "prodcons", "--quiet", "--producer", "overfills", "--record", path];
    run(&args, without)
}

/// The same from a folder that is not the path's, on a terminal.
fn explore_on_a_terminal(without: &str) -> (Option<i32>, String) {
    let Some((mut terminal, end)) = common::terminal(80, 24) else { return (None, String::new()) };
    let mut command =
        command(&["explore", "prodcons", "--runs", "3", "--depth", "1", "--jail-without", without]);
    command.env("TERM", "xterm").stdout(Stdio::null()).stderr(end);
    let mut child = command.spawn().expect("guestlab runs");
    drop(command);
    let (mut shown, mut bytes) = (Vec::new(), [0; 4096]);
    while let Ok(len @ 1..) = terminal.read(&mut bytes) {
        shown.extend_from_slice(&bytes[..len]);
    }
    (child.wait().expect("it ends").signal(), String::from_utf8_lossy(&shown).into_owned())
}

/// Waits until the main thread of a process waits for a time.
fn await_wait(child: &mut Child) {
    let path = format!("/proc/{}/syscall", child.id());
    let futex = format!("{} ", libc::SYS_futex);
    while child.try_wait().expect("our child").is_none() {
        if fs::read_to_string(&path).is_ok_and(|call| call.starts_with(&futex)) {
            return;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Starts a run, and signals it once it is in the jail.
fn signalled(args: &[&str], signals: &[i32], without: &str) -> (Option<i32>, String) {
    let mut command = command(&[args, &["--jail-without", without]].concat());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("guestlab runs");
    while confined(&child) < 3 {
        if child.try_wait().expect("our child").is_some() {
            break;
        }
        thread::sleep(Duration::from_millis(2));
    }
    if signals.contains(&libc::SIGSTOP) {
        await_wait(&mut child);
    }
    for &signal in signals {
        // SAFETY: the child has not been waited for, unless it has ended by itself.
        unsafe { libc::kill(child.id().cast_signed(), signal) };
        thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().expect("it ends");
    (output.status.signal(), text(&output.stderr))
}

const SPINS: &[&str] = &["run", "spins", "--timeout", "60"];

fn interrupted(without: &str) -> (Option<i32>, String) {
    signalled(SPINS, &[libc::SIGINT], without)
}

fn terminated(without: &str) -> (Option<i32>, String) {
    signalled(SPINS, &[libc::SIGTERM], without)
}

fn hung_up(without: &str) -> (Option<i32>, String) {
    signalled(SPINS, &[libc::SIGHUP], without)
}

/// Stopped while it waits for a timer, and let go on.
fn stopped(without: &str) -> (Option<i32>, String) {
    signalled(&["run", "waits-long", "--timeout", "3"], &[libc::SIGSTOP, libc::SIGCONT], without)
}

/// Signalled before there is a run: its thread for signals ends the process.
fn signalled_early(without: &str, signal: i32) -> (Option<i32>, String) {
    let (reader, full) = common::full_pipe();
    let mut command = command(&["explore", "prodcons", "--jail-without", without]);
    let mut child = command.stdout(full).stderr(Stdio::piped()).spawn().expect("guestlab runs");
    drop(command);
    while confined(&child) < 1 {
        if child.try_wait().expect("our child").is_some() {
            break;
        }
        thread::sleep(Duration::from_millis(2));
    }
    // SAFETY: as in `signalled`.
    unsafe { libc::kill(child.id().cast_signed(), signal) };
    let output = child.wait_with_output().expect("it ends");
    drop(reader);
    (output.status.signal(), text(&output.stderr))
}

fn interrupted_early(without: &str) -> (Option<i32>, String) {
    signalled_early(without, libc::SIGINT)
}

fn terminated_early(without: &str) -> (Option<i32>, String) {
    signalled_early(without, libc::SIGTERM)
}

fn hung_up_early(without: &str) -> (Option<i32>, String) {
    signalled_early(without, libc::SIGHUP)
}

/// gdb looks at the registers, sets them, makes a step, and lets the guest run to its deadline.
fn debugged(without: &str) -> (Option<i32>, String) {
    let args = ["run", "spins", "--timeout", "0.5", "--gdb", "localhost:0", "--jail-without", without];
    let mut child = command(&args).stderr(Stdio::piped()).spawn().expect("guestlab runs");
    let mut err = BufReader::new(child.stderr.take().expect("piped"));
    let mut said = String::new();
    while !said.contains("target remote 127") && err.read_line(&mut said).is_ok_and(|len| len > 0) {}
    let address = said.split("target remote ").nth(1).and_then(|it| it.split('\'').next());
    if let Some(mut stream) = address.and_then(|address| TcpStream::connect(address).ok()) {
        let registers = ask(&mut stream, "?").and_then(|_| ask(&mut stream, "g"));
        let set = registers.and_then(|mut registers| {
            // Another value in XMM0, which comes after 16 registers of 4 bytes, 8 of 10 and 8 of 4.
            let xmm = 2 * (16 * 4 + 8 * 10 + 8 * 4);
            registers.replace_range(xmm..xmm + 2, "01");
            ask(&mut stream, &format!("G{registers}"))
        });
        let _ = set.and_then(|_| ask(&mut stream, "s")).and_then(|_| ask(&mut stream, "c"));
    }
    err.read_to_string(&mut said).expect("text");
    (child.wait().expect("it ends").signal(), said)
}

/// Whether this machine can be connected to from itself.
fn has_loopback() -> bool {
    let listener = TcpListener::bind("127.0.0.1:0");
    listener.and_then(|listener| TcpStream::connect(listener.local_addr()?)).is_ok()
}

/// gdb's socket is a file, and a signal comes before gdb does.
fn debugged_at_a_file(without: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let args = ["run", "spins", "--gdb", path.to_str().expect("text")];
    signalled(&args, &[libc::SIGINT], without)
}

/// A kind of thread, as it is asked for.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Vcpu(Needs),
    Watchdog,
    Signals,
}

impl Kind {
    fn thread(self) -> Thread {
        match self {
            Self::Vcpu(needs) => needs.thread(),
            Self::Watchdog => Thread::Watchdog,
            Self::Signals => Thread::Signals,
        }
    }

    fn calls(self) -> Vec<&'static Call> {
        self.thread().calls()
    }
}

/// A scenario in which a call is made.
fn scenario(kind: Kind, call: &str) -> Scenario {
    match (kind, call) {
        (Kind::Vcpu(_), "ioctl KVM_GET_REGS" | "ioctl KVM_GET_SREGS" | "brk" | "ioctl TCGETS") => crash,
        (Kind::Vcpu(Needs { foreign: true, .. }), "ioctl KVM_SET_REGS" | "ioctl KVM_SET_SREGS") => foreign,
        (Kind::Vcpu(_), "ioctl KVM_INTERRUPT") => timer,
        (Kind::Vcpu(_), "wait4") => explore,
        (Kind::Vcpu(_), "ioctl TIOCGWINSZ") => explore_on_a_terminal,
        (Kind::Vcpu(_), "exit" | "rt_sigprocmask") => free,
        (Kind::Vcpu(_), "rt_sigreturn") | (Kind::Watchdog, "getpid" | "tgkill") => deadline,
        (Kind::Signals, "futex" | "recvfrom") => interrupted,
        (Kind::Vcpu(_) | Kind::Watchdog, "restart_syscall") => stopped,
        (Kind::Vcpu(_), "sendto" | "getpid" | "gettid" | "tgkill" | "rt_sigaction SIGINT") => interrupted,
        (Kind::Vcpu(_), "rt_sigaction SIGTERM") => terminated,
        (Kind::Vcpu(_), "rt_sigaction SIGHUP") => hung_up,
        (Kind::Signals, "rt_sigaction SIGTERM") => terminated_early,
        (Kind::Signals, "rt_sigaction SIGHUP") => hung_up_early,
        (Kind::Signals, _) => interrupted_early,
        (Kind::Vcpu(Needs { gdb_file: true, .. }), "unlink") => debugged_at_a_file,
        (Kind::Vcpu(Needs { gdb: true, .. }), _) => debugged,
        (Kind::Vcpu(_), call) if of_the_explorer(call) => explore,
        _ => plain,
    }
}

fn of_the_explorer(call: &str) -> bool {
    let plain = Kind::Vcpu(NO_NEEDS).calls();
    matches!(call, "mmap" | "madvise") || !plain.iter().any(|it| it.name == call)
}

#[test]
fn every_listed_call_is_needed() {
    if can_run_guests() && jail::is_available() {
        let explorer = Kind::Vcpu(Needs { explores: true, ..NO_NEEDS });
        let debugger = Kind::Vcpu(Needs { steps: true, gdb: true, gdb_file: true, ..NO_NEEDS });
        let beyond = |kind: Kind| {
            let plain = Kind::Vcpu(NO_NEEDS).calls();
            kind.calls().into_iter().filter(|it| !plain.iter().any(|of| of.name == it.name)).collect()
        };
        let of_debugger = beyond(debugger);
        let others = Kind::Vcpu(Needs { foreign: true, ..NO_NEEDS });
        let of_others = beyond(others);
        let mut idle = Vec::new();
        for (thread, calls) in [
            (explorer, explorer.calls()),
            (debugger, of_debugger),
            (others, of_others),
            (Kind::Watchdog, Kind::Watchdog.calls()),
            (Kind::Signals, Kind::Signals.calls()),
        ] {
            if thread == debugger && !has_loopback() {
                eprintln!(
                    "skipped: the calls that gdb takes; there is no network to this machine itself here"
                );
                continue;
            }
            for call in calls.into_iter().filter(|call| call.usual) {
                let without = format!("{}/{}", thread.thread().name(), call.name);
                let ended = || scenario(thread, call.name)(&without);
                // Signals have to come at the right moment, which a busy machine may miss.
                let killed = (0..3).map(|_| ended()).find(|(signal, _)| *signal == Some(libc::SIGSYS));
                // Where a thread ends or signals another its signals are blocked: then nothing is said.
                let named = |err: &str| err.contains(&format!("{VIOLATION}{} is not", call.number));
                if !killed.is_some_and(|(_, err)| err.is_empty() || named(&err)) {
                    idle.push(without);
                }
            }
        }
        assert!(idle.is_empty(), "these are not needed: {idle:#?}");
    }
}

#[test]
fn a_run_that_was_stopped_goes_on() {
    if can_run_guests() {
        let (signal, err) = stopped("");
        assert_eq!(signal, None, "{err}");
        assert!(err.contains("the deadline"), "{err}");
    }
}
