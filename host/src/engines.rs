//! The engines of this program. Every run gets its engine here.

use std::{path::Path, sync::Arc};

use crate::{
    cpu::Calls,
    debug::{explain::Explain, observers::Observers, timeline::Timeline},
    kvm::Kvm,
    lab::{error::Error, vm::Platform},
    vmm::Observer,
};

/// Opens KVM's device. `explains` and `timeline` choose the observers of its machines.
///
/// # Errors
///
/// This machine has no KVM that works.
pub fn kvm(device: &Path, explains: bool, timeline: Option<&Timeline>) -> Result<Platform, Error> {
    let calls = explains.then(|| Arc::new(Explain) as Arc<dyn Calls>);
    let mut observers: Vec<Arc<dyn Observer>> = Vec::new();
    if explains {
        observers.push(Arc::new(Explain));
    }
    if let Some(timeline) = timeline {
        observers.push(Arc::new(timeline.clone()));
    }
    let kvm = Kvm::open(device, calls)?;
    Ok(Platform::new(Arc::new(kvm), Observers::of(observers)))
}
