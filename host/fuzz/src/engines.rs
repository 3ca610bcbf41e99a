//! KVM, for the targets that run guests.

use std::{path::Path, sync::OnceLock};

use guestlab::{debug::explain::Explain, kvm::System};

/// KVM, opened once; `None` where there is none.
pub fn system() -> Option<&'static System> {
    static SYSTEM: OnceLock<Option<System>> = OnceLock::new();
    SYSTEM.get_or_init(|| System::open(Path::new("/dev/kvm"), Explain::default()).ok()).as_ref()
}
