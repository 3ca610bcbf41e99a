//! The debugger, with the real gdb in batch mode, and with packets by the test if the moment matters.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::common::{self, can_run_guests, expect, image, text};

/// Returns true if the real gdb can be used. Otherwise prints that the test was skipped.
pub(crate) fn has_gdb() -> bool {
    let has = Command::new("gdb").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !has {
        eprintln!("skipped: gdb is not installed (Debian: apt-get install gdb)");
    }
    has && can_run_guests()
}

/// A run that waits for gdb, and its address.
pub(crate) struct Run {
    child: Child,
    address: String,
    err: BufReader<std::process::ChildStderr>,
}

impl Run {
    pub(crate) fn start(args: &[&str], address: &str) -> Self {
        Self::try_start(args, address).expect("a run that waits for gdb")
    }

    /// Returns `None` if the run does not wait for gdb: this machine does not have its mode.
    pub(crate) fn try_start(args: &[&str], address: &str) -> Option<Self> {
        let mut child = common::command(args)
            .args(["--gdb", address])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("guestlab runs");
        let mut err = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        err.read_line(&mut line).expect("a line");
        let address = line.split("'target remote ").nth(1).and_then(|rest| rest.split('\'').next());
        let Some(address) = address else {
            assert!(line.contains("cannot run guests in"), "no address in {line:?}");
            child.wait().expect("it ends");
            return None;
        };
        let address = address.to_owned();
        Some(Self { child, address, err })
    }

    /// Waits for the end. Returns the status and both outputs.
    pub(crate) fn end(mut self) -> (Option<i32>, String, String) {
        let mut err = String::new();
        self.err.read_to_string(&mut err).expect("text");
        let output = self.child.wait_with_output().expect("it ends");
        (output.status.code(), text(&output.stdout), err)
    }

    /// Runs these commands in gdb after it has connected. Returns its output.
    pub(crate) fn gdb(&self, image: &Path, commands: &[&str]) -> String {
        self.gdb_with(Some(image), commands)
    }

    /// Runs [`gdb`](Self::gdb), perhaps without symbols.
    fn gdb_with(&self, image: Option<&Path>, commands: &[&str]) -> String {
        let connect = format!("target remote {}", self.address);
        let mut gdb = Command::new("gdb");
        gdb.args(["-nx", "-batch", "-ex", "set pagination off", "-ex", &connect]).args(image);
        for command in commands {
            gdb.args(["-ex", command]);
        }
        let output = gdb.stdin(Stdio::null()).output().expect("gdb runs");
        format!("{}{}", text(&output.stdout), text(&output.stderr))
    }
}

/// The line of the loop in which the producer fills slots.
fn loop_line() -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-rt/src/ring.rs");
    let source = fs::read_to_string(source).expect("the source");
    let line = source.lines().position(|line| line.contains("let mut slot = first")).expect("the loop") + 1;
    format!("break guest-rt/src/ring.rs:{line}")
}

const EXCHANGE: [&str; 5] = ["run", "prodcons", "--seed=7", "--schedule=string:12211222", "--timeout=60"];

/// The image of a guest in a mode.
pub(crate) fn image_in(guest: &str, mode: &str) -> PathBuf {
    image(&if mode == "protected" { guest.to_owned() } else { format!("{guest}.{mode}") })
}

fn break_read_step_and_continue(mode: &str) {
    if !has_gdb() {
        return;
    }
    let args = [&EXCHANGE[..], &["--mode", mode]].concat();
    let (plain, _) = expect(&args, 0);
    let run = Run::start(&args, "127.0.0.1:0");
    let said = run.gdb(
        &image_in("guest-producer", mode),
        &[
            &loop_line(),
            "continue",
            "print guest_rt::ring::MAILBOX.pointers.capacity.0.value",
            "print items",
            "backtrace",
            "info registers pc",
            "stepi",
            "next",
            "step",
            "delete",
            "continue",
        ],
    );
    assert!(said.contains("Breakpoint 1, guest_rt::ring::go_round"), "{said}");
    assert!(said.contains("$1 = 6"), "{said}");
    assert!(said.contains("$2 = 6"), "{said}");
    assert!(said.contains("guest_producer::main () at guest-producer/src/main.rs"), "{said}");
    assert!(said.contains("<guest_producer::main") || said.contains("<guest_producer::__guestlab"), "{said}");
    assert!(said.contains("exited normally"), "{said}");
    let (status, out, err) = run.end();
    assert_eq!((status, out), (Some(0), plain), "{err}");
}

#[test]
fn gdb_breaks_in_the_producers_loop_reads_a_variable_steps_and_continues_to_the_end() {
    break_read_step_and_continue("protected");
}

#[test]
fn so_it_does_in_real_mode() {
    break_read_step_and_continue("real");
}

#[test]
fn so_it_does_in_long_mode() {
    break_read_step_and_continue("long");
}

/// Runs these commands in gdb on a guest of plain bytes, which starts in a mode at an address.
fn in_bytes(
    bytes: &[u8],
    mode: &str,
    load: &str,
    commands: &[&str],
) -> (String, (Option<i32>, String, String)) {
    let image = tempfile::NamedTempFile::new().expect("a file");
    fs::write(image.path(), bytes).expect("written");
    let path = image.path().to_str().expect("a plain path");
    let args = ["run", "--image", path, "--format", "flat", "--mode", mode, "--load", load, "--timeout=60"];
    let run = Run::start(&args, "127.0.0.1:0");
    let said = run.gdb_with(None, commands);
    (said, run.end())
}

/// Prints an x three times, in a loop that begins 8 bytes behind the start of code segment 0x7C0.
const IN_A_SEGMENT: &[u8] = b"\xEA\x05\x00\xC0\x07\
    \xB9\x03\x00\xB0x\xE6\xE9\xE2\xFA\xF4";

#[test]
fn a_breakpoint_in_a_real_mode_segment_is_hit_at_its_linear_address_each_time() {
    if !has_gdb() {
        return;
    }
    // With debug registers where there are any, and stepped because of a watchpoint.
    for watch in ["echo", "rwatch *(char *) 0x5000"] {
        let show = "printf \"%#x has %d left\\n\", $pc, $ecx";
        let (said, (status, out, err)) = in_bytes(
            IN_A_SEGMENT,
            "real",
            "0x7c00",
            &[
                "set architecture i8086",
                watch,
                "break *0x7c08",
                "continue",
                show,
                "x/2i $pc",
                "continue",
                show,
                "stepi",
                "stepi",
                "stepi",
                show,
                "set $pc = 0x7c05",
                "stepi",
                show,
                "delete",
                "continue",
            ],
        );
        assert_eq!((status, out.as_str()), (Some(0), "xxxxx"), "{said}{err}");
        let shown: Vec<&str> = said.lines().filter(|line| line.contains(" left")).collect();
        let expected = [3, 2, 1, 3].map(|left| format!("0x7c08 has {left} left"));
        assert_eq!(shown, expected, "{said}");
        assert!(said.contains("=> 0x7c08:\tmov    $0x78,%al") && said.contains("exited normally"), "{said}");
    }
}

#[test]
fn an_instruction_outside_of_the_code_segment_is_refused() {
    if has_gdb() {
        let commands = ["stepi", "set $pc = 0x100", "set $pc = 0x17c00", "kill"];
        let (said, _) = in_bytes(IN_A_SEGMENT, "real", "0x7c00", &commands);
        assert!(said.contains("Could not write registers"), "{said}");
    }
}

#[test]
fn a_breakpoint_in_a_protected_mode_segment_is_hit_at_its_linear_address() {
    if !has_gdb() {
        return;
    }
    // lgdt [0x10040]; jmp 0x18:0xe; mov ecx, 3; mov al, 'x'; out 0xE9, al; loop -6; hlt, in a segment at 0x10000.
    let mut bytes = b"\x0F\x01\x15\x40\x00\x01\x00\xEA\x0E\x00\x00\x00\x18\x00\
        \xB9\x03\x00\x00\x00\xB0x\xE6\xE9\xE2\xFA\xF4"
        .to_vec();
    bytes.resize(0x28, 0);
    for descriptor in [0x00CF_9A00_0000_FFFF_u64, 0x00CF_9200_0000_FFFF, 0x004F_9A01_0000_FFFF] {
        bytes.extend(descriptor.to_le_bytes());
    }
    bytes.extend(b"\x1F\x00\x20\x00\x01\x00");
    let show = "printf \"%#x has %d left\\n\", $pc, $ecx";
    let (said, (status, out, err)) = in_bytes(
        &bytes,
        "protected",
        "0x10000",
        &["break *0x10013", "continue", show, "continue", show, "stepi", "continue", show, "continue"],
    );
    assert_eq!((status, out.as_str()), (Some(0), "xxx"), "{said}{err}");
    let shown: Vec<&str> = said.lines().filter(|line| line.contains(" left")).collect();
    assert_eq!(shown, [3, 2, 1].map(|left| format!("0x10013 has {left} left")), "{said}");
}

#[test]
fn a_far_call_is_stepped_into_and_out_of_its_segment() {
    if !has_gdb() {
        return;
    }
    // xor ax, ax; mov ss, ax; mov sp, 0x7000; mov cx, 2; call 0x7C1:4; loop -7; hlt; and at 0x7C1:4
    // mov al, 'f'; out 0xE9, al; retf
    let bytes = b"\x31\xC0\x8E\xD0\xBC\x00\x70\xB9\x02\x00\x9A\x04\x00\xC1\x07\xE2\xF9\xF4\0\0\
        \xB0f\xE6\xE9\xCB";
    let show = "printf \"at %#x\\n\", $pc";
    let (said, (status, out, err)) = in_bytes(
        bytes,
        "real",
        "0x7c00",
        &["break *0x7c18", "continue", show, "stepi", show, "continue", show, "continue"],
    );
    assert_eq!((status, out.as_str()), (Some(0), "ff"), "{said}{err}");
    let shown: Vec<&str> = said.lines().filter(|line| line.starts_with("at ")).collect();
    assert_eq!(shown, ["at 0x7c18", "at 0x7c0f", "at 0x7c18"], "{said}");
}

#[test]
fn watchpoints_registers_and_memory() {
    if !has_gdb() {
        return;
    }
    let run = Run::start(&EXCHANGE, "127.0.0.1:0");
    let said = run.gdb(
        &image("guest-producer"),
        &[
            "printf \"first %#x\\n\", $pc",
            "thbreak guest_producer::main",
            "continue",
            "watch -l guest_rt::ring::MAILBOX.pointers.count.0.value",
            "continue",
            "delete",
            "rwatch -l guest_rt::ring::MAILBOX.pointers.prod_p.0.value",
            "continue",
            "delete",
            "set language c",
            "set var $esi = 0x12345678",
            "printf \"esi %#x\\n\", $esi",
            "set var *(unsigned *)0x20000 = 0xcafe1234",
            "printf \"memory %#x\\n\", *(unsigned *)0x20000",
            "kill",
        ],
    );
    assert!(said.contains("first 0x7000"), "{said}");
    assert!(said.contains("Temporary breakpoint 1, ") || said.contains("Temporary breakpoint 1,"), "{said}");
    assert!(said.contains("Old value = 0") && said.contains("New value = 6"), "{said}");
    assert!(said.contains("Hardware read watchpoint"), "{said}");
    assert!(said.contains("esi 0x12345678") && said.contains("memory 0xcafe1234"), "{said}");
    let (status, _, err) = run.end();
    assert_eq!(status, Some(0), "{err}");
    assert!(err.contains("the run was ended from gdb"), "{err}");
}

#[test]
fn memory_that_is_not_there_is_an_error_to_gdb_only() {
    if !has_gdb() {
        return;
    }
    for mode in ["protected", "long"] {
        let run = Run::start(&["run", "hello", "--mode", mode], "127.0.0.1:0");
        let said = run.gdb(&image_in("hello", mode), &["thbreak rust_entry", "continue", "x/4xb 0xf0000000"]);
        assert!(said.contains("Cannot access memory at address 0xf0000000"), "{said}");
        // That error ended the batch: gdb detached, and the guest ran on.
        let (status, out, err) = run.end();
        assert_eq!(status, Some(0), "{err}");
        assert!(!out.is_empty());
    }
}

#[test]
fn the_consumer_can_be_debugged_through_a_unix_socket() {
    if !has_gdb() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("gdb.sock");
    let args = [&EXCHANGE[..], &["--gdb-vm", "2"]].concat();
    let run = Run::start(&args, socket.to_str().expect("a plain path"));
    let said = run.gdb(
        &image("guest-consumer"),
        &["break guest_consumer::main", "continue", "backtrace", "delete", "continue"],
    );
    assert!(said.contains("guest_consumer::main") && said.contains("exited normally"), "{said}");
    assert_eq!(run.end().0, Some(0));
    assert!(!socket.exists());
}

#[test]
fn a_crash_can_be_looked_at_before_the_run_ends() {
    if !has_gdb() {
        return;
    }
    let run = Run::start(&["run", "null-pointer"], "127.0.0.1:0");
    let said = run.gdb(&image("null-pointer"), &["continue", "continue"]);
    assert!(said.contains("SIGSEGV"), "{said}");
    let (status, _, err) = run.end();
    assert_eq!(status, Some(3), "{err}");
    assert!(err.contains("null pointer: read from address 0x0"), "{err}");
}

#[test]
fn so_can_a_panic_in_every_frame_from_it_to_main() {
    if !has_gdb() {
        return;
    }
    for mode in ["protected", "real", "long"] {
        let run = Run::start(&["run", "panics", "--mode", mode], "127.0.0.1:0");
        let said = run.gdb(&image_in("panics", mode), &["continue", "backtrace", "continue"]);
        assert!(said.contains("received signal SIGABRT"), "{said}");
        assert!(said.contains("terminated with signal SIGABRT"), "{said}");
        assert!(said.contains("panics::main () at guest-rt/examples/misbehaving/panics.rs:"), "{said}");
        let (status, _, err) = run.end();
        assert_eq!(status, Some(1), "{err}");
        assert!(err.contains("panicked at guest-rt/examples/misbehaving/panics.rs:"), "{err}");
    }
}

/// Sends a packet of the remote protocol.
fn send(stream: &mut impl Write, packet: &str) {
    let sum = packet.bytes().fold(0_u8, u8::wrapping_add);
    stream.write_all(format!("${packet}#{sum:02x}").as_bytes()).expect("a connection");
}

/// Reads up to the end of a packet. Returns its content.
fn receive(stream: &mut impl Read) -> String {
    let mut packet = Vec::new();
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte).expect("a connection");
        match byte {
            [b'$'] => packet.clear(),
            [b'#'] => return text(&packet),
            [byte] => packet.push(byte),
        }
    }
}

#[test]
fn a_guest_that_spins_is_interrupted_and_the_deadline_waits_while_it_is_stopped() {
    if !can_run_guests() {
        return;
    }
    let run = Run::start(&["run", "spins", "--timeout", "1"], "127.0.0.1:0");
    let mut stream = TcpStream::connect(&run.address).expect("it listens");
    // Longer than the deadline, were its clock running.
    std::thread::sleep(Duration::from_millis(1300));
    send(&mut stream, "?");
    assert!(receive(&mut stream).contains("05"));
    send(&mut stream, "c");
    std::thread::sleep(Duration::from_millis(200));
    stream.write_all(b"\x03").expect("a connection");
    assert!(receive(&mut stream).contains("02"));
    // It goes on, and is stopped by the deadline: SIGALRM.
    send(&mut stream, "c");
    assert!(receive(&mut stream).starts_with("X0e"));
    assert_eq!(run.end().0, Some(4));
}

#[test]
fn a_signal_ends_the_wait_for_gdb_whether_it_has_come_or_not() {
    if !can_run_guests() {
        return;
    }
    for comes in [false, true] {
        let mut run = Run::start(&["run", "hello"], "127.0.0.1:0");
        common::await_run(&mut run.child);
        let stream = comes.then(|| {
            let mut stream = TcpStream::connect(&run.address).expect("it listens");
            send(&mut stream, "?");
            assert!(receive(&mut stream).contains("05"));
            stream
        });
        // SAFETY: it is our own child, and has not been waited for.
        assert_eq!(unsafe { libc::kill(run.child.id().cast_signed(), libc::SIGINT) }, 0);
        let (status, out, err) = run.end();
        assert_eq!((status, out.as_str()), (None, ""), "{err}");
        assert!(err.contains("interrupted by SIGINT"), "{err}");
        drop(stream);
    }
}

#[test]
fn a_timer_interrupts_a_guest_under_gdb() {
    if !has_gdb() {
        return;
    }
    let args = ["run", "timer", "--timeout", "60"];
    let (plain, _) = expect(&args, 0);
    let run = Run::start(&args, "127.0.0.1:0");
    let said = run.gdb(&image("timer"), &["thbreak rust_entry", "continue", "continue"]);
    assert!(said.contains("exited normally"), "{said}");
    let (status, out, err) = run.end();
    assert_eq!((status, out), (Some(0), plain), "{err}");
}

#[test]
fn the_calls_of_a_handler_go_on_with_what_it_interrupted() {
    if !has_gdb() {
        return;
    }
    for mode in ["real", "protected", "long"] {
        let run = Run::start(&["run", "timer", "--mode", mode], "127.0.0.1:0");
        let commands = ["break guest_rt::traps::entry", "continue", "backtrace", "kill"];
        let said = run.gdb(&image_in("timer", mode), &commands);
        let calls = said.split("#0").nth(1).unwrap_or_default();
        for call in [" trap ()", "timer::main () at guest-rt/", "start::rust_entry ()"] {
            assert!(calls.contains(call), "{mode}: {said}");
        }
        assert!(!calls.contains("??") && !calls.contains("__boot16_end"), "{mode}: {said}");
        assert_eq!(run.end().0, Some(0));
    }
}

#[test]
fn a_guest_that_is_stepped_for_its_watchpoints_gets_its_interrupts() {
    if !has_gdb() {
        return;
    }
    for mode in ["real", "protected", "long"] {
        let args = ["run", "timer", "--mode", mode, "--timeout", "60"];
        let (plain, _) = expect(&args, 0);
        let run = Run::start(&args, "127.0.0.1:0");
        // Nothing is ever read only there, and no debug register stops at reads only: the guest is stepped.
        let said = run.gdb(
            &image_in("timer", mode),
            &["thbreak timer::main", "continue", "set language c", "rwatch *(char *) 0x20000", "continue"],
        );
        assert!(said.contains("Hardware read watchpoint") && said.contains("exited normally"), "{said}");
        let (status, out, err) = run.end();
        assert_eq!((status, out), (Some(0), plain), "{mode}: {err}");
    }
}

#[test]
fn a_connection_that_breaks_lets_the_guest_run_on() {
    if !can_run_guests() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("gdb.sock");
    for words in ["", "$c", "nonsense", "+$?#3f$g#67", "$m0,10#xx"] {
        let run = Run::start(&["run", "hello"], socket.to_str().expect("a plain path"));
        let mut stream = UnixStream::connect(&socket).expect("it listens");
        stream.write_all(words.as_bytes()).expect("a connection");
        drop(stream);
        let (status, out, err) = run.end();
        assert_eq!(status, Some(0), "{words}: {err}");
        assert!(err.contains("the conversation with gdb broke off"), "{err}");
        assert!(!out.is_empty());
    }
}

/// Writes until the reader takes nothing for a while.
fn write_until_full(stream: &mut UnixStream, text: &str) {
    stream.set_write_timeout(Some(Duration::from_millis(300))).expect("a connection");
    while stream.write_all(text.as_bytes()).is_ok() {}
}

#[test]
fn one_signal_ends_a_run_whose_gdb_does_not_read() {
    if !can_run_guests() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("gdb.sock");
    // It asks for memory, as much as it can, and reads no answer.
    for request in ["$m7000,400#2f", "$m7000,fffffff#bb"] {
        let mut run = Run::start(&["run", "spins"], socket.to_str().expect("a plain path"));
        common::await_run(&mut run.child);
        let mut stream = UnixStream::connect(&socket).expect("it listens");
        write_until_full(&mut stream, request);
        // SAFETY: it is our own child, and has not been waited for.
        assert_eq!(unsafe { libc::kill(run.child.id().cast_signed(), libc::SIGINT) }, 0);
        let (status, _, err) = run.end();
        assert_eq!(status, None, "{err}");
        assert!(err.contains("interrupted by SIGINT"), "{err}");
    }
}

#[test]
fn a_packet_without_end_ends_the_conversation() {
    if !can_run_guests() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("gdb.sock");
    let run = Run::start(&["run", "hello"], socket.to_str().expect("a plain path"));
    let mut stream = UnixStream::connect(&socket).expect("it listens");
    // It may be gone before it has all.
    let _ = stream.write_all(&[&b"$"[..], &[b'm'; 100_000]].concat());
    let (status, out, err) = run.end();
    assert_eq!(status, Some(0), "{err}");
    assert!(!out.is_empty() && err.contains("a packet of more than 8192 bytes"), "{err}");
}

#[test]
fn addresses_that_others_reach_and_options_without_sense_are_refused() {
    for (args, reason) in [
        (&["run", "hello", "--gdb", "0.0.0.0:1234"][..], "from other machines"),
        (&["run", "hello", "--gdb", "nowhere:1"], "no IP address"),
        (&["run", "hello", "--gdb", "0", "--gdb-vm", "2"], "this run's VMs are 1 to 1"),
        (&["run", "hello", "--gdb-vm", "1"], "--gdb <ADDRESS>"),
        (&["run", "prodcons", "--gdb", "0", "--schedule", "free"], "VMs that take turns"),
    ] {
        let (_, err) = expect(args, 2);
        assert!(err.contains(reason), "{args:?}: {err}");
    }
}

#[test]
fn a_socket_that_is_there_is_not_taken_away() {
    if !can_run_guests() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("gdb.sock");
    fs::write(&socket, "mine").expect("a file");
    let (_, err) = expect(&["run", "hello", "--gdb", socket.to_str().expect("a plain path")], 2);
    assert!(err.contains("cannot wait for gdb at"), "{err}");
    assert_eq!(fs::read_to_string(&socket).expect("still there"), "mine");
}

/// Starts a run on the interpreter, which can go back.
fn start_on_the_interpreter(args: &[&str]) -> (Run, String) {
    let args = [args, &["--engine", "soft", "--timeout", "60"]].concat();
    let (plain, _) = text_of_any_end(&args);
    (Run::start(&args, "127.0.0.1:0"), plain)
}

/// Runs the program to its end, whatever it is, and returns its two outputs.
fn text_of_any_end(args: &[&str]) -> (String, String) {
    let output = common::guestlab(args);
    (text(&output.stdout), text(&output.stderr))
}

/// Returns the values that a watchpoint showed, each "old new".
fn values(said: &str) -> Vec<String> {
    let values = said.lines().filter(|line| line.starts_with("Old value") || line.starts_with("New value"));
    let values: Vec<&str> = values.filter_map(|line| line.split("= ").nth(1)).collect();
    values.chunks(2).map(|pair| pair.join(" ")).collect()
}

#[test]
fn gdb_goes_back_over_interrupts_and_nothing_is_printed_twice() {
    if !has_gdb() {
        return;
    }
    for mode in ["real", "protected", "paged", "long"] {
        let (run, plain) = start_on_the_interpreter(&["run", "timer", "--mode", mode]);
        let watch = ["set language c", "watch *(unsigned *) &'timer::TICKS'"];
        let commands = [
            &["thbreak timer::main", "continue"][..],
            &watch,
            &["continue"; 3],
            // A step takes no interrupts, but the way back does.
            &["stepi"],
            &["reverse-continue"; 2],
            &["continue", "delete", "continue"],
        ];
        let said = run.gdb(&image_in("timer", mode), &commands.concat());
        assert_eq!(values(&said), ["0 1", "1 2", "2 3", "3 2", "2 1", "1 2"], "{mode}: {said}");
        assert!(said.contains("exited normally"), "{mode}: {said}");
        let (status, out, err) = run.end();
        assert_eq!((status, out), (Some(0), plain), "{mode}: {err}");
    }
}

#[test]
fn gdb_goes_back_from_a_crash_and_to_it_again() {
    if !has_gdb() {
        return;
    }
    for mode in ["protected", "long"] {
        let (run, _) = start_on_the_interpreter(&["run", "wild-write", "--mode", mode]);
        let said = run.gdb(
            &image_in("wild-write", mode),
            &[
                "continue",
                "reverse-stepi",
                "break wild_write::main",
                "reverse-continue",
                "reverse-continue",
                "continue",
                "continue",
                "kill",
            ],
        );
        let crash = "Program received signal SIGSEGV, Segmentation fault.\nwild_write::inner";
        let main = "wild_write::main () at guest-rt/examples/misbehaving/wild-write.rs";
        assert_eq!(said.matches(crash).count(), 2, "{said}");
        assert_eq!(said.matches(main).count(), 2, "{said}");
        assert!(said.contains("No more reverse-execution history"), "{said}");
        assert_eq!(run.end().0, Some(0));
    }
}

/// What docs/guide/back.md shows.
#[test]
fn gdb_goes_back_from_a_panic_to_the_line_that_is_to_blame() {
    if !has_gdb() {
        return;
    }
    let (run, _) = start_on_the_interpreter(&["run", "forgets-to-wrap"]);
    let commands = ["continue", "watch forgets_to_wrap::SLOT", "reverse-continue", "kill"];
    let said = run.gdb(&image("forgets-to-wrap"), &commands);
    let (_, arrival) = said.split_once("Old value = ").expect("a stop at the watchpoint");
    let cause = "forgets_to_wrap::tick () at guest-rt/examples/misbehaving/forgets-to-wrap.rs:42\n";
    let has = |text: &str| arrival.contains(text);
    assert!(has("(8)") && has("New value = ") && has("(7)") && has(cause), "{said}");
    assert_eq!(run.end().0, Some(0));
}

#[test]
fn gdb_goes_back_to_the_beginning_of_a_turn_of_the_exchange() {
    if !has_gdb() {
        return;
    }
    let (run, plain) = start_on_the_interpreter(&EXCHANGE[..4]);
    let commands = [&loop_line(), "continue", "continue", "reverse-continue", "reverse-continue", "delete"];
    let said = run.gdb(&image("guest-producer"), &[&commands[..], &["continue"]].concat());
    assert!(said.contains("No more reverse-execution history"), "{said}");
    assert!(said.contains("exited normally"), "{said}");
    let (status, out, err) = run.end();
    assert_eq!((status, out), (Some(0), plain), "{err}");
}

#[test]
fn a_change_by_gdb_ends_the_past() {
    if !has_gdb() {
        return;
    }
    let (run, _) = start_on_the_interpreter(&["run", "hello"]);
    let commands = ["thbreak rust_entry", "continue", "set $eax = 1", "reverse-stepi", "kill"];
    let said = run.gdb(&image("hello"), &commands);
    assert!(said.contains("No more reverse-execution history"), "{said}");
    assert_eq!(run.end().0, Some(0));
}
