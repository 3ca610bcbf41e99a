//! Copies the linker scripts, and the addresses that they need from
//! `guest-abi`, to a folder on the search path of a guest's linker;
//! and tells this package its CPU mode.

use std::{env, fs, path::Path};

use guest_abi::{layout, mode::CpuMode};

const FOLDER: &str = "link";
const SCRIPTS: [&str; 2] = ["guest.ld", "entry.ld"];

fn main() -> std::io::Result<()> {
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts");
    let out = Path::new(&out);
    fs::write(out.join("layout.ld"), layout_include())?;
    for script in SCRIPTS {
        fs::copy(Path::new(FOLDER).join(script), out.join(script))?;
    }
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rerun-if-changed={FOLDER}");
    println!(r#"cargo::rustc-check-cfg=cfg(guestlab_mode, values("real", "protected", "paged", "long"))"#);
    if let Some(mode) = mode() {
        println!(r#"cargo::rustc-cfg=guestlab_mode="{}""#, mode.name());
    }
    Ok(())
}

/// Returns the CPU mode that the target stands for, with the feature `paged`. A
/// host has none. A flag for the compiler would make cargo build the libraries for each mode.
fn mode() -> Option<CpuMode> {
    match env::var("TARGET").ok()?.as_str() {
        "i386-guestlab-none-code16" => Some(CpuMode::Real),
        "i386-guestlab-none" if env::var_os("CARGO_FEATURE_PAGED").is_some() => Some(CpuMode::Paged),
        "i386-guestlab-none" => Some(CpuMode::Protected),
        "x86_64-guestlab-none" => Some(CpuMode::Long),
        _ => None,
    }
}

/// Returns the generated include file: a symbol for each address in `guest.ld`.
fn layout_include() -> String {
    let facts = [
        ("IMAGE_BASE", layout::IMAGE_BASE),
        ("REAL_MODE_END", layout::REAL_MODE_END),
        ("MAX_MEMORY", layout::MAX_MEMORY),
    ];
    let lines = facts.map(|(name, value)| format!("{name} = {value:#x};\n"));
    format!("/* Generated from guest_abi::layout by guest-rt/build.rs. */\n{}", lines.concat())
}
