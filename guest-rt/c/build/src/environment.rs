//! The build that a script belongs to, and the place of this package.

use std::{env, path::Path};

/// A variable that cargo sets for build scripts.
pub(crate) fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// The folder `guest-rt`, which contains this package's.
pub(crate) fn runtime() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own)
}
