//! A runner that ends a guest after a number of instructions: the same in each run, which no clock is.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    cpu::{EngineError, Until},
    debug::runner::{Runner, Watch},
    vmm::{Console, Expiry, Halt, Machine},
};

/// The most instructions between two looks at the clock: about a millisecond.
const SLICE: u64 = 1 << 18;

/// The number of instructions after which a guest is ended.
#[derive(Clone, Default)]
pub(super) struct Budget(Arc<AtomicU64>);

impl Budget {
    pub(super) fn set(&self, most: u64) {
        self.0.store(most, Ordering::Relaxed);
    }
}

impl Runner for Budget {
    fn run(
        &mut self,
        machine: &mut Machine,
        watch: &dyn Watch,
        console: &mut Console<'_>,
    ) -> Result<Halt, EngineError> {
        machine.begin();
        loop {
            let Some(left) = machine.left(self.0.load(Ordering::Relaxed)) else {
                return Ok(Halt::Expired(Expiry::Run));
            };
            if let ControlFlow::Break(halt) = machine.enter(Until::Count(left.min(SLICE)), watch, console)? {
                return Ok(halt);
            }
        }
    }
}
