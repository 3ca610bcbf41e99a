//! The system calls of threads that run guests, beyond those of every worker.

#[cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), path = "needs/no_calls.rs")]
mod calls;

use guestlab_cpu::KVM as KVM_ENGINE;

use calls::{EXPLORER, GDB, GDB_FILE, KVM, KVM_EXPLORER, KVM_FOREIGN, KVM_GDB, KVM_STATES, KVM_STEPS};

use crate::{lab::vm::Vm, process::jail::Thread};

/// The features of a run that need further system calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// A guest runs on KVM. The interpreter makes no calls.
    pub kvm: bool,
    /// The whole state of a VM is read.
    pub states: bool,
    /// VMs are reset and created again.
    pub explores: bool,
    /// The guest is not built with guest-rt. The host's handlers of exceptions may stop it.
    pub foreign: bool,
    /// Guests are stepped.
    pub steps: bool,
    /// gdb is connected.
    pub gdb: bool,
    /// gdb's socket is a file, which is removed at the end.
    pub gdb_file: bool,
}

impl Needs {
    /// Returns these needs for a run of these VMs.
    #[must_use]
    pub fn of(self, machines: &[Vm]) -> Self {
        Self { kvm: machines.iter().any(|machine| machine.engine() == KVM_ENGINE), ..self }
    }

    /// Returns these needs for a run on these engines, as an event has them.
    #[must_use]
    pub fn on(self, engines: &str) -> Self {
        Self { kvm: engines.split(", ").any(|engine| engine == KVM_ENGINE), ..self }
    }

    /// Returns the kind of the threads that run guests with these needs.
    pub fn thread(self) -> Thread {
        let lists = [
            (self.kvm, KVM),
            (self.kvm && self.explores, KVM_EXPLORER),
            (self.kvm && self.foreign, KVM_FOREIGN),
            (self.kvm && self.steps, KVM_STEPS),
            (self.kvm && (self.gdb || self.states), KVM_STATES),
            (self.kvm && self.gdb, KVM_GDB),
            (self.explores, EXPLORER),
            (self.gdb, GDB),
            (self.gdb_file, GDB_FILE),
        ];
        Thread::Worker(lists.into_iter().filter(|(needed, _)| *needed).map(|(_, calls)| calls).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::jail::program;

    #[test]
    fn all_lists_together_are_a_filter() {
        let all = Needs {
            kvm: true,
            states: true,
            explores: true,
            foreign: true,
            steps: true,
            gdb: true,
            gdb_file: true,
        };
        assert!(program(&all.thread()).is_ok());
    }
}
