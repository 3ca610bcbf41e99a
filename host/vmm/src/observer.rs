//! The trait of observers: `--explain` and the timeline observe a machine through it.

use std::time::Instant;

use guestlab_cpu::{Calls, Exit};

use crate::stats::Reason;

/// An observer of machines. The machine itself prints nothing.
pub trait Observer: Calls {
    /// A run of VM `vm` begins, up to the guest's next stop.
    fn begins(&self, vm: u32, name: &str) {
        let _ = (vm, name);
    }

    /// A guest left.
    fn exit(&self, origin: Origin<'_>, exit: &Exit) {
        let _ = (origin, exit);
    }

    /// The guest's exit was served.
    fn span(&self, vm: u32, span: GuestSpan) {
        let _ = (vm, span);
    }
}

/// The guest that an exit comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The engine's name.
    pub engine: &'a str,
    /// The VM's number, from 1.
    pub vm: u32,
    /// The image was not built with guest-rt.
    pub is_foreign: bool,
}

/// The time from one guest entry to its exit.
#[derive(Clone, Copy, Debug)]
pub struct GuestSpan {
    /// The reason of the exit; `None` for an exit that the guest did not cause.
    pub reason: Option<Reason>,
    /// The time of the entry.
    pub entered: Instant,
    /// The time of the exit.
    pub left: Instant,
}
