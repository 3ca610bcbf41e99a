//! The paths of sources in debug information: those of libraries, and those of guests.

/// The beginning of the paths of Rust's library in images. xtask gives this name to the toolchain's folder when it builds
/// them.
const LIBRARY: &str = "/rust/";

/// A part of the paths of guest-rt's own source.
const RUNTIME: &str = "guest-rt/src/";

/// Returns true if a file belongs to Rust's library or to guest-rt, and not to a guest.
pub fn is_of_a_library(file: &str) -> bool {
    is_of_rust(file) || is_of_runtime(file)
}

/// Returns true if a file belongs to Rust's library.
pub(super) fn is_of_rust(file: &str) -> bool {
    file.starts_with(LIBRARY)
}

/// Returns true if a file belongs to guest-rt.
pub(super) fn is_of_runtime(file: &str) -> bool {
    file.contains(RUNTIME)
}
