//! Who looks on while guests run.

use crate::{
    debug::{gdb, trace},
    kvm::System,
    lab::{error::Error, needs::Needs},
    vmm::machine::Machine,
};

/// Who looks on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Observe {
    /// Nobody.
    #[default]
    Nobody,
    /// gdb, at one VM.
    Gdb(gdb::Plan),
    /// A tracer, at all VMs.
    Trace(trace::Plan),
}

impl Observe {
    /// The system calls that it takes, beyond those of every run.
    pub fn needs(&self) -> Needs {
        match self {
            Self::Nobody => Needs::default(),
            Self::Trace(_) => Needs { steps: true, ..Needs::default() },
            Self::Gdb(plan) => Needs {
                steps: true,
                gdb: true,
                gdb_file: matches!(plan.address, gdb::Address::Unix(_)),
                ..Needs::default()
            },
        }
    }

    /// Lets the one who looks on at the machines of a run.
    ///
    /// # Errors
    ///
    /// This machine cannot do it, or gdb's address cannot be had.
    pub fn attach(&self, system: &System, machines: Vec<Machine>) -> Result<Vec<Machine>, Error> {
        match self {
            Self::Nobody => Ok(machines),
            Self::Trace(plan) => trace::traced(system, plan, machines),
            Self::Gdb(plan) => machines
                .into_iter()
                .map(|machine| match machine.vm() == plan.vm {
                    true => gdb::debugged(system, plan, machine),
                    false => Ok(machine),
                })
                .collect(),
        }
    }
}
