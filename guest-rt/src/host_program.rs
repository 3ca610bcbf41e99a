//! The `main` function of a guest that `cargo build` or `cargo run` built for this machine. It prints
//! the command to use instead. The linker takes it from here, because a guest defines no such symbol.

use std::{
    env, eprintln,
    path::{Path, PathBuf},
    string::{String, ToString},
};

/// The exit status for bad usage.
const BAD_USAGE: i32 = 2;

/// Guestlab's folder.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    let program = PathBuf::from(env::args_os().next().unwrap_or_default());
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    eprintln!("{}", advice(&program, package.as_deref()));
    BAD_USAGE
}

/// Returns the command to use instead of this program, which cargo may have run for a package.
fn advice(program: &Path, package: Option<&Path>) -> String {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    if program.parent().is_some_and(|folder| folder.ends_with("deps")) {
        return "these are tests of a guest, and run in virtual machines: cargo xtask test --guests"
            .to_string();
    }
    let root = Path::new(ROOT).canonicalize().unwrap_or_else(|_| ROOT.into());
    // Members lie directly in the workspace's folder. Another workspace may lie deeper in it.
    let typed = match package.filter(|package| package.parent() != Some(&root)) {
        Some(package) => std::format!(
            "in {}, cargo xtask run {name} --manifest-path {}",
            root.display(),
            package.join("Cargo.toml").display()
        ),
        None => std::format!("cargo xtask run {name}"),
    };
    std::format!("{name} is a guest, and runs in a virtual machine: {typed}")
}
