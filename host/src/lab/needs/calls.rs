//! The system calls of threads that run guests, by need.

use crate::{
    kvm::request,
    process::jail::calls::{Call, NOT_EXECUTABLE, Test::Is, any, ioctl, only, spare},
};

/// Calls of every thread that runs guests on KVM. The first is the most frequent.
pub(super) const KVM: &[Call] = &[
    ioctl("ioctl KVM_RUN", request::RUN),
    // The registers for a report and for the hypercall that translates an address; the guest's timer.
    ioctl("ioctl KVM_GET_REGS", request::GET_REGS),
    ioctl("ioctl KVM_GET_SREGS", request::GET_SREGS),
    ioctl("ioctl KVM_INTERRUPT", request::INTERRUPT),
];

/// Calls to KVM of the explorer, which resets VMs, and creates new ones after a crash.
pub(super) const KVM_EXPLORER: &[Call] = &[
    // For a KVM that does not take registers with an entry.
    spare(ioctl("ioctl KVM_SET_REGS", request::SET_REGS)),
    spare(ioctl("ioctl KVM_SET_SREGS", request::SET_SREGS)),
    spare(ioctl("ioctl KVM_SET_VCPU_EVENTS", request::SET_VCPU_EVENTS)),
    ioctl("ioctl KVM_GET_XSAVE", request::GET_XSAVE),
    ioctl("ioctl KVM_SET_XSAVE", request::SET_XSAVE),
    ioctl("ioctl KVM_SET_DEBUGREGS", request::SET_DEBUGREGS),
    ioctl("ioctl KVM_SET_MSRS", request::SET_MSRS),
    ioctl("ioctl KVM_CREATE_VM", request::CREATE_VM),
    ioctl("ioctl KVM_GET_VCPU_MMAP_SIZE", request::GET_VCPU_MMAP_SIZE),
    ioctl("ioctl KVM_CREATE_VCPU", request::CREATE_VCPU),
    ioctl("ioctl KVM_SET_USER_MEMORY_REGION", request::SET_USER_MEMORY_REGION),
    ioctl("ioctl KVM_SET_TSS_ADDR", request::SET_TSS_ADDR),
    ioctl("ioctl KVM_SET_CPUID2", request::SET_CPUID2),
    // The run structure of a vCPU.
    only(
        "mmap MAP_SHARED",
        libc::SYS_mmap,
        &[(2, NOT_EXECUTABLE), (3, Is(libc::MAP_SHARED.cast_unsigned()))],
    ),
];

/// Calls of the explorer.
pub(super) const EXPLORER: &[Call] = &[
    // The width of the terminal, for the line that shows progress.
    ioctl("ioctl TIOCGWINSZ", libc::TIOCGWINSZ),
    // Paths are shown and recorded relative to the current folder.
    any("getcwd", libc::SYS_getcwd),
];

/// Calls to KVM after a stop at a handler of the host: the guest continues at its own handler, or where it was.
pub(super) const KVM_FOREIGN: &[Call] =
    &[ioctl("ioctl KVM_SET_REGS", request::SET_REGS), ioctl("ioctl KVM_SET_SREGS", request::SET_SREGS)];

/// Calls to KVM for single steps and breakpoints. A guest that is stopped at a handler continues at its first instruction.
pub(super) const KVM_STEPS: &[Call] = &[
    ioctl("ioctl KVM_SET_GUEST_DEBUG", request::SET_GUEST_DEBUG),
    ioctl("ioctl KVM_SET_REGS", request::SET_REGS),
    // For guests that use the trap flag or debug registers themselves.
    spare(ioctl("ioctl KVM_GET_DEBUGREGS", request::GET_DEBUGREGS)),
    spare(ioctl("ioctl KVM_SET_DEBUGREGS", request::SET_DEBUGREGS)),
    spare(ioctl("ioctl KVM_GET_MSRS", request::GET_MSRS)),
];

/// Calls to KVM for gdb's changes of a guest.
pub(super) const KVM_GDB: &[Call] = &[ioctl("ioctl KVM_SET_XSAVE", request::SET_XSAVE)];

/// Calls to KVM that read the CPU's state as a whole, for gdb and for snapshots.
pub(super) const KVM_STATES: &[Call] = &[
    ioctl("ioctl KVM_GET_XSAVE", request::GET_XSAVE),
    ioctl("ioctl KVM_GET_VCPU_EVENTS", request::GET_VCPU_EVENTS),
    ioctl("ioctl KVM_GET_DEBUGREGS", request::GET_DEBUGREGS),
    ioctl("ioctl KVM_GET_MSRS", request::GET_MSRS),
];

/// Calls for the connection to gdb.
pub(super) const GDB: &[Call] = &[
    ioctl("ioctl FIONBIO", libc::FIONBIO),
    any("poll", libc::SYS_poll),
    any("accept4", libc::SYS_accept4),
    any("setsockopt", libc::SYS_setsockopt),
    any("recvfrom", libc::SYS_recvfrom),
];

/// The call that removes the file of gdb's socket.
pub(super) const GDB_FILE: &[Call] = &[any("unlink", libc::SYS_unlink)];
