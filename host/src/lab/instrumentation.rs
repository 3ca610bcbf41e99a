//! The debugger or tracer of a run's VMs.

use guestlab_cpu::DebugFeatures;

use crate::{
    debug::{gdb, trace},
    kvm::module_name,
    lab::{
        error::Error,
        needs::Needs,
        vm::{Platform, Vm},
    },
};

/// The debugger or tracer of a run's VMs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Instrumentation {
    /// Neither.
    #[default]
    None,
    /// gdb, for one VM.
    Gdb(gdb::GdbConfig),
    /// A tracer, for all VMs.
    Trace(trace::TraceConfig),
}

impl Instrumentation {
    /// Returns the collector of instructions by call stack, if they are counted so.
    pub fn stacks(&self) -> Option<&trace::FoldedStacks> {
        match self {
            Self::Trace(config) => config.stacks.as_ref(),
            Self::None | Self::Gdb(_) => None,
        }
    }

    /// Returns the needs for further system calls, in a run of these VMs.
    pub fn needs(&self, machines: &[Vm]) -> Needs {
        let needs = match self {
            Self::None => Needs::default(),
            Self::Trace(_) => Needs { steps: true, ..Needs::default() },
            Self::Gdb(plan) => Needs {
                steps: true,
                gdb: true,
                gdb_file: matches!(plan.address, gdb::Address::Unix(_)),
                ..Needs::default()
            },
        };
        needs.of(machines)
    }

    /// Attaches the debugger or tracer to the VMs of a run.
    ///
    /// # Errors
    ///
    /// This machine cannot step guests, or gdb's address is not available.
    pub fn attach(&self, platform: &Platform, vms: Vec<Vm>) -> Result<Vec<Vm>, Error> {
        match self {
            Self::None => Ok(vms),
            Self::Trace(plan) => {
                vms.iter().try_for_each(|vm| features(platform, vm).map(drop))?;
                let has_many = vms.len() > 1;
                let lines = trace::Shared::open(plan)?;
                let traced = |vm: Vm| {
                    let label = if has_many { format!("VM {:<2} ", vm.vm()) } else { String::new() };
                    let name = match has_many {
                        true => format!("VM {}, {}", vm.vm(), vm.name()),
                        false => vm.name().into(),
                    };
                    let tracer = trace::tracer(plan, &lines, vm.origin().clone(), label, name);
                    vm.driven_by(tracer)
                };
                Ok(vms.into_iter().map(traced).collect())
            }
            Self::Gdb(plan) => vms
                .into_iter()
                .map(|vm| if vm.vm() == plan.vm { debugged(platform, plan, vm) } else { Ok(vm) })
                .collect(),
        }
    }
}

/// Puts a VM under gdb.
fn debugged(platform: &Platform, plan: &gdb::GdbConfig, vm: Vm) -> Result<Vm, Error> {
    let features = features(platform, &vm)?;
    // gdb refuses a flat binary, which has no symbols.
    let file = vm.origin().is_elf().then(|| vm.file());
    let runner = gdb::debugger(plan, &vm, features, file)?;
    Ok(vm.driven_by(runner))
}

/// Returns the abilities for a debugger in a VM's mode.
fn features(platform: &Platform, vm: &Vm) -> Result<DebugFeatures, Error> {
    let features = platform.debug_features(vm)?;
    match features.steps {
        true => Ok(features),
        false => {
            let module = module_name().unwrap_or_else(|| "of unknown kind".into());
            Err(Error::NoSteps { mode: vm.mode().name(), module })
        }
    }
}
