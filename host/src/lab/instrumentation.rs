//! The debugger or tracer of a run's VMs.

use crate::{
    debug::{gdb, trace},
    kvm::System,
    lab::{error::Error, needs::Needs},
    vmm::machine::Machine,
};

/// The debugger or tracer of a run's VMs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Instrumentation {
    /// Neither.
    #[default]
    None,
    /// gdb, for one VM.
    Gdb(gdb::Plan),
    /// A tracer, for all VMs.
    Trace(trace::Plan),
}

impl Instrumentation {
    /// Returns the needs for further system calls.
    pub fn needs(&self) -> Needs {
        match self {
            Self::None => Needs::default(),
            Self::Trace(_) => Needs { steps: true, ..Needs::default() },
            Self::Gdb(plan) => Needs {
                steps: true,
                gdb: true,
                gdb_file: matches!(plan.address, gdb::Address::Unix(_)),
                ..Needs::default()
            },
        }
    }

    /// Attaches the debugger or tracer to the machines of a run.
    ///
    /// # Errors
    ///
    /// This machine cannot step guests, or gdb's address is not available.
    pub fn attach(&self, system: &System, machines: Vec<Machine>) -> Result<Vec<Machine>, Error> {
        match self {
            Self::None => Ok(machines),
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
