//! Compiles the C files of a guest. Its build script says only this:
//!
//! ```no_run
//! guest_c_build::compile(&[]);
//! ```
//!
//! Each `.c`, `.s` and `.S` file in `src` becomes a part of the guest. `cc`, `gcc` or `clang` compiles it, or the compiler
//! that the variable `CC` names. The flags are those of `guest-rt/c/flags`, then the script's own, such as `-DITEMS=5`.
//! For this machine, where editors check guests, nothing is compiled.

mod compiler;
mod environment;
mod flags;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use compiler::Compiler;
use environment::{runtime, variable};

const FOLDER: &str = "src";

/// Compiles the C files of the package whose build script calls this, with these flags after Guestlab's own. Cargo prints
/// what the compiler reports. If that is an error, or there is no compiler, no guest is built.
pub fn compile(flags: &[&str]) {
    println!("cargo::rerun-if-changed={FOLDER}");
    println!("cargo::rerun-if-changed={}", runtime().join("include").display());
    println!("cargo::rerun-if-env-changed={}", compiler::VARIABLE);
    if variable("CARGO_CFG_TARGET_OS") != "none" {
        return;
    }
    match objects(flags) {
        Ok(objects) => {
            objects.iter().for_each(|object| println!("cargo::rustc-link-arg-bins={}", object.display()));
            println!("cargo::rustc-link-arg-bins=-T{}", runtime().join("c/link/c.ld").display());
        }
        Err(problem) => print("error", &problem),
    }
}

/// Compiles each source to an object file.
fn objects(flags: &[&str]) -> Result<Vec<PathBuf>, String> {
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(variable("OUT_DIR"));
    let sources =
        sources(&package.join(FOLDER)).map_err(|error| format!("{FOLDER} cannot be read: {error}"))?;
    if sources.is_empty() {
        return Err(format!("there is no C file in {}", package.join(FOLDER).display()));
    }
    let compiler = Compiler::find()?;
    let flags = flags::of_this_build(flags);
    let compile = |source: PathBuf| {
        let object = object(&out, &package, &source);
        let messages = compiler.compile(&flags, &source, &object)?;
        print("warning", &messages);
        Ok(object)
    };
    sources.into_iter().map(compile).collect()
}

/// Finds the sources in a folder and in those below it, in the order of their names.
fn sources(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let mut sources = Vec::new();
    for path in paths {
        if path.is_dir() {
            sources.extend(self::sources(&path)?);
        } else if path.extension().is_some_and(|it| it == "c" || it == "s" || it == "S") {
            sources.push(path);
        }
    }
    sources.sort();
    Ok(sources)
}

/// The object file of a source: `a.c` and `a.S` have two.
fn object(out: &Path, package: &Path, source: &Path) -> PathBuf {
    let name = source.strip_prefix(package).unwrap_or(source).to_string_lossy().replace('/', "-");
    out.join(name + ".o")
}

/// Prints each line through cargo.
fn print(level: &str, text: &str) {
    text.lines().for_each(|line| println!("cargo::{level}={line}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_found_in_folders_and_have_an_object_each() {
        let package = tempfile::tempdir().unwrap();
        fs::create_dir(package.path().join("ring")).unwrap();
        for name in ["main.c", "main.rs", "main.h", "main.S", "ring/main.c", "notes"] {
            fs::write(package.path().join(name), "").unwrap();
        }
        let found = sources(package.path()).unwrap();
        let names: Vec<PathBuf> = found.iter().map(|it| object(Path::new(""), package.path(), it)).collect();
        assert_eq!(names, ["main.S.o", "main.c.o", "ring-main.c.o"].map(PathBuf::from));
    }
}
