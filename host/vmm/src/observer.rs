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

    /// The guest of VM `vm` left. `is_foreign` is true for an image that was not built with guest-rt.
    fn exit(&self, vm: u32, exit: &Exit, is_foreign: bool) {
        let _ = (vm, exit, is_foreign);
    }

    /// The guest's exit was served.
    fn span(&self, vm: u32, span: GuestSpan) {
        let _ = (vm, span);
    }
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
