//! The lists of the jail contain only calls that runs need: one of the runs here makes each of them.

use std::{
    collections::HashSet,
    fs,
    io::{self, BufRead, BufReader, Read},
    net::{TcpListener, TcpStream},
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use crate::common::{self, ask, can_run_guests, command, confined, text};
use crate::tracer::{Made, Traced, calls_in_jail};
use guestlab::{
    lab::needs::Needs,
    process::jail::{
        self, Call, Thread,
        calls::{Argument, Test},
    },
};

const NO_NEEDS: Needs = Needs {
    kvm: false,
    states: false,
    explores: false,
    foreign: false,
    steps: false,
    gdb: false,
    gdb_file: false,
};

/// The calls of a run in the jail.
type Calls = io::Result<Vec<Made>>;

fn run(args: &[&str]) -> Calls {
    calls_in_jail(quiet(args), |_| {})
}

/// A command whose outputs are not read.
fn quiet(args: &[&str]) -> Command {
    let mut command = command(args);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs an image that is not built with guest-rt.
fn flat(code: &[u8]) -> Calls {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.bin");
    fs::write(&path, code).expect("written");
    run(&["run", "--format", "flat", "--mode", "real", "--image", path.to_str().expect("text")])
}

fn tests_of_a_guest() -> Calls {
    let image = common::images().join("failing-tests.elf");
    run(&["test", "--image", image.to_str().expect("text"), "passes"])
}

/// A run that is saved.
fn saved() -> Calls {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("saved");
    run(&["run", "prodcons", "--turns", "4", "--save-at", "2", file.to_str().expect("text")])
}

fn explore() -> Calls {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x");
    run(&[
        "explore",
        "prodcons",
        "--quiet",
        "--producer",
        "overfills",
        "--record",
        path.to_str().expect("text"),
    ])
}

/// The same on a terminal, which has a line of progress.
fn explore_on_a_terminal() -> Calls {
    let Some((mut terminal, end)) = common::terminal(80, 24) else { return Ok(Vec::new()) };
    let mut command = command(&["explore", "prodcons", "--runs", "3", "--depth", "1"]);
    command.env("TERM", "xterm").stdout(Stdio::null()).stderr(end);
    calls_in_jail(command, move |_| {
        let mut bytes = [0; 4096];
        while let Ok(1..) = terminal.read(&mut bytes) {}
    })
}

fn send(traced: &Traced, signal: i32) {
    // SAFETY: the process may have ended, and then it is not reaped yet or the call fails.
    unsafe { libc::kill(traced.process, signal) };
}

/// Signals a run when its threads are in the jail.
fn signalled(args: &[&str], signal: i32) -> Calls {
    calls_in_jail(quiet(args), |traced| {
        if traced.await_jail(3) {
            thread::sleep(Duration::from_millis(20));
            send(traced, signal);
        }
    })
}

/// Signals a command before its run begins, so that the thread for signals ends the process.
fn signalled_early(signal: i32) -> Calls {
    let (reader, full) = common::full_pipe();
    let mut command = command(&["explore", "prodcons"]);
    command.stdout(full).stderr(Stdio::null());
    let calls = calls_in_jail(command, |traced| {
        if traced.await_jail(1) {
            send(traced, signal);
        }
    });
    drop(reader);
    calls
}

/// Stops the main thread and the watchdog of a run that waits for a timer. The tracer lets them continue at once.
fn stopped() -> Calls {
    calls_in_jail(quiet(&["run", "waits-long", "--timeout", "1"]), |traced| {
        if traced.await_jail(3) && traced.wait_until(|| waits(traced.process.cast_unsigned())) {
            let tasks = fs::read_dir(format!("/proc/{}/task", traced.process)).into_iter().flatten();
            // A thread of KVM's own is not traced, and would stay stopped.
            let is_watchdog = |task: &fs::DirEntry| {
                fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name == "watchdog\n")
            };
            let watchdogs = tasks.filter_map(Result::ok).filter(is_watchdog);
            let watchdogs = watchdogs.filter_map(|task| task.file_name().to_str()?.parse().ok());
            for thread in watchdogs.chain([traced.process]) {
                // SAFETY: it takes numbers. A thread that has ended makes the call fail.
                unsafe { libc::syscall(libc::SYS_tgkill, traced.process, thread, libc::SIGSTOP) };
            }
        }
    })
}

/// Returns true if the main thread of a process waits for a time.
fn waits(process: u32) -> bool {
    let call = fs::read_to_string(format!("/proc/{process}/syscall"));
    call.is_ok_and(|call| call.starts_with(&format!("{} ", libc::SYS_futex)))
}

/// gdb reads the registers, sets them, makes a step, and lets the guest run to its deadline.
fn debugged() -> Calls {
    let (reader, writer) = io::pipe()?;
    let mut command = command(&["run", "spins", "--timeout", "0.5", "--gdb", "localhost:0"]);
    command.stdout(Stdio::null()).stderr(writer);
    calls_in_jail(command, move |_| {
        let mut err = BufReader::new(reader);
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
        let _ = err.read_to_string(&mut said);
    })
}

/// Returns true if this machine can connect to itself.
fn has_loopback() -> bool {
    let listener = TcpListener::bind("127.0.0.1:0");
    listener.and_then(|listener| TcpStream::connect(listener.local_addr()?)).is_ok()
}

/// gdb's socket is a file, and a signal comes before gdb does.
fn debugged_at_a_file() -> Calls {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    signalled(&["run", "spins", "--gdb", path.to_str().expect("text")], libc::SIGINT)
}

/// The runs for the needs of a run.
struct Group {
    needs: Needs,
    runs: &'static [fn() -> Calls],
}

const SPINS: &[&str] = &["run", "spins", "--timeout", "60"];

const GROUPS: &[Group] = &[
    Group {
        needs: NO_NEEDS,
        runs: &[
            || run(&["run", "prodcons", "--turns", "4"]),
            || run(&["run", "prodcons", "--schedule", "free"]),
            || run(&["run", "wild-write"]),
            || run(&["run", "timer"]),
            || run(&["run", "spins", "--timeout", "0.1"]),
            // out 0xEE, eax; hlt
            || flat(&[0x66, 0xE7, 0xEE, 0xF4]),
            || signalled(SPINS, libc::SIGINT),
            || signalled(SPINS, libc::SIGTERM),
            || signalled(SPINS, libc::SIGHUP),
            stopped,
        ],
    },
    Group {
        needs: Needs { explores: true, ..NO_NEEDS },
        runs: &[
            tests_of_a_guest,
            explore,
            explore_on_a_terminal,
            || signalled_early(libc::SIGINT),
            || signalled_early(libc::SIGTERM),
            || signalled_early(libc::SIGHUP),
        ],
    },
    Group { needs: Needs { states: true, ..NO_NEEDS }, runs: &[saved] },
    // ud2, which nothing handles.
    Group { needs: Needs { foreign: true, ..NO_NEEDS }, runs: &[|| flat(&[0x0F, 0x0B])] },
    Group {
        needs: Needs { steps: true, gdb: true, gdb_file: true, ..NO_NEEDS },
        runs: &[debugged, debugged_at_a_file],
    },
];

fn passes(&(index, test): &Argument, made: &Made) -> bool {
    let value = made.arguments[usize::from(index)];
    let low = value & u64::from(u32::MAX);
    match test {
        Test::Is(expected) => low == u64::from(expected),
        Test::Null => value == 0,
        Test::Has(bits) => low & u64::from(bits) == u64::from(bits),
        Test::Lacks(bits) => low & u64::from(bits) == 0,
        Test::OwnProcess => low == made.process,
    }
}

/// Returns true if the list's entry allows a call that was made.
fn allows(call: &Call, made: &Made) -> bool {
    let request = call.request.map(|request| (1, Test::Is(request)));
    call.number == made.number && request.iter().chain(call.arguments).all(|argument| passes(argument, made))
}

/// Returns the usual calls of a list that no run made, as `THREAD/CALL`.
fn idle<'a>(
    thread: &Thread,
    calls: impl IntoIterator<Item = &'a &'static Call>,
    made: &HashSet<Made>,
) -> Vec<String> {
    let is_of = |made: &&Made| match thread {
        Thread::Worker(_) => !["watchdog", "signals"].contains(&&*made.thread),
        _ => made.thread == thread.name(),
    };
    let made: Vec<&Made> = made.iter().filter(is_of).collect();
    let idle = calls.into_iter().filter(|call| call.usual && !made.iter().any(|made| allows(call, made)));
    idle.map(|call| format!("{}/{}", thread.name(), call.name)).collect()
}

/// Returns the calls of the lists that were made by no run, given the calls of each group.
fn all_idle(made: &[HashSet<Made>]) -> Vec<String> {
    let of_all: HashSet<Made> = made.iter().flatten().cloned().collect();
    let on_engine = |needs: Needs| needs.on(&common::engine());
    let plain = on_engine(NO_NEEDS).thread();
    let mut all = Vec::new();
    // The interpreter waits for no timer, and these runs are too small for more memory than the allocator's first piece.
    if on_engine(NO_NEEDS).kvm {
        all.extend(idle(&plain, &plain.calls(), &of_all));
        for thread in [Thread::Watchdog, Thread::Signals] {
            all.extend(idle(&thread, &thread.calls(), &of_all));
        }
    }
    let common = plain.calls();
    for (group, made) in GROUPS.iter().zip(made) {
        let thread = on_engine(group.needs).thread();
        let calls = thread.calls();
        let own = calls.iter().filter(|call| !common.iter().any(|common| common.name == call.name));
        all.extend(idle(&thread, own, made));
    }
    all
}

#[test]
fn every_listed_call_is_needed() {
    if !can_run_guests() || !jail::is_available() {
        return;
    }
    if !has_loopback() {
        eprintln!("skipped: gdb's runs need a network connection to this machine itself");
        return;
    }
    let mut made = vec![HashSet::new(); GROUPS.len()];
    // Signals must come at the right moment, which a busy machine may miss.
    for _ in 0..3 {
        for (group, made) in GROUPS.iter().zip(&mut made) {
            for run in group.runs {
                match run() {
                    Ok(calls) => made.extend(calls),
                    Err(error) => {
                        eprintln!("skipped: this process may not trace another: {error}");
                        return;
                    }
                }
            }
        }
        if all_idle(&made).is_empty() {
            break;
        }
    }
    assert_eq!(all_idle(&made), Vec::<String>::new(), "these are not needed");
}

#[test]
fn a_run_that_was_stopped_goes_on() {
    // The interpreter does not wait for a timer.
    if can_run_guests() && common::is_for_kvm() {
        let mut command = command(&["run", "waits-long", "--timeout", "3"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("guestlab runs");
        while (confined(&child) < 3 || !waits(child.id())) && child.try_wait().expect("our child").is_none() {
            thread::sleep(Duration::from_millis(2));
        }
        for signal in [libc::SIGSTOP, libc::SIGCONT] {
            // SAFETY: the child has not been waited for, unless it has ended by itself.
            unsafe { libc::kill(child.id().cast_signed(), signal) };
            thread::sleep(Duration::from_millis(20));
        }
        let output = child.wait_with_output().expect("it ends");
        let err = text(&output.stderr);
        assert_eq!(output.status.signal(), None, "{err}");
        assert!(err.contains("the deadline"), "{err}");
    }
}
