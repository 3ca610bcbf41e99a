//! Kicks: another thread makes a vCPU leave its guest.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
};

use guestlab_cpu::Kick;
use kvm_ioctls::VcpuFd;

/// A handle that makes the run of a vCPU return.
///
/// A signal interrupts `KVM_RUN`, but a signal just before the call would be lost. So the run structure's
/// `immediate_exit` is set first: KVM reads it at the entry. The thread of the vCPU clears that byte before it takes the
/// kick: in the other order the byte could stay set after the kick was taken, and the guest would never run again.
pub(crate) struct Kicker {
    is_set: AtomicBool,
    target: Mutex<Target>,
}

struct Target {
    /// The run structure's `immediate_exit`; null once the vCPU is gone.
    immediate_exit: *const AtomicU8,
    /// The thread that runs the vCPU, as the kernel numbers it; 0 before the first run.
    thread: libc::pid_t,
}

// SAFETY: the pointer is used under the mutex only, and `Vcpu` clears it before the run structure is unmapped.
unsafe impl Send for Target {}

impl Kicker {
    pub(crate) fn new(vcpu: &mut VcpuFd) -> Self {
        let target = Target { immediate_exit: immediate_exit(vcpu), thread: 0 };
        Self { is_set: AtomicBool::new(false), target: Mutex::new(target) }
    }

    pub(crate) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::SeqCst)
    }

    /// Returns true if there was a kick, and forgets it.
    pub(crate) fn take(&self) -> bool {
        self.is_set() && self.is_set.swap(false, Ordering::SeqCst)
    }

    fn target(&self) -> std::sync::MutexGuard<'_, Target> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the vCPU before its run structure is unmapped.
    pub(crate) fn forget_vcpu(&self) {
        self.target().immediate_exit = std::ptr::null();
    }

    /// Notes which thread runs the vCPU: the one that a kick must signal.
    pub(crate) fn is_run_by(&self, thread: libc::pid_t) {
        self.target().thread = thread;
    }
}

impl Kick for Kicker {
    fn kick(&self) {
        self.is_set.store(true, Ordering::SeqCst);
        let target = self.target();
        // SAFETY: the pointer is null, or to a byte of the run structure's mapping, which lives as long as the pointer is
        // set. The kernel reads the byte, too, so that it is written atomically.
        let Some(immediate_exit) = (unsafe { target.immediate_exit.as_ref() }) else { return };
        immediate_exit.store(1, Ordering::SeqCst);
        if let (1.., Ok(process)) = (target.thread, libc::pid_t::try_from(std::process::id())) {
            // SAFETY: a signal to a thread of this process. If the thread has ended, the call fails.
            unsafe { libc::syscall(libc::SYS_tgkill, process, target.thread, kick_signal()) };
        }
    }
}

/// Returns the run structure's `immediate_exit`, as both threads must access it.
fn immediate_exit(vcpu: &mut VcpuFd) -> *const AtomicU8 {
    (&raw mut vcpu.get_kvm_run().immediate_exit).cast_const().cast()
}

/// Sets the run structure's `immediate_exit`.
pub(crate) fn set_immediate_exit(vcpu: &mut VcpuFd, value: bool) {
    // SAFETY: the byte is in a mapping that lives as long as the vCPU. A kick may store to it at the same time, so that it
    // is written atomically.
    unsafe { &*immediate_exit(vcpu) }.store(value.into(), Ordering::SeqCst);
}

/// Returns the calling thread, as the kernel numbers it. glibc gives the handle of a thread that has ended to the next,
/// so that `pthread_self` does not tell threads apart.
pub(crate) fn this_thread() -> libc::pid_t {
    thread_local! {
        // SAFETY: gettid has no preconditions.
        static THREAD: libc::pid_t = unsafe { libc::gettid() };
    }
    THREAD.with(|&thread| thread)
}

/// The signal that interrupts `KVM_RUN`.
fn kick_signal() -> libc::c_int {
    libc::SIGRTMIN()
}

/// Gives the kick's signal a handler that does nothing, unless the program has set a handler already.
pub(crate) fn install_handler() -> io::Result<()> {
    extern "C" fn kicked(_signal: libc::c_int) {}
    // SAFETY: sigaction is a plain C structure, for which all-zero is valid: no flags (so no SA_RESTART), an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = kicked as extern "C" fn(libc::c_int) as libc::sighandler_t;
    let mut before = action;
    // SAFETY: the call only writes the present action to `before`.
    if unsafe { libc::sigaction(kick_signal(), std::ptr::null(), &raw mut before) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if ![libc::SIG_DFL, libc::SIG_IGN].contains(&before.sa_sigaction) {
        return Ok(());
    }
    // SAFETY: the action is initialised, and its handler does nothing, which is safe at any point of the program.
    match unsafe { libc::sigaction(kick_signal(), &raw const action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
