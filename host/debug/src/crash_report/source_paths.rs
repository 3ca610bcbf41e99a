//! The paths of sources in debug information: those of libraries, and those of guests.

/// The beginning of the paths of Rust's library in images. xtask gives this name to the toolchain's folder when it builds
/// them.
const LIBRARY: &str = "/rust";

/// The separators of paths, since an image may be built on Windows.
const SEPARATORS: [char; 2] = ['/', '\\'];

/// The folder of guest-rt in the paths of its source. In images of other workspaces cargo adds the version, as in
/// `guest-rt-0.1.0`.
const RUNTIME: &str = "guest-rt";

/// Returns true if a file belongs to Rust's library or to guest-rt, and not to a guest.
pub fn is_of_a_library(file: &str) -> bool {
    is_of_rust(file) || is_of_runtime(file)
}

/// Returns true if a file belongs to Rust's library.
pub(super) fn is_of_rust(file: &str) -> bool {
    file.strip_prefix(LIBRARY).is_some_and(|below| below.starts_with(SEPARATORS))
}

/// Returns true if a file belongs to guest-rt.
pub(super) fn is_of_runtime(file: &str) -> bool {
    let mut folders = file.split(SEPARATORS).zip(file.split(SEPARATORS).skip(1));
    folders.any(|(folder, below)| below == "src" && is_runtime(folder))
}

fn is_runtime(folder: &str) -> bool {
    let version = folder.strip_prefix(RUNTIME);
    version.is_some_and(|it| it.is_empty() || it.starts_with('-') && it.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_the_runtime_are_known_in_every_workspace() {
        for file in [
            "guest-rt/src/heap.rs",
            "./guest-rt/src/boot/start.rs",
            "guest-rt-0.1.0/src/heap.rs",
            r"guest-rt\src\heap.rs",
        ] {
            assert!(is_of_runtime(file), "{file}");
        }
        for file in [
            "guest-rt/examples/dice.rs",
            "demo/src/main.rs",
            "my-guest-rt/src/main.rs",
            "guest-rt-demo/src/a.rs",
        ] {
            assert!(!is_of_runtime(file), "{file}");
        }
        for file in ["/rust/library/core/src/panic.rs", r"/rust\library\core\src\panic.rs"] {
            assert!(is_of_rust(file), "{file}");
        }
        assert!(!is_of_rust("/rusty/src/main.rs"));
    }
}
