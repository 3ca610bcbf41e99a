//! The build that a script belongs to, and the place of this package.

use std::{
    env,
    path::{Path, PathBuf},
};

/// A variable that cargo sets for build scripts.
pub(crate) fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// A place in the folder `guest-rt`, which contains this package's.
pub(crate) fn in_runtime(path: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).join(path)
}
