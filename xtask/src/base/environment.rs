//! The environment variables that a child process inherits.
//!
//! Cargo runs xtask and sets variables that describe xtask. Users have variables that are meant for programs of
//! this machine. Neither may change a guest's image.

use std::process::Command;

/// Variables that cargo sets for the program that it runs. They are wrong for another cargo.
const SET_BY_CARGO: &str = "CARGO_MAKEFLAGS MAKEFLAGS MFLAGS OUT_DIR NUM_JOBS TARGET HOST PROFILE OPT_LEVEL";
const SET_BY_CARGO_PREFIXES: [&str; 4] = ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_BIN_", "CARGO_CRATE_"];

/// The only `CARGO*` and `RUST*` variables for a build of guests: folders, network, terminal. None of them changes
/// an image.
const HARMLESS: [&str; 5] = ["CARGO", "CARGO_HOME", "RUST_BACKTRACE", "RUST_LOG", "RUST_RECURSION_COUNT"];
const HARMLESS_PREFIXES: [&str; 5] = ["CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_TERM_", "RUSTUP_"];

pub(crate) fn scrub_for_host(command: &mut Command) {
    scrub(command, keep_for_host);
}

/// Removes every variable that could change a guest's image.
pub(crate) fn scrub_for_guests(command: &mut Command) {
    scrub(command, keep_for_guests);
}

fn scrub(command: &mut Command, keep: fn(&str) -> bool) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| !name.to_str().is_some_and(keep)) {
        command.env_remove(name);
    }
}

fn keep_for_host(name: &str) -> bool {
    !SET_BY_CARGO.split(' ').any(|other| other == name) && !starts_with_one_of(name, &SET_BY_CARGO_PREFIXES)
}

fn keep_for_guests(name: &str) -> bool {
    let suspect = starts_with_one_of(name, &["CARGO", "RUST", "__CARGO", "CLIPPY_"]);
    let harmless = HARMLESS.contains(&name) || starts_with_one_of(name, &HARMLESS_PREFIXES);
    keep_for_host(name) && (harmless || !suspect)
}

fn starts_with_one_of(name: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_do_not_see_variables_that_change_images() {
        for name in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "RUSTDOCFLAGS",
            "CARGO_ENCODED_RUSTDOCFLAGS",
            "RUSTC",
            "RUSTDOC",
            "RUSTC_WRAPPER",
            "RUSTC_WORKSPACE_WRAPPER",
            "RUSTC_BOOTSTRAP",
            "RUSTC_LINKER",
            "CARGO_BUILD_TARGET",
            "CARGO_BUILD_RUSTFLAGS",
            "CARGO_TARGET_DIR",
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER",
            "CARGO_PROFILE_RELEASE_LTO",
            "CARGO_UNSTABLE_BUILD_STD",
            "CARGO_INCREMENTAL",
            "CARGO_MAKEFLAGS",
            "MAKEFLAGS",
            "MFLAGS",
            "CARGO_MANIFEST_DIR",
            "CARGO_MANIFEST_PATH",
            "CARGO_PKG_NAME",
            "OUT_DIR",
            "NUM_JOBS",
            "TARGET",
            "HOST",
            "PROFILE",
            "OPT_LEVEL",
            "__CARGO_TEST_ROOT",
            "CLIPPY_ARGS",
        ] {
            assert!(!keep_for_guests(name), "{name} reaches the guests");
        }
    }

    #[test]
    fn guests_see_variables_that_a_build_needs() {
        for name in [
            "PATH",
            "HOME",
            "CARGO",
            "CARGO_HOME",
            "CARGO_HTTP_PROXY",
            "CARGO_NET_OFFLINE",
            "CARGO_REGISTRY_DEFAULT",
            "CARGO_REGISTRIES_MINE_INDEX",
            "CARGO_TERM_COLOR",
            "RUSTUP_HOME",
            "RUSTUP_TOOLCHAIN",
            "RUST_BACKTRACE",
            "TMPDIR",
        ] {
            assert!(keep_for_guests(name), "{name} does not reach the guests");
        }
    }

    #[test]
    fn the_host_keeps_the_users_variables_but_not_those_about_xtask() {
        assert!(keep_for_host("RUSTFLAGS") && keep_for_host("CARGO_PROFILE_RELEASE_LTO"));
        assert!(!keep_for_host("CARGO_MANIFEST_DIR") && !keep_for_host("CARGO_PKG_VERSION"));
    }
}
