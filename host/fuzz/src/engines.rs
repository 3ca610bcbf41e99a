//! The engines, for the targets that run guests.

use std::{
    iter,
    path::Path,
    sync::{
        Arc, OnceLock,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

use guestlab::{
    cpu::{Engine, Kick},
    kvm::Kvm,
};
use guestlab_soft::Soft;

/// Returns KVM, opened once, or `None` on a machine without it.
pub fn kvm() -> Option<Arc<dyn Engine>> {
    static KVM: OnceLock<Option<Arc<dyn Engine>>> = OnceLock::new();
    KVM.get_or_init(|| Some(Arc::new(Kvm::open(Path::new(Kvm::DEVICE), None).ok()?))).clone()
}

/// Returns the interpreter.
pub fn soft() -> Arc<dyn Engine> {
    Arc::new(Soft)
}

/// Returns the interpreter, and KVM on a machine that has it.
pub fn all() -> impl Iterator<Item = Arc<dyn Engine>> {
    iter::once(soft()).chain(kvm())
}

/// Regular interruptions of a CPU, until this is dropped.
pub struct Kicks(#[expect(dead_code, reason = "the thread ends when it is dropped")] Sender<()>);

impl Kicks {
    /// Starts a thread that makes the CPU return once in each interval.
    pub fn every(interval: Duration, kick: Arc<dyn Kick>) -> Self {
        let (over, is_over) = mpsc::channel();
        thread::spawn(move || {
            while is_over.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                kick.kick();
            }
        });
        Self(over)
    }
}
