//! The setup of a new machine, and its vCPU.

use std::sync::Arc;

use guest_abi::mode::CpuMode;
use guestlab_cpu::{Cpu, Engine, EngineError};

use crate::{
    image::{Image, Start},
    memory::MemoryLayout,
    observer::Observer,
    services::HvaPolicy,
};

/// The engine and the options of a new machine.
#[derive(Clone)]
pub struct Setup {
    /// The engine that executes the guest.
    pub engine: Arc<dyn Engine>,
    /// The policy for host virtual addresses.
    pub hva: HvaPolicy,
    /// The observer of calls and exits, if there is one.
    pub observer: Option<Arc<dyn Observer>>,
    /// The statistics have the times of exits, and not only their number. An exit takes two readings of the clock for
    /// them. An observer needs times, and has them.
    pub times: bool,
}

impl Setup {
    /// Returns a setup with an engine and the times of exits, and nothing else.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, hva: HvaPolicy::Deny, observer: None, times: true }
    }
}

/// Creates the VM for an image, with this layout of its memory. Its CPU has the features that the image needs.
///
/// # Errors
///
/// The engine failed.
pub fn create_cpu(
    engine: &dyn Engine,
    image: &Image,
    memory: MemoryLayout,
) -> Result<Box<dyn Cpu>, EngineError> {
    match image.needs_features() {
        true => engine.create(&memory.plan()),
        false => engine.create_without_features(&memory.plan()),
    }
}

/// Returns a description of the pages that the host fills for an image, if it does so.
pub(super) fn host_pages(image: &Image) -> Option<&'static str> {
    match image.start() {
        Start::Boot { .. } => Some("the boot information: memory, number and seed, for the guest to read"),
        Start::Direct { mode: CpuMode::Paged | CpuMode::Long, .. } => {
            Some("page tables that map every address to itself, behind the guest's memory")
        }
        Start::Direct { .. } => None,
        Start::Multiboot { .. } => {
            Some("the boot information of Multiboot, in a page that the image does not take")
        }
    }
}
