//! The system calls that threads may make while guests run, each with what it is for. All others kill.
//!
//! The numbers are x86-64's. A filter sees a call's number and its arguments, but not what they point to:
//! that is why no thread may start another (`clone3`) and none may open a file.

use crate::kvm::request;

/// What a run's vCPU threads need beyond what every run's do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// VMs are reset and made anew.
    pub explores: bool,
    /// A guest that others built runs, which the host's handlers of exceptions may stop.
    pub foreign: bool,
    /// Guests are stepped.
    pub steps: bool,
    /// gdb is spoken with.
    pub gdb: bool,
    /// gdb's socket is a file, which is to be removed.
    pub gdb_file: bool,
}

/// A kind of thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thread {
    /// Runs guests: the main thread, and each VM's own with `--schedule free`.
    Vcpu(Needs),
    /// Kicks the others when their time is up.
    Watchdog,
    /// Takes the signals that end a run.
    Signals,
}

impl Thread {
    /// Its name in [`Jail::Calls`](super::Jail::Calls).
    pub fn name(self) -> &'static str {
        match self {
            Self::Vcpu(_) => "vcpu",
            Self::Watchdog => "watchdog",
            Self::Signals => "signals",
        }
    }

    /// What it may call.
    pub fn calls(self) -> Vec<&'static Call> {
        let lists: &[(bool, &[Call])] = match self {
            Self::Vcpu(Needs { explores, foreign, steps, gdb, gdb_file }) => &[
                (true, VCPU),
                (true, LIBRARIES),
                (true, DEATH),
                (explores, EXPLORER),
                (foreign, FOREIGN),
                (steps, STEPS),
                (gdb, GDB),
                (gdb_file, GDB_FILE),
            ],
            Self::Watchdog => &[(true, WATCHDOG), (true, LIBRARIES)],
            Self::Signals => &[(true, SIGNALS), (true, LIBRARIES), (true, DEATH)],
        };
        let lists = lists.iter().filter(|(needed, _)| *needed).map(|(_, calls)| *calls);
        lists.flatten().collect()
    }
}

/// A system call that is allowed.
#[derive(Debug)]
pub struct Call {
    /// Its name, with what tells it from others of the same number.
    pub name: &'static str,
    /// Its number.
    pub number: i64,
    /// What its arguments must be: all of these.
    pub arguments: &'static [Argument],
    /// Whether it is a run on this machine's libraries and kernel that needs it. Otherwise it is for others.
    pub usual: bool,
}

/// What an argument must be: its number from 0, and the test.
pub type Argument = (u8, Test);

/// A test of an argument.
#[derive(Clone, Copy, Debug)]
pub enum Test {
    /// Its lower 32 bits, which are all that the kernel looks at, are this.
    Is(u32),
    /// It is 0, all 64 bits of it.
    Null,
    /// Of these bits all are set.
    Has(u32),
    /// Of these bits none is set.
    Lacks(u32),
    /// It is this process.
    OwnProcess,
}

use Test::{Has, Is, Lacks, Null, OwnProcess};

/// A call that is made in usual runs, whatever its arguments.
const fn any(name: &'static str, number: i64) -> Call {
    only(name, number, &[])
}

/// A call that is made in usual runs, with such arguments.
const fn only(name: &'static str, number: i64, arguments: &'static [Argument]) -> Call {
    Call { name, number, arguments, usual: true }
}

/// The same call, for other libraries, kernels or states of memory than a test can bring about.
const fn spare(call: Call) -> Call {
    Call { usual: false, ..call }
}

/// A request to a file that is open.
const fn request(name: &'static str, arguments: &'static [Argument]) -> Call {
    only(name, libc::SYS_ioctl, arguments)
}

/// Bits of `prot` and `flags` (mmap(2)).
const NOT_EXECUTABLE: Test = Lacks(libc::PROT_EXEC.cast_unsigned());
const OF_NO_FILE: Test = Has(libc::MAP_ANONYMOUS.cast_unsigned());

/// Memory as the heap takes it from the system: it is no file's, and does not become code.
const MMAP: Call = only("mmap", libc::SYS_mmap, &[(2, NOT_EXECUTABLE), (3, OF_NO_FILE)]);
const MPROTECT: Call = only("mprotect", libc::SYS_mprotect, &[(2, NOT_EXECUTABLE)]);
const MADVISE: Call = only("madvise", libc::SYS_madvise, &[(2, Is(libc::MADV_DONTNEED.cast_unsigned()))]);
/// Advice of the heap that a variable of the environment asks for (huge pages), or another C library gives.
const MADVISE_HUGE: Call =
    only("madvise MADV_HUGEPAGE", libc::SYS_madvise, &[(2, Is(libc::MADV_HUGEPAGE.cast_unsigned()))]);
const MADVISE_FREE: Call =
    only("madvise MADV_FREE", libc::SYS_madvise, &[(2, Is(libc::MADV_FREE.cast_unsigned()))]);
const BRK: Call = any("brk", libc::SYS_brk);
const MREMAP: Call = any("mremap", libc::SYS_mremap);
const MUNMAP: Call = any("munmap", libc::SYS_munmap);

/// A signal to a thread of ours: a kick, or the one to die by.
const TGKILL: Call = only("tgkill", libc::SYS_tgkill, &[(0, OwnProcess)]);
const GETPID: Call = any("getpid", libc::SYS_getpid);
/// A panic's message has the thread's number.
const GETTID: Call = any("gettid", libc::SYS_gettid);
const SIGPROCMASK: Call = any("rt_sigprocmask", libc::SYS_rt_sigprocmask);
const SIGRETURN: Call = any("rt_sigreturn", libc::SYS_rt_sigreturn);
/// What takes SIGINT and others writes to a socket that is connected to the signals' thread.
const SEND: Call = only("sendto", libc::SYS_sendto, &[(4, Null)]);
const FUTEX: Call = any("futex", libc::SYS_futex);
const WRITE: Call = any("write", libc::SYS_write);
const SIGALTSTACK: Call = any("sigaltstack", libc::SYS_sigaltstack);
const EXIT: Call = any("exit", libc::SYS_exit);
const EXIT_GROUP: Call = any("exit_group", libc::SYS_exit_group);
/// The kernel's own, for a wait that SIGSTOP and SIGCONT have interrupted.
const RESTART: Call = any("restart_syscall", libc::SYS_restart_syscall);
/// The clock, where the kernel's shared page does not have it.
const CLOCK: Call = spare(any("clock_gettime", libc::SYS_clock_gettime));

/// Calls of the libraries, in any thread, that a usual run does not need.
const LIBRARIES: &[Call] = &[
    spare(MREMAP),
    spare(MPROTECT),
    spare(MADVISE_HUGE),
    spare(MADVISE_FREE),
    // The last message of a C library that finds its heap damaged.
    spare(any("writev", libc::SYS_writev)),
    // A queue between two threads that come to it at once.
    spare(any("sched_yield", libc::SYS_sched_yield)),
];

/// A thread that runs guests. The first few are made again and again.
const VCPU: &[Call] = &[
    request("ioctl KVM_RUN", &[(1, Is(low(request::RUN)))]),
    WRITE,
    FUTEX,
    SIGRETURN,
    CLOCK,
    // A report's registers, a guest's question, its timer.
    request("ioctl KVM_GET_REGS", &[(1, Is(low(request::GET_REGS)))]),
    request("ioctl KVM_GET_SREGS", &[(1, Is(low(request::GET_SREGS)))]),
    request("ioctl KVM_TRANSLATE", &[(1, Is(low(request::TRANSLATE)))]),
    request("ioctl KVM_INTERRUPT", &[(1, Is(low(request::INTERRUPT)))]),
    // Whether an output is a terminal.
    request("ioctl TCGETS", &[(1, Is(low(libc::TCGETS)))]),
    spare(request("ioctl TCGETS2", &[(1, Is(low(libc::TCGETS2)))])),
    BRK,
    MMAP,
    MADVISE,
    MUNMAP,
    any("close", libc::SYS_close),
    // In debug builds the library looks whether a file that it closes is open.
    #[cfg(debug_assertions)]
    only("fcntl F_GETFD", libc::SYS_fcntl, &[(1, Is(libc::F_GETFD.cast_unsigned()))]),
    // Chance for a thread's first hash table.
    spare(any("getrandom", libc::SYS_getrandom)),
    SEND,
    RESTART,
    GETPID,
    GETTID,
    TGKILL,
    SIGPROCMASK,
    SIGALTSTACK,
    // A clerk says whether the file that it sees to has its name.
    any("wait4", libc::SYS_wait4),
    EXIT,
    EXIT_GROUP,
];

/// The signals that end a run, by which the process dies then.
const DEATH: &[Call] = &[
    only("rt_sigaction SIGINT", libc::SYS_rt_sigaction, &[(0, Is(libc::SIGINT.cast_unsigned()))]),
    only("rt_sigaction SIGTERM", libc::SYS_rt_sigaction, &[(0, Is(libc::SIGTERM.cast_unsigned()))]),
    only("rt_sigaction SIGHUP", libc::SYS_rt_sigaction, &[(0, Is(libc::SIGHUP.cast_unsigned()))]),
];

/// The explorer resets VMs, and makes new ones after a crash.
const EXPLORER: &[Call] = &[
    request("ioctl KVM_SET_REGS", &[(1, Is(low(request::SET_REGS)))]),
    request("ioctl KVM_SET_SREGS", &[(1, Is(low(request::SET_SREGS)))]),
    request("ioctl KVM_SET_FPU", &[(1, Is(low(request::SET_FPU)))]),
    request("ioctl KVM_SET_DEBUGREGS", &[(1, Is(low(request::SET_DEBUGREGS)))]),
    request("ioctl KVM_SET_VCPU_EVENTS", &[(1, Is(low(request::SET_VCPU_EVENTS)))]),
    request("ioctl KVM_CREATE_VM", &[(1, Is(low(request::CREATE_VM)))]),
    request("ioctl KVM_GET_VCPU_MMAP_SIZE", &[(1, Is(low(request::GET_VCPU_MMAP_SIZE)))]),
    request("ioctl KVM_CREATE_VCPU", &[(1, Is(low(request::CREATE_VCPU)))]),
    request("ioctl KVM_SET_USER_MEMORY_REGION", &[(1, Is(low(request::SET_USER_MEMORY_REGION)))]),
    request("ioctl KVM_SET_TSS_ADDR", &[(1, Is(low(request::SET_TSS_ADDR)))]),
    request("ioctl KVM_SET_CPUID2", &[(1, Is(low(request::SET_CPUID2)))]),
    // Of the first VM, which those that test guests make in the jail.
    request("ioctl KVM_GET_FPU", &[(1, Is(low(request::GET_FPU)))]),
    request("ioctl KVM_GET_DEBUGREGS", &[(1, Is(low(request::GET_DEBUGREGS)))]),
    request("ioctl KVM_GET_VCPU_EVENTS", &[(1, Is(low(request::GET_VCPU_EVENTS)))]),
    // A vCPU's run structure.
    only(
        "mmap MAP_SHARED",
        libc::SYS_mmap,
        &[(2, NOT_EXECUTABLE), (3, Is(libc::MAP_SHARED.cast_unsigned()))],
    ),
    // The line that shows progress is as wide as the terminal.
    request("ioctl TIOCGWINSZ", &[(1, Is(low(libc::TIOCGWINSZ)))]),
    // Paths are shown and recorded as from the current folder.
    any("getcwd", libc::SYS_getcwd),
];

/// A guest that is stopped at a handler of the host's is set back to what was interrupted, or goes on at its own.
const FOREIGN: &[Call] = &[
    request("ioctl KVM_SET_REGS", &[(1, Is(low(request::SET_REGS)))]),
    request("ioctl KVM_SET_SREGS", &[(1, Is(low(request::SET_SREGS)))]),
];

/// Guests are stepped, or stopped where gdb wants it; one that is stopped at a handler is set back to its first
/// instruction.
const STEPS: &[Call] = &[
    request("ioctl KVM_SET_GUEST_DEBUG", &[(1, Is(low(request::SET_GUEST_DEBUG)))]),
    request("ioctl KVM_SET_REGS", &[(1, Is(low(request::SET_REGS)))]),
    // For guests that use the trap flag or debug registers themselves.
    spare(request("ioctl KVM_GET_DEBUGREGS", &[(1, Is(low(request::GET_DEBUGREGS)))])),
    spare(request("ioctl KVM_SET_DEBUGREGS", &[(1, Is(low(request::SET_DEBUGREGS)))])),
    spare(request("ioctl KVM_GET_MSRS", &[(1, Is(low(request::GET_MSRS)))])),
];

/// Talk with gdb, and what it may do to a guest.
const GDB: &[Call] = &[
    request("ioctl KVM_GET_FPU", &[(1, Is(low(request::GET_FPU)))]),
    request("ioctl KVM_SET_FPU", &[(1, Is(low(request::SET_FPU)))]),
    request("ioctl FIONBIO", &[(1, Is(low(libc::FIONBIO)))]),
    any("poll", libc::SYS_poll),
    any("accept4", libc::SYS_accept4),
    any("setsockopt", libc::SYS_setsockopt),
    any("recvfrom", libc::SYS_recvfrom),
];

/// gdb's socket is a file, which goes at the end.
const GDB_FILE: &[Call] = &[any("unlink", libc::SYS_unlink)];

/// It sleeps and kicks.
const WATCHDOG: &[Call] = &[
    FUTEX,
    CLOCK,
    RESTART,
    GETPID,
    TGKILL,
    SIGPROCMASK,
    // Signals that end a run may come to any thread.
    spare(SEND),
    spare(SIGRETURN),
    // A message, of a panic for example.
    spare(WRITE),
    spare(GETTID),
    spare(BRK),
    spare(MMAP),
    // Its end.
    SIGALTSTACK,
    MUNMAP,
    MADVISE,
    EXIT,
];

/// It waits for a signal, wakes watchdogs, and ends the process at a second one.
const SIGNALS: &[Call] = &[
    any("recvfrom", libc::SYS_recvfrom),
    FUTEX,
    CLOCK,
    spare(SEND),
    spare(SIGRETURN),
    spare(RESTART),
    GETPID,
    GETTID,
    TGKILL,
    SIGPROCMASK,
    spare(WRITE),
    spare(BRK),
    spare(MMAP),
    spare(MADVISE),
    spare(MUNMAP),
];

/// A request's number as the kernel looks at it: its lower 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "the upper half is the point")]
const fn low(request: libc::Ioctl) -> u32 {
    request as u32
}
