//! Several observers as one.

use std::{fmt, sync::Arc};

use guestlab_cpu::{Calls, Exit};
use guestlab_vmm::{GuestSpan, Observer, Origin};

/// Several observers of machines.
pub struct Observers(Vec<Arc<dyn Observer>>);

impl Observers {
    /// Returns these observers as one, or `None` if there are none.
    pub fn of(mut all: Vec<Arc<dyn Observer>>) -> Option<Arc<dyn Observer>> {
        match all.len() {
            0 | 1 => all.pop(),
            _ => Some(Arc::new(Self(all))),
        }
    }
}

impl Calls for Observers {
    fn call(&self, name: &str, purpose: fmt::Arguments<'_>) {
        self.0.iter().for_each(|observer| observer.call(name, purpose));
    }
}

impl Observer for Observers {
    fn begins(&self, vm: u32, name: &str) {
        self.0.iter().for_each(|observer| observer.begins(vm, name));
    }

    fn exit(&self, origin: Origin<'_>, exit: &Exit) {
        self.0.iter().for_each(|observer| observer.exit(origin, exit));
    }

    fn span(&self, vm: u32, span: GuestSpan) {
        self.0.iter().for_each(|observer| observer.span(vm, span));
    }
}
