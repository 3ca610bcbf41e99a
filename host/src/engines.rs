//! The engines of this program, and the choice among them. Every run gets its engine here.

use std::{ops::Range, path::Path, sync::Arc};

use clap::ValueEnum;
use guest_abi::mode::CpuMode;
use guestlab_cpu::{Calls, Cpu, DebugFeatures, Engine, EngineError, MemoryPlan};

use crate::{
    debug::{explain::Explain, observers::Observers, timeline::Timeline},
    kvm::{Kvm, module_name},
    lab::{error::Error, vm::Platform},
    output,
    soft::Soft,
    vmm::Observer,
};

/// The choice of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// KVM where it works and has the guest's mode, otherwise the interpreter, with a note.
    Auto,
    /// KVM, the processor's own virtualization.
    Kvm,
    /// The interpreter, a CPU that is a program.
    Soft,
}

/// Opens the engine of a run. `device` is KVM's device. `explains` and `timeline` choose the observers of its machines.
///
/// # Errors
///
/// KVM was asked for by name, and this machine has none that works.
pub fn open(
    choice: Choice,
    device: &Path,
    explains: bool,
    timeline: Option<&Timeline>,
) -> Result<Platform, Error> {
    let calls = explains.then(|| Arc::new(Explain) as Arc<dyn Calls>);
    let mut observers: Vec<Arc<dyn Observer>> = Vec::new();
    if explains {
        observers.push(Arc::new(Explain));
    }
    if let Some(timeline) = timeline {
        observers.push(Arc::new(timeline.clone()));
    }
    let observer = Observers::of(observers);
    let soft = || interpreter(explains);
    Ok(match choice {
        Choice::Soft => Platform::new(soft(), observer),
        Choice::Kvm => Platform::new(Arc::new(Kvm::open(device, calls)?), observer),
        Choice::Auto => match working(device, calls) {
            Ok(kvm) => Platform::new(Arc::new(kvm), observer).with_fallback(soft(), warn_of_mode),
            Err(reason) => {
                output::warn(&format!("KVM does not work here ({reason}): {INTERPRETED}"));
                Platform::new(soft(), observer)
            }
        },
    })
}

/// Returns the interpreter. With `explains`, each VM that it makes is explained.
fn interpreter(explains: bool) -> Arc<dyn Engine> {
    match explains {
        true => Arc::new(Explained),
        false => Arc::new(Soft),
    }
}

/// The interpreter, whose VMs are explained as they are made: it makes no calls that say it.
struct Explained;

impl Engine for Explained {
    fn name(&self) -> &str {
        Soft.name()
    }

    fn create(&self, memory: &MemoryPlan) -> Result<Box<dyn Cpu>, EngineError> {
        for Range { start, end } in &memory.ranges {
            let purpose = "pages of this program are the guest's memory, each from its first write on";
            Explain.call("memory", format_args!("{purpose}: from {start:#x} to {end:#x}"));
        }
        Explain.call("cpu", format_args!("a CPU that is a program, in its state after reset"));
        Soft.create(memory)
    }

    fn runs(&self, mode: CpuMode) -> Result<bool, EngineError> {
        Soft.runs(mode)
    }

    fn debug_features(&self, mode: CpuMode) -> Result<DebugFeatures, EngineError> {
        Soft.debug_features(mode)
    }
}

const INTERPRETED: &str = "the interpreter runs the guests (--engine soft), and times are its own";

/// Opens KVM and runs an instruction: a device that opens may still run nothing. An observer sees the calls of the run
/// only, and not those of this trial.
fn working(device: &Path, calls: Option<Arc<dyn Calls>>) -> Result<Kvm, String> {
    let kvm = Kvm::open(device, None).map_err(|error| first_line(&error))?;
    match kvm.runs(CpuMode::Real) {
        Ok(true) if calls.is_some() => Kvm::open(device, calls).map_err(|error| first_line(&error)),
        Ok(true) => Ok(kvm),
        Ok(false) => Err("it runs no instruction".into()),
        Err(error) => Err(first_line(&error)),
    }
}

/// Returns the problem without the advice.
fn first_line(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    text.split(['\n', ';', ':']).next().unwrap_or_default().into()
}

fn warn_of_mode() {
    let module = module_name().unwrap_or_else(|| "KVM".into());
    output::warn(&format!("{module} here has no paged mode: {INTERPRETED}"));
}
