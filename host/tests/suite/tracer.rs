//! The system calls of a command's threads after they have entered the jail, by ptrace(2).

use std::{
    collections::HashMap,
    fs, io,
    mem::MaybeUninit,
    os::unix::process::CommandExt,
    process::Command,
    ptr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

/// A system call that a thread made in the jail.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Made {
    /// The name of the thread.
    pub(crate) thread: String,
    /// The number of the process.
    pub(crate) process: u64,
    /// The number of the call.
    pub(crate) number: i64,
    pub(crate) arguments: [u64; 6],
}

/// A traced process, for code that acts on it while it runs.
pub(crate) struct Traced {
    pub(crate) process: libc::pid_t,
    confined: AtomicUsize,
    is_over: AtomicBool,
}

impl Traced {
    /// Waits until so many threads are in the jail. Returns false if the process ends before.
    pub(crate) fn await_jail(&self, threads: usize) -> bool {
        self.wait_until(|| self.confined.load(Ordering::Relaxed) >= threads)
    }

    /// Waits for a condition. Returns false if the process ends before.
    pub(crate) fn wait_until(&self, condition: impl Fn() -> bool) -> bool {
        while !condition() {
            if self.is_over.load(Ordering::Relaxed) {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
        true
    }
}

/// Runs a command to its end, and returns the calls of its threads in the jail. `act` runs in the meantime.
///
/// # Errors
///
/// The system does not let this process trace another.
pub(crate) fn calls_in_jail(mut command: Command, act: impl FnOnce(&Traced) + Send) -> io::Result<Vec<Made>> {
    let begin = || {
        // A process that hangs dies, so that the test ends.
        // SAFETY: it has no preconditions.
        unsafe { libc::alarm(60) };
        ptrace(libc::PTRACE_TRACEME, 0, 0)
    };
    // SAFETY: the child makes two system calls.
    unsafe { command.pre_exec(begin) };
    let child = command.spawn()?;
    // The command may hold the other ends of pipes.
    drop(command);
    let process = child.id().cast_signed();
    let traced = Traced { process, confined: AtomicUsize::new(0), is_over: AtomicBool::new(false) };
    await_stop(process)?;
    let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_EXITKILL;
    ptrace(libc::PTRACE_SETOPTIONS, process, options.cast_unsigned().into())?;
    ptrace(libc::PTRACE_SYSCALL, process, 0)?;
    Ok(thread::scope(|scope| {
        scope.spawn(|| act(&traced));
        let made = follow(&traced);
        traced.is_over.store(true, Ordering::Relaxed);
        made
    }))
}

/// Lets the threads run from stop to stop until all of them have ended.
fn follow(traced: &Traced) -> Vec<Made> {
    let mut made = Vec::new();
    let mut confined: HashMap<libc::pid_t, String> = HashMap::new();
    while let Some((thread, status)) = next_stop() {
        let signal = match libc::WSTOPSIG(status) {
            _ if !libc::WIFSTOPPED(status) => continue,
            // PTRACE_O_TRACESYSGOOD sets this bit for system calls.
            signal if signal == libc::SIGTRAP | 0x80 => {
                if !confined.contains_key(&thread)
                    && let Some(name) = name_in_jail(traced.process, thread)
                {
                    confined.insert(thread, name);
                    traced.confined.store(confined.len(), Ordering::Relaxed);
                }
                if let Some(name) = confined.get(&thread)
                    && let Some(call) = call(traced.process, thread, name)
                {
                    made.push(call);
                }
                0
            }
            // A new thread, another event, or SIGSTOP: the process goes on at once.
            libc::SIGTRAP | libc::SIGSTOP => 0,
            signal => signal,
        };
        // A thread that was killed meanwhile cannot continue.
        let _ = ptrace(libc::PTRACE_SYSCALL, thread, signal.cast_unsigned().into());
    }
    made
}

/// Returns the name of a thread, if it has entered the jail.
fn name_in_jail(process: libc::pid_t, thread: libc::pid_t) -> Option<String> {
    let folder = format!("/proc/{process}/task/{thread}");
    let status = fs::read_to_string(format!("{folder}/status")).ok()?;
    status.contains("\nSeccomp:\t2\n").then(|| fs::read_to_string(format!("{folder}/comm")).ok())?
}

/// Returns the call at whose begin or end a thread stands.
fn call(process: libc::pid_t, thread: libc::pid_t, name: &str) -> Option<Made> {
    let mut registers = MaybeUninit::<libc::user_regs_struct>::zeroed();
    ptrace(libc::PTRACE_GETREGS, thread, registers.as_mut_ptr() as u64).ok()?;
    // SAFETY: all-zero is valid, and the kernel has filled it.
    let of = unsafe { registers.assume_init() };
    Some(Made {
        thread: name.trim_end().into(),
        process: process.cast_unsigned().into(),
        number: of.orig_rax.cast_signed(),
        arguments: [of.rdi, of.rsi, of.rdx, of.r10, of.r8, of.r9],
    })
}

/// Waits for a thread that this thread traces; `None` if there is none any more.
fn next_stop() -> Option<(libc::pid_t, i32)> {
    wait(-1).ok()
}

fn await_stop(process: libc::pid_t) -> io::Result<()> {
    let (_, status) = wait(process)?;
    match libc::WIFSTOPPED(status) {
        true => Ok(()),
        false => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

/// Waits for children of the calling thread, and not for those of other tests.
fn wait(process: libc::pid_t) -> io::Result<(libc::pid_t, i32)> {
    let mut status = 0;
    loop {
        // SAFETY: the pointer is to a number.
        let waited = unsafe { libc::waitpid(process, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
        match waited {
            -1 => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            thread => return Ok((thread, status)),
        }
    }
}

fn ptrace(request: libc::c_uint, thread: libc::pid_t, data: u64) -> io::Result<()> {
    // SAFETY: no request here reads or writes memory of this process, except GETREGS, whose caller has room.
    let outcome = unsafe { libc::ptrace(request, thread, ptr::null_mut::<libc::c_void>(), data) };
    if outcome == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
