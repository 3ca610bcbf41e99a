//! The system calls of threads that run guests, beyond those of every worker.

#[cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), path = "needs/no_calls.rs")]
mod calls;

use calls::{EXPLORER, FOREIGN, GDB, GDB_FILE, GUEST, STEPS};

use crate::process::jail::Thread;

/// The features of a run that need further system calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
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
    /// Returns the kind of the threads that run guests with these needs.
    pub fn thread(self) -> Thread {
        let lists = [
            (true, GUEST),
            (self.explores, EXPLORER),
            (self.foreign, FOREIGN),
            (self.steps, STEPS),
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
        let all = Needs { explores: true, foreign: true, steps: true, gdb: true, gdb_file: true };
        assert!(program(&all.thread()).is_ok());
    }
}
