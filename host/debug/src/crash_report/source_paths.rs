//! The paths of sources in debug information: those of libraries, and those of guests.

/// The beginning of the paths of Rust's library in images. xtask gives this name to the toolchain's folder when it builds
/// them.
const LIBRARY: &str = "/rust";

/// The separators of paths, since an image may be built on Windows.
const SEPARATORS: [char; 2] = ['/', '\\'];

/// The folder of guest-rt in the paths of its source. In images of other workspaces cargo adds the version, as in
/// `guest-rt-0.1.0`.
const RUNTIME: &str = "guest-rt";

/// The folders below it that have sources for guests: its own, those of guest-abi, and of the runtime for C.
const OF_RUNTIME: [&str; 3] = ["src", "abi", "c"];

/// The folder of guest-abi in images of other workspaces, before the version.
const ABI: &str = "guest-abi";

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
    folders.any(|(folder, below)| {
        let is_runtime = is_crate(folder, RUNTIME) && OF_RUNTIME.contains(&below);
        is_runtime || below == "src" && is_crate(folder, ABI)
    })
}

/// Returns true if a folder has the name of a crate, with a version or without.
fn is_crate(folder: &str, name: &str) -> bool {
    let version = folder.strip_prefix(name);
    version.is_some_and(|it| it.is_empty() || it.starts_with('-') && it.contains('.'))
}

/// Returns true if a file belongs to Rust's library, or to a crate from outside of the workspace. Cargo names these in images by
/// their registry or repository, as in `index.crates.io-0123456789abcdef`, or by a version, as in `guest-rt-0.1.0/`.
pub(crate) fn is_of_dependency(file: &str) -> bool {
    let below = file.rsplit_once("/./").map_or(file, |(_, below)| below).trim_start_matches("./");
    let mut folders: Vec<&str> = below.split(SEPARATORS).collect();
    folders.pop();
    is_of_rust(below)
        || OF_LIBRARIES.iter().any(|part| below.contains(part))
        || folders.iter().any(|folder| is_hashed(folder))
        || folders.first().is_some_and(|folder| is_versioned(folder))
}

/// Parts of the paths of libraries' sources, in images that were not built by xtask.
const OF_LIBRARIES: [&str; 4] = ["/rustc/", "/rustlib/src/", "/registry/src/", "/git/checkouts/"];

fn is_hashed(folder: &str) -> bool {
    folder.rsplit_once('-').is_some_and(|(name, hash)| {
        !name.is_empty() && hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn is_versioned(folder: &str) -> bool {
    folder.match_indices('-').any(|(at, _)| {
        let parts: Vec<&str> = folder[at + 1..].splitn(3, '.').collect();
        parts.len() == 3 && parts.iter().all(|part| part.starts_with(|digit: char| digit.is_ascii_digit()))
    })
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
            "guest-rt/abi/src/ring.rs",
            "guest-abi-0.1.0/src/ring.rs",
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

    #[test]
    fn sources_of_dependencies_are_those_outside_of_the_workspace() {
        for file in [
            "/rust/library/core/src/panic.rs",
            "/rustc/ac68faa20/library/core/src/panic.rs",
            "/home/a/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/spin-0.12.3/src/mutex.rs",
            "index.crates.io-1949cf8c6b5b557f/log-0.4.35/src/lib.rs",
            "./index.crates.io-1949cf8c6b5b557f/spin-0.12.3/src/mutex.rs",
            "guest-rt-0.1.0/src/heap.rs",
            "./guest-abi-0.1.0-rc.1/src/ring.rs",
        ] {
            assert!(is_of_dependency(file), "{file}");
        }
        for file in [
            "./guest-rt/src/heap.rs",
            "/home/a/kernel/src/main.rs",
            "/rust/library/alloc/./demo/src/main.rs",
            "chapter-1.2/src/main.rs",
            "demo/src/log-1.2.3.rs",
        ] {
            assert!(!is_of_dependency(file), "{file}");
        }
    }
}
