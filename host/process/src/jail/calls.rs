//! The system calls that threads in the jail may make, each with its purpose. All other calls kill the process.
//!
//! The numbers are those of x86-64. A filter sees a call's number and its arguments, but not the memory that they
//! point to. Therefore no thread may start another (`clone3`), and none may open a file.

/// A system call that is allowed.
#[derive(Debug)]
pub struct Call {
    /// The name; it differs from those of other entries with the same number.
    pub name: &'static str,
    /// The number.
    pub number: i64,
    /// The request (second argument), if the call is an ioctl.
    pub request: Option<u32>,
    /// The tests that the arguments must all pass.
    pub arguments: &'static [Argument],
    /// True if runs with usual libraries and a usual kernel make the call. False if only others do.
    pub usual: bool,
}

/// An argument's number, from 0, and its test.
pub type Argument = (u8, Test);

/// A test of an argument.
#[derive(Clone, Copy, Debug)]
pub enum Test {
    /// The lower 32 bits have this value. The kernel ignores the upper half.
    Is(u32),
    /// All 64 bits are 0.
    Null,
    /// All of these bits are set.
    Has(u32),
    /// None of these bits is set.
    Lacks(u32),
    /// The argument is the number of this process.
    OwnProcess,
}

use Test::{Has, Is, Lacks, Null, OwnProcess};

/// Returns a call that usual runs make, with any arguments.
pub const fn any(name: &'static str, number: i64) -> Call {
    only(name, number, &[])
}

/// Returns a call that usual runs make, with arguments that pass these tests.
pub const fn only(name: &'static str, number: i64, arguments: &'static [Argument]) -> Call {
    Call { name, number, request: None, arguments, usual: true }
}

/// Returns the same call, for libraries, kernels or states of memory that a test cannot bring about.
pub const fn spare(call: Call) -> Call {
    Call { usual: false, ..call }
}

/// Returns an ioctl that usual runs make, with this request.
pub const fn ioctl(name: &'static str, request: libc::Ioctl) -> Call {
    Call { request: Some(low(request)), ..any(name, libc::SYS_ioctl) }
}

/// The test of `prot` (mmap(2)) for memory that cannot become code.
pub const NOT_EXECUTABLE: Test = Lacks(libc::PROT_EXEC.cast_unsigned());
/// The test of `flags` (mmap(2)) for memory that is not a file's.
const OF_NO_FILE: Test = Has(libc::MAP_ANONYMOUS.cast_unsigned());

/// Memory for the heap. It is not a file's, and cannot become code.
const MMAP: Call = only("mmap", libc::SYS_mmap, &[(2, NOT_EXECUTABLE), (3, OF_NO_FILE)]);
const MPROTECT: Call = only("mprotect", libc::SYS_mprotect, &[(2, NOT_EXECUTABLE)]);
const MADVISE: Call = only("madvise", libc::SYS_madvise, &[(2, Is(libc::MADV_DONTNEED.cast_unsigned()))]);
/// Advice of the heap for huge pages, which an environment variable requests; or advice of another C library.
const MADVISE_HUGE: Call =
    only("madvise MADV_HUGEPAGE", libc::SYS_madvise, &[(2, Is(libc::MADV_HUGEPAGE.cast_unsigned()))]);
const MADVISE_FREE: Call =
    only("madvise MADV_FREE", libc::SYS_madvise, &[(2, Is(libc::MADV_FREE.cast_unsigned()))]);
const BRK: Call = any("brk", libc::SYS_brk);
const MREMAP: Call = any("mremap", libc::SYS_mremap);
const MUNMAP: Call = any("munmap", libc::SYS_munmap);

/// A signal to a thread of this process: the watchdog's, or the one to die by.
const TGKILL: Call = only("tgkill", libc::SYS_tgkill, &[(0, OwnProcess)]);
const GETPID: Call = any("getpid", libc::SYS_getpid);
/// The message of a panic has the thread's number.
const GETTID: Call = any("gettid", libc::SYS_gettid);
const SIGPROCMASK: Call = any("rt_sigprocmask", libc::SYS_rt_sigprocmask);
const SIGRETURN: Call = any("rt_sigreturn", libc::SYS_rt_sigreturn);
/// The signal handler writes to a socket that is connected to the thread for signals.
const SEND: Call = only("sendto", libc::SYS_sendto, &[(4, Null)]);
const FUTEX: Call = any("futex", libc::SYS_futex);
const WRITE: Call = any("write", libc::SYS_write);
const SIGALTSTACK: Call = any("sigaltstack", libc::SYS_sigaltstack);
const EXIT: Call = any("exit", libc::SYS_exit);
const EXIT_GROUP: Call = any("exit_group", libc::SYS_exit_group);
/// Made by the kernel itself for a wait that SIGSTOP and SIGCONT have interrupted.
const RESTART: Call = any("restart_syscall", libc::SYS_restart_syscall);
/// The clock, where the kernel's shared page (vDSO) does not have it.
const CLOCK: Call = spare(any("clock_gettime", libc::SYS_clock_gettime));

/// Calls that libraries make in any thread, but not in a usual run.
pub(super) const LIBRARIES: &[Call] = &[
    spare(MREMAP),
    spare(MPROTECT),
    spare(MADVISE_HUGE),
    spare(MADVISE_FREE),
    // The last message of a C library with a damaged heap.
    spare(any("writev", libc::SYS_writev)),
    // A queue that two threads use at the same time.
    spare(any("sched_yield", libc::SYS_sched_yield)),
];

/// Calls of every worker. The first few are frequent.
pub(super) const WORKER: &[Call] = &[
    WRITE,
    FUTEX,
    SIGRETURN,
    CLOCK,
    // Finds out whether an output is a terminal.
    ioctl("ioctl TCGETS", libc::TCGETS),
    spare(ioctl("ioctl TCGETS2", libc::TCGETS2)),
    BRK,
    MMAP,
    MADVISE,
    MUNMAP,
    any("close", libc::SYS_close),
    // In debug builds the standard library checks that a file is open before it closes it.
    #[cfg(debug_assertions)]
    only("fcntl F_GETFD", libc::SYS_fcntl, &[(1, Is(libc::F_GETFD.cast_unsigned()))]),
    // Random keys for a thread's first hash table.
    spare(any("getrandom", libc::SYS_getrandom)),
    SEND,
    RESTART,
    GETPID,
    GETTID,
    TGKILL,
    SIGPROCMASK,
    SIGALTSTACK,
    // The exit status of a renaming process (`clerk`).
    any("wait4", libc::SYS_wait4),
    EXIT,
    EXIT_GROUP,
];

/// The signals that end the work. The process dies of them in the end.
pub(super) const DEATH: &[Call] = &[
    only("rt_sigaction SIGINT", libc::SYS_rt_sigaction, &[(0, Is(libc::SIGINT.cast_unsigned()))]),
    only("rt_sigaction SIGTERM", libc::SYS_rt_sigaction, &[(0, Is(libc::SIGTERM.cast_unsigned()))]),
    only("rt_sigaction SIGHUP", libc::SYS_rt_sigaction, &[(0, Is(libc::SIGHUP.cast_unsigned()))]),
];

/// Calls of the watchdog, which sleeps and sends signals.
pub(super) const WATCHDOG: &[Call] = &[
    FUTEX,
    CLOCK,
    RESTART,
    GETPID,
    TGKILL,
    SIGPROCMASK,
    // The signals that end the work can reach any thread.
    spare(SEND),
    spare(SIGRETURN),
    // A message, for example of a panic.
    spare(WRITE),
    spare(GETTID),
    spare(BRK),
    spare(MMAP),
    // The end of the thread.
    SIGALTSTACK,
    MUNMAP,
    MADVISE,
    EXIT,
];

/// Calls of the thread that waits for a signal, wakes watchdogs, and ends the process at a second signal.
pub(super) const SIGNALS: &[Call] = &[
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

/// Returns the lower 32 bits of a request, which are all that the kernel compares.
#[expect(clippy::cast_possible_truncation, reason = "the kernel ignores the upper half")]
const fn low(request: libc::Ioctl) -> u32 {
    request as u32
}
