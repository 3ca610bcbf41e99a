//! The jail: unlisted system calls are refused, listed ones are needed, and guests run only in the jail.

mod common;

use std::{
    fs,
    io::{self, BufRead, BufReader, PipeReader, Read, Write},
    os::{
        fd::AsRawFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{self, Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicI64, Ordering},
    thread,
    time::Duration,
};

use common::{NO_CAPABILITIES, can_run_guests, command, confined, text, threads};
use guestlab::{
    lab::needs::Needs,
    process::jail::{self, Jail, Thread, VIOLATION, program},
};

const NO_NEEDS: Needs = Needs {
    kvm: true,
    states: false,
    explores: false,
    steps: false,
    foreign: false,
    gdb: false,
    gdb_file: false,
};
const ALL_NEEDS: Needs =
    Needs { kvm: true, states: true, explores: true, steps: true, foreign: true, gdb: true, gdb_file: true };

fn kinds() -> [Thread; 4] {
    [NO_NEEDS.thread(), ALL_NEEDS.thread(), Thread::Watchdog, Thread::Signals]
}

/// A system call: its number and its arguments.
type Attempt = (i64, [u64; 6]);

/// Runs a function in a process of its own. Returns its output to the pipe, and its end.
fn forked(act: impl FnOnce(i32)) -> (Vec<u8>, ExitStatus) {
    let (mut reader, writer) = io::pipe().expect("a pipe");
    // SAFETY: the child does what `act` does, which takes no lock that another thread could hold but the
    // allocator's, of which the C library takes care; and it ends without coming back.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // What should not be waits for ever, perhaps.
        // SAFETY: it has no preconditions.
        unsafe { libc::alarm(100) };
        act(writer.as_raw_fd());
        // SAFETY: likewise.
        unsafe { libc::_exit(0) };
    }
    assert!(child > 0, "{}", io::Error::last_os_error());
    drop(writer);
    let mut written = Vec::new();
    reader.read_to_end(&mut written).expect("a pipe can be read");
    let mut status = 0;
    // SAFETY: it is our child, and the pointer is to a number.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    (written, ExitStatus::from_raw(status))
}

fn system_call(&(number, [a, b, c, d, e, f]): &Attempt) -> i64 {
    // SAFETY: it is refused; if not, the test fails, whatever the call did to this child.
    unsafe { libc::syscall(number, a, b, c, d, e, f) }
}

/// The call that was refused last.
static REFUSED: AtomicI64 = AtomicI64::new(-1);

extern "C" fn refused(_: libc::c_int, information: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // `si_syscall` is the seventh number of the structure (sigaction(2)).
    // SAFETY: the kernel hands over a structure that is larger.
    let [.., number] = unsafe { *information.cast::<[i32; 7]>() };
    REFUSED.store(number.into(), Ordering::Relaxed);
}

/// Makes calls in a thread of this kind, one after another. Returns those that are not refused.
fn allowed(thread: &Thread, attempts: &[Attempt]) -> Vec<Attempt> {
    let (written, status) = forked(|pipe| {
        // SAFETY: all-zero is a valid sigaction.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = refused as *const () as libc::sighandler_t;
        action.sa_flags = libc::SA_SIGINFO;
        // SAFETY: the handler only writes a number.
        unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) };
        let program = program(thread).expect("a filter");
        seccompiler::apply_filter(&program).expect("seccomp");
        for (index, attempt) in (0_u32..).zip(attempts) {
            REFUSED.store(-1, Ordering::Relaxed);
            system_call(attempt);
            if REFUSED.load(Ordering::Relaxed) != attempt.0 {
                let index = index.to_le_bytes();
                // SAFETY: the pointer and the length are the array's.
                unsafe { libc::write(pipe, index.as_ptr().cast(), index.len()) };
            }
        }
        let end = u32::MAX.to_le_bytes();
        // SAFETY: likewise.
        unsafe { libc::write(pipe, end.as_ptr().cast(), end.len()) };
        let own = u64::from(process::id());
        system_call(&(libc::SYS_tgkill, [own, own, libc::SIGKILL as u64, 0, 0, 0]));
    });
    let mut indices: Vec<u32> =
        written.chunks_exact(4).map(|it| u32::from_le_bytes(it.try_into().expect("four bytes"))).collect();
    assert_eq!(indices.pop(), Some(u32::MAX), "{thread:?}: {status:?} before all was tried");
    indices.into_iter().map(|index| attempts[index as usize]).collect()
}

#[test]
fn every_call_that_is_not_listed_is_refused() {
    /// The bit of all numbers of the x32 ABI (arch/x86/include/uapi/asm/unistd.h).
    const X32: i64 = 0x4000_0000;
    /// `uretprobe` and `uprobe`: the kernel's own, which it takes from its trampolines only, and past all
    /// filters (kernel/seccomp.c).
    const KERNELS: [i64; 2] = [335, 336];
    if jail::is_available() {
        for kind in &kinds() {
            let listed: Vec<i64> = kind.calls().iter().map(|call| call.number).chain(KERNELS).collect();
            let unlisted = (0..600).filter(|number| !listed.contains(number));
            let attempts: Vec<Attempt> =
                unlisted.chain((0..600).map(|number| X32 | number)).map(|number| (number, [0; 6])).collect();
            assert_eq!(allowed(kind, &attempts), [], "{kind:?}");
        }
    }
}

#[test]
fn no_list_has_a_way_to_files_programs_or_other_processes() {
    for kind in &kinds() {
        let numbers: Vec<i64> = kind.calls().iter().map(|call| call.number).collect();
        for number in [
            libc::SYS_open,
            libc::SYS_openat,
            libc::SYS_openat2,
            libc::SYS_creat,
            libc::SYS_truncate,
            libc::SYS_rename,
            libc::SYS_renameat,
            libc::SYS_renameat2,
            libc::SYS_link,
            libc::SYS_linkat,
            libc::SYS_symlink,
            libc::SYS_symlinkat,
            libc::SYS_unlinkat,
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_fork,
            libc::SYS_vfork,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_bind,
            libc::SYS_ptrace,
            libc::SYS_process_vm_writev,
            libc::SYS_kill,
            libc::SYS_prctl,
            libc::SYS_io_uring_setup,
            libc::SYS_bpf,
            libc::SYS_mount,
        ] {
            assert!(!numbers.contains(&number), "{kind:?}: {number}");
        }
    }
    let talks = |needs: Needs| {
        let numbers: Vec<i64> = needs.thread().calls().iter().map(|call| call.number).collect();
        numbers.contains(&libc::SYS_accept4)
    };
    assert!(talks(ALL_NEEDS) && !talks(Needs { gdb: false, gdb_file: false, ..ALL_NEEDS }));
}

#[test]
fn guests_of_the_interpreter_make_no_request_to_kvm() {
    let requests = |needs: Needs| {
        let calls = needs.thread().calls();
        calls.iter().filter(|call| call.name.starts_with("ioctl KVM_")).count()
    };
    assert_eq!((requests(ALL_NEEDS) > 10, requests(Needs { kvm: false, ..ALL_NEEDS })), (true, 0));
}

#[test]
fn listed_calls_are_refused_with_other_arguments() {
    let bits = |number: i32| u64::from(number.cast_unsigned());
    let (read_write, executable) = (bits(libc::PROT_READ | libc::PROT_WRITE), bits(libc::PROT_EXEC));
    let (private, shared) = (bits(libc::MAP_PRIVATE), bits(libc::MAP_SHARED));
    let anonymous = private | bits(libc::MAP_ANONYMOUS);
    let nowhere = u64::MAX;
    let parent = u64::from(std::os::unix::process::parent_id());
    let address = [0_u8; 16];
    let mut attempts: Vec<Attempt> = vec![
        (libc::SYS_mmap, [0, 4096, read_write | executable, anonymous, nowhere, 0]),
        (libc::SYS_mmap, [0, 4096, executable, anonymous, nowhere, 0]),
        (libc::SYS_mmap, [0, 4096, read_write, private, 0, 0]),
        (libc::SYS_mmap, [0, 4096, executable, shared, 0, 0]),
        (libc::SYS_mprotect, [0, 4096, executable, 0, 0, 0]),
        (libc::SYS_tgkill, [parent, parent, 0, 0, 0, 0]),
        (libc::SYS_sendto, [0, 0, 0, 0, address.as_ptr() as u64, 16]),
        (libc::SYS_rt_sigaction, [bits(libc::SIGSYS), 0, 0, 8, 0, 0]),
        (libc::SYS_madvise, [0, 4096, bits(libc::MADV_REMOVE), 0, 0, 0]),
        (libc::SYS_fcntl, [0, bits(libc::F_DUPFD), 0, 0, 0, 0]),
        (libc::SYS_ioctl, [0, libc::TIOCSTI, address.as_ptr() as u64, 0, 0, 0]),
        // The kernel looks at the lower half only.
        (libc::SYS_ioctl, [0, 1 << 32 | libc::TIOCSTI, address.as_ptr() as u64, 0, 0, 0]),
    ];
    if jail::is_available() {
        for kind in &kinds() {
            assert_eq!(allowed(kind, &attempts), [], "{kind:?}");
        }
        let only_explored = [
            guestlab::kvm::request::CREATE_VM,
            guestlab::kvm::request::SET_USER_MEMORY_REGION,
            guestlab::kvm::request::SET_GUEST_DEBUG,
        ];
        attempts = only_explored.iter().map(|&request| (libc::SYS_ioctl, [0, request, 0, 0, 0, 0])).collect();
        attempts.push((libc::SYS_mmap, [0, 4096, read_write, shared, 0, 0]));
        attempts.push((libc::SYS_unlink, [0; 6]));
        assert_eq!(allowed(&NO_NEEDS.thread(), &attempts), []);
        // With the right ones they pass, so that all this shows something.
        let passes: Attempt = (libc::SYS_mmap, [0, 4096, read_write, anonymous, nowhere, 0]);
        assert_eq!(allowed(&NO_NEEDS.thread(), &[passes]), [passes]);
    }
}

#[test]
fn a_refused_call_is_named_and_kills() {
    if jail::is_available() {
        let (written, status) = forked(|pipe| {
            enter(pipe);
            system_call(&(libc::SYS_getppid, [0; 6]));
        });
        let said = text(&written);
        assert!(said.starts_with(&format!("{VIOLATION}{} is not", libc::SYS_getppid)), "{said}");
        assert_eq!(status.signal(), Some(libc::SIGSYS), "{said}");
    }
}

#[test]
fn a_panic_in_the_jail_is_told_and_caught() {
    if jail::is_available() {
        let (written, status) = forked(|pipe| {
            enter(pipe);
            let outcome = std::panic::catch_unwind(|| panic!("a bug"));
            // SAFETY: it has no preconditions.
            unsafe { libc::_exit(if outcome.is_err() { 70 } else { 0 }) };
        });
        let said = text(&written);
        assert!(said.starts_with("panicked at ") && said.contains("\na bug\n"), "{said}");
        assert_eq!(status.code(), Some(70), "{said}");
    }
}

/// Runs a function in the jail that kills the process. Returns its message and the signal.
fn last_words(act: impl FnOnce()) -> (String, Option<i32>) {
    let (written, status) = forked(|pipe| {
        enter(pipe);
        act();
    });
    (text(&written), status.signal())
}

/// Uses up the stack.
fn recurse(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { recurse(depth + 1) + frame[7] }
}

#[test]
fn a_fault_in_the_jail_is_told_as_what_it_is() {
    if !jail::is_available() {
        return;
    }
    // SAFETY: the access is to be refused, in a process that ends with it.
    let (said, signal) =
        last_words(|| unsafe { std::ptr::with_exposed_provenance_mut::<u8>(16).write_volatile(1) });
    assert_eq!(signal, Some(libc::SIGSEGV), "{said}");
    assert!(said.contains("SIGSEGV: a bad access to memory at 0x10\n  try: please report"), "{said}");

    let (said, signal) = last_words(|| assert_ne!(recurse(0), 1));
    assert_eq!(signal, Some(libc::SIGSEGV), "{said}");
    assert!(said.contains("SIGSEGV: the stack of a thread is used up\n"), "{said}");

    // A file that is mapped and then is cut off.
    let file = tempfile::tempfile().expect("a file");
    file.set_len(4096).expect("so long");
    let (access, sharing) = (libc::PROT_READ, libc::MAP_SHARED);
    // SAFETY: it takes an address of the system's choice.
    let mapped = unsafe { libc::mmap(std::ptr::null_mut(), 4096, access, sharing, file.as_raw_fd(), 0) };
    assert_ne!(mapped, libc::MAP_FAILED);
    file.set_len(0).expect("empty");
    // SAFETY: as above.
    let (said, signal) = last_words(|| assert_eq!(unsafe { mapped.cast::<u8>().read_volatile() }, 0));
    assert_eq!(signal, Some(libc::SIGBUS), "{said}");
    assert!(said.contains("SIGBUS: a bad access to memory at 0x"), "{said}");
}

#[test]
fn an_abort_in_the_jail_is_an_abort() {
    if jail::is_available() {
        let (said, signal) = last_words(|| std::process::abort());
        assert_eq!((&*said, signal), ("", Some(libc::SIGABRT)));
        // A panic that is left during another one.
        struct Panics;
        impl Drop for Panics {
            fn drop(&mut self) {
                panic!("second");
            }
        }
        let (said, signal) = last_words(|| {
            let _panics = Panics;
            panic!("first");
        });
        assert!(said.contains("first") && said.contains("second"), "{said}");
        assert_eq!(signal, Some(libc::SIGABRT), "{said}");
        // What the C library says of a damaged heap, it says with one call.
        // SAFETY: it is no address that was given out, which the library notices.
        let (said, signal) =
            last_words(|| unsafe { libc::free(std::ptr::with_exposed_provenance_mut(4097)) });
        assert!(!said.contains(VIOLATION), "{said}");
        assert_ne!(signal, Some(libc::SIGSYS), "{said}");
    }
}

/// The signals that end a process and that the program does not handle. In the jail they do the same, in any thread.
#[test]
fn a_signal_to_any_thread_in_the_jail_kills_as_that_signal() {
    if !can_run_guests() || !jail::is_available() {
        return;
    }
    let fatal = [
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGABRT,
        libc::SIGTRAP,
        libc::SIGUSR1,
    ];
    for thread in 0..3 {
        for signal in fatal {
            let mut child = command(&["run", "spins", "--timeout", "60"]);
            let mut child =
                child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("guestlab runs");
            while confined(&child) < 3 {
                assert_eq!(child.try_wait().expect("our child"), None);
                thread::sleep(Duration::from_millis(2));
            }
            let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).expect("its threads");
            let names =
                tasks.map(|task| task.expect("a thread").file_name().into_string().expect("a number"));
            let mut tasks: Vec<i32> = names.map(|name| name.parse().expect("a number")).collect();
            tasks.sort_unstable();
            // SAFETY: the child has not been waited for.
            unsafe { libc::syscall(libc::SYS_tgkill, child.id(), tasks[thread], signal) };
            let status = child.wait().expect("it ends");
            let mut said = String::new();
            child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
            assert_eq!(status.signal(), Some(signal), "thread {thread}: {said}");
            let speaks = [libc::SIGSEGV, libc::SIGBUS].contains(&signal);
            assert_eq!(said.contains("which another process sent"), speaks, "{said}");
        }
    }
}

/// Makes the pipe standard error, and puts the calling thread into the jail.
fn enter(pipe: i32) {
    // SAFETY: both are open files.
    unsafe { libc::dup2(pipe, 2) };
    let jail = Jail::new(true);
    jail.prepare(guestlab::output::warn_lines).expect("a handler");
    jail.enter(&NO_NEEDS.thread()).expect("seccomp");
}

/// Checks that all threads are confined with this kind of filter. KVM may add threads to this number.
#[track_caller]
fn assert_confined(child: &Child, count: usize, filter: &str) {
    for (line, expected) in [
        ("Seccomp", filter),
        ("NoNewPrivs", "1"),
        ("CapInh", NO_CAPABILITIES),
        ("CapPrm", NO_CAPABILITIES),
        ("CapEff", NO_CAPABILITIES),
        ("CapAmb", NO_CAPABILITIES),
    ] {
        let found = threads(child, line);
        assert!(found.len() >= count && found.iter().all(|it| it == expected), "{line}: {found:?}");
    }
}

/// The files that a process has open.
fn files(child: &Child) -> Vec<String> {
    let files = fs::read_dir(format!("/proc/{}/fd", child.id())).expect("its files");
    files
        .filter_map(|file| Some(fs::read_link(file.ok()?.path()).ok()?.to_string_lossy().into_owned()))
        .collect()
}

/// A guest of a few instructions that prints and then runs for ever.
fn prints_and_spins() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    // mov al, '!'; out 0xE9, al; mov al, '\n'; out 0xE9, al; jmp $
    file.write_all(&[0xB0, b'!', 0xE6, 0xE9, 0xB0, b'\n', 0xE6, 0xE9, 0xEB, 0xFE]).expect("written");
    file
}

/// Starts a run and waits until it has printed this line, or one that begins so.
fn run_until(args: &[&str], begin: &str) -> (Child, BufReader<impl Read>) {
    let (reader, writer) = io::pipe().expect("a pipe");
    let mut command = command(args);
    let mut child = command.stdout(writer).stderr(Stdio::null()).spawn().expect("guestlab runs");
    drop(command);
    let mut reader: BufReader<PipeReader> = BufReader::new(reader);
    let mut line = String::new();
    while !line.starts_with(begin) {
        line.clear();
        let len = reader.read_line(&mut line).expect("text");
        assert!(len > 0, "{args:?}: it ends ({:?})", child.wait());
    }
    (child, reader)
}

#[test]
fn guests_run_in_the_jail_and_in_nothing_else() {
    if can_run_guests() && jail::is_available() {
        let (guest, pingpong) = (prints_and_spins(), common::pingpong());
        let guest = guest.path().to_str().expect("text");
        let pingpong = pingpong.to_str().expect("text");
        // What goes to a pipe comes in blocks: so the runs of turns are long.
        for (args, begin, count) in [
            (&["run", "prodcons", "--turns", "10000000"][..], "turn ", 3),
            (
                &["run", "prodcons", "--schedule", "free", "--producers", "2", "--turns", "10000000"],
                "turn ",
                6,
            ),
            (&["run", "--experiment", pingpong, "--turns", "10000000"], "turn ", 3),
        ] {
            let (mut child, output) = run_until(args, begin);
            assert_confined(&child, count, "2");
            let files = files(&child);
            assert!(!files.iter().any(|file| file == "/dev/kvm"), "{args:?}: {files:?}");
            let has_vcpu = files.iter().any(|file| file.contains("kvm-vcpu"));
            assert_eq!(has_vcpu, common::engine() == "kvm", "{args:?}: {files:?}");
            child.kill().expect("it is there");
            child.wait().expect("it ends");
            drop(output);
        }
        // Alone, and without the filter.
        let flat = ["run", "--image", guest, "--format", "flat", "--mode", "real"];
        for (options, filter) in [(&[][..], "2"), (&["--no-seccomp"], "0")] {
            let mut child =
                command(&[&flat, options].concat()).stdout(Stdio::null()).spawn().expect("guestlab runs");
            while confined(&child) < 3 {
                assert_eq!(child.try_wait().expect("our child"), None);
                thread::sleep(Duration::from_millis(2));
            }
            thread::sleep(Duration::from_millis(50));
            assert_confined(&child, 3, filter);
            assert!(!files(&child).iter().any(|file| file == "/dev/kvm"), "{options:?}");
            child.kill().expect("it is there");
            child.wait().expect("it ends");
        }
    }
}

/// The number of a file that a process is started with in the tests below.
const STARTED_WITH: i32 = 100;

/// Makes a process start with an open file.
fn start_with(command: &mut Command, file: &impl AsRawFd) {
    let file = file.as_raw_fd();
    let hand_over = move || {
        // SAFETY: the file is open in the process that starts it.
        match unsafe { libc::dup2(file, STARTED_WITH) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    };
    // SAFETY: the child makes one system call.
    unsafe { command.pre_exec(hand_over) };
}

#[test]
fn no_file_that_the_process_was_started_with_is_open_when_a_guest_runs() {
    if can_run_guests() {
        let (_reader, writer) = io::pipe().expect("a pipe");
        for options in [&[][..], &["--no-seccomp"]] {
            let mut command = command(&[&["run", "spins", "--timeout", "60"], options].concat());
            start_with(&mut command, &writer);
            let mut child = command.stdout(Stdio::null()).spawn().expect("guestlab runs");
            while confined(&child) < 3 {
                assert_eq!(child.try_wait().expect("our child"), None);
                thread::sleep(Duration::from_millis(2));
            }
            // The filter is the last that a thread gets.
            thread::sleep(Duration::from_millis(50));
            assert!(!fs::exists(format!("/proc/{}/fd/{STARTED_WITH}", child.id())).expect("known"));
            child.kill().expect("it is there");
            child.wait().expect("it ends");
        }
    }
}

#[test]
fn a_file_that_the_process_was_started_with_can_be_an_input() {
    if can_run_guests() {
        let mut schedule = tempfile::NamedTempFile::new().expect("a file");
        schedule.write_all(b"1212").expect("written");
        let file = fs::File::open(schedule.path()).expect("a file");
        let path = format!("file:/dev/fd/{STARTED_WITH}");
        let mut command = command(&["run", "prodcons", "--schedule", &path]);
        start_with(&mut command, &file);
        let output = command.output().expect("guestlab runs");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
}

#[test]
fn a_run_in_a_view_has_no_rights_either() {
    if can_run_guests() {
        let Some((mut ours, theirs)) = common::terminal(80, 24) else {
            eprintln!("skipped: there is no terminal to be had here");
            return;
        };
        let mut command = command(&["run", "prodcons", "--tui", "--turns", "900000", "--timeout", "1000"]);
        let copy = || theirs.try_clone().expect("a copy");
        command.env("TERM", "xterm").stdin(copy()).stdout(copy()).stderr(Stdio::null());
        let mut child = command.spawn().expect("guestlab runs");
        drop((command, theirs));
        let (mut shown, mut bytes) = (String::new(), [0; 4096]);
        while !shown.contains("live") {
            let length = ours.read(&mut bytes).expect("output");
            shown += &String::from_utf8_lossy(&bytes[..length]);
        }
        // Two watch, one hears signals, one runs guests and one shows.
        assert_confined(&child, 5, "0");
        assert!(!files(&child).iter().any(|file| file == "/dev/kvm"));
        child.kill().expect("it is there");
        child.wait().expect("it ends");
    }
}

#[test]
fn a_set_user_id_bit_gives_nothing() {
    // SAFETY: it has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("skipped: only root can have a program start as one with a set-user-ID bit does");
        return;
    }
    /// The user that has nothing (`nobody`).
    const NOBODY: libc::uid_t = 65534;
    // Where everybody comes, unlike the folder of the program, perhaps.
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    let program = folder.path().join("guestlab");
    fs::copy(env!("CARGO_BIN_EXE_guestlab"), &program).expect("copied");
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path(), everybody).expect("permissions");
    let secret = folder.path().join("secret");
    fs::write(&secret, [0xF4]).expect("written");
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("permissions");
    let mut command = Command::new(&program);
    command.args(["replay"]).arg(&secret).current_dir("/").stdin(Stdio::null());
    let become_nobody = || {
        // SAFETY: it takes three numbers.
        match unsafe { libc::setresuid(NOBODY, 0, 0) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: the child makes one system call.
    unsafe { command.pre_exec(become_nobody) };
    // A process that another test forks meanwhile may have the copy open for a moment longer.
    let output = loop {
        match command.output() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                thread::sleep(Duration::from_millis(2));
            }
            output => break output.expect("it runs"),
        }
    };
    let err = text(&output.stderr);
    // Root could read the recording, and would say that it is none.
    assert!(err.to_lowercase().contains("permission"), "{err}");
}

#[test]
fn the_security_documents_tests_are_there() {
    let document = include_str!("../../docs/security.md");
    let sources = [
        include_str!("jail.rs"),
        include_str!("suite/jail_lists.rs"),
        include_str!("suite/soak.rs"),
        include_str!("suite/misbehaving.rs"),
        include_str!("suite/ends.rs"),
        include_str!("suite/limits.rs"),
        include_str!("suite/guest_tests.rs"),
        include_str!("suite/report.rs"),
        include_str!("../debug/src/explain.rs"),
        include_str!("../debug/src/timeline/mod.rs"),
        include_str!("../debug/src/trace/output.rs"),
        include_str!("../src/lab/guest_tests/report.rs"),
        include_str!("../debug/src/crash_report/symbols.rs"),
        include_str!("leftovers.rs"),
        include_str!("suite/signals.rs"),
        include_str!("suite/explore.rs"),
        include_str!("suite/bad_input.rs"),
        include_str!("suite/exchange.rs"),
        include_str!("suite/reset.rs"),
        include_str!("../runlog/src/text.rs"),
        include_str!("../runlog/src/lines.rs"),
        include_str!("../kvm/src/memory.rs"),
        include_str!("../debug/src/crash_report/backtrace.rs"),
        include_str!("../vmm/src/image/elf/tests.rs"),
        include_str!("../debug/src/gdb/address.rs"),
        include_str!("../vmm/src/hypercall/tests.rs"),
        include_str!("../process/src/clerk/linux.rs"),
        include_str!("../vmm/src/pc/tests.rs"),
        include_str!("suite/pc.rs"),
        include_str!("suite/coverage.rs"),
        include_str!("../debug/src/coverage/counts.rs"),
        include_str!("../debug/src/trace/stacks.rs"),
        include_str!("../src/lab/coverage.rs"),
        include_str!("../views/src/html/coverage.rs"),
        include_str!("../process/src/files/mod.rs"),
        include_str!("../../xtask/src/grade/submission.rs"),
        include_str!("../../xtask/src/grade/package.rs"),
        include_str!("../views/src/html/class.rs"),
        include_str!("../src/lab/grade/table.rs"),
        include_str!("../src/lab/grade/judge.rs"),
        include_str!("../../xtask/src/grade/sandbox.rs"),
        include_str!("../../xtask/tests/guests/grade.rs"),
    ];
    let rows = document.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix("` |"));
    let named: Vec<&str> = rows
        .flat_map(|row| row.rsplit(" | ").next().unwrap_or_default().split(", "))
        .map(|name| name.trim_matches('`'))
        .collect();
    assert!(named.len() >= 20, "the document names {} tests", named.len());
    for name in named {
        let begin = format!("fn {name}(");
        let is_test = |source: &&str| {
            source.split("#[test]\n").skip(1).any(|test| test.trim_start().starts_with(&begin))
        };
        assert!(sources.iter().any(is_test), "docs/security.md names {name}, which is no test");
    }
}
