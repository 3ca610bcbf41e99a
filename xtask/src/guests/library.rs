//! The library of guests: `core` and `alloc`, which nobody ships for our targets. They are compiled once for each
//! target and kept in the user's cache, for guests, their tests and other workspaces alike.
//!
//! Cargo's `-Zbuild-std` compiles them, for an empty crate. Their files become a folder for rustc's `--sysroot`.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::mode::Mode;
use crate::base::output::{note, short};
use crate::base::store::{self, Store};
use crate::base::{cache, files};
use crate::cargo::{self, Verbosity};
use crate::workspace::{self, Artifact};
use crate::{error::Error, toolchain::Toolchain};

const NAME: &str = "guest library";

/// The crates that cargo builds, of which guests use the first two.
const CRATES: [&str; 3] = ["core", "alloc", "compiler_builtins"];

/// The folders with their source.
const SOURCES: [&str; 5] = ["core", "alloc", "compiler-builtins", "stdarch", "portable-simd"];

const ARGUMENTS: [&str; 4] = [
    "-Zbuild-std=core,alloc,compiler_builtins",
    "-Zbuild-std-features=compiler-builtins-mem",
    "-Zjson-target-spec",
    "--profile=guest",
];

const MANIFEST: &str =
    "[package]\nname = \"library\"\nedition = \"2024\"\n\n[lib]\npath = \"lib.rs\"\n\n[workspace]\n";

/// The number of libraries for one target. A library in use is among them: others would have to be made meanwhile.
const KEPT: usize = 2;

/// A compiled library, for one target.
#[derive(Debug)]
pub(crate) struct Library {
    /// The folder for rustc's `--sysroot`.
    pub(crate) sysroot: PathBuf,
}

impl Library {
    /// Finds the library for this toolchain and mode, or compiles it.
    pub(crate) fn obtain(toolchain: &Toolchain, mode: Mode) -> Result<Library, Error> {
        let folder = folder()?.join(mode.target());
        let sysroot = obtain(&folder, &inputs(toolchain, mode)?, |work, tree| {
            note(format_args!("{NAME}: compiling core and alloc for {}; this is done once", mode.target()));
            compile(toolchain, mode, work, &libraries(tree, mode))
        })?;
        Ok(Library { sysroot })
    }

    /// Returns true if the cache has a library for this mode's target, perhaps of another compiler.
    pub(crate) fn is_there(mode: Mode) -> bool {
        let folder = folder().map(|folder| folder.join(mode.target()));
        folder.is_ok_and(|folder| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()))
    }

    /// Returns advice for a library that rustc cannot read, which is not a guest's fault.
    pub(crate) fn if_damaged(&self) -> String {
        let folder = short(&self.sysroot);
        format!(
            "\nif it names `core` or `alloc`, the compiled library is damaged: {folder}\n  \
             try: remove it and run this again: xtask compiles it again"
        )
    }
}

/// Describes all libraries in the cache; nothing if there is none.
pub(crate) fn describe_all() -> Option<String> {
    let folder = folder().ok()?;
    let size = files::size(&folder).ok().filter(|bytes| *bytes > 0)?.div_ceil(1_000_000);
    Some(format!("{} ({size} MB; if you remove it, the next build makes it again)", short(&folder)))
}

fn folder() -> Result<PathBuf, Error> {
    Ok(cache::folder_or_error()?.join("guest-library"))
}

/// Finds the library that was made of these inputs, or makes it with `make`, which gets a folder to work in and the
/// folder of the library.
fn obtain(
    folder: &Path,
    inputs: &str,
    make: impl FnOnce(&Path, &Path) -> Result<(), Error>,
) -> Result<PathBuf, Error> {
    let store = Store::in_folder(folder.into(), &format!("{:016x}", hash(inputs)));
    let find = || store.find().ok().filter(|(_, stamp)| stamp == inputs);
    if let Some((found, _)) = find() {
        store.mark_as_used();
        return Ok(found);
    }
    files::create_folder(folder)?;
    let _lock = files::lock(&folder.join("lock"), NAME)?;
    // Another xtask may have made it meanwhile.
    if let Some((found, _)) = find() {
        return Ok(found);
    }
    let unfinished = store.begin()?;
    make(&unfinished.work, &unfinished.tree)?;
    let made = unfinished.finish(inputs)?;
    store::keep_last_used(folder, KEPT);
    Ok(made)
}

/// Returns everything that the library is made of, as text: a library of other inputs is another library.
fn inputs(toolchain: &Toolchain, mode: Mode) -> Result<String, Error> {
    let compiler = toolchain.sysroot.describe_compiler().map_err(Error::cannot_run)?;
    let source = toolchain.sysroot.library();
    let mut text = format!("{compiler}\n{} {:016x}\n", source.display(), source_hash(&source)?);
    for file in [vec![mode.target_file()], mode.library_configuration()].concat() {
        text += &fs::read_to_string(&file).map_err(Error::file("read", &file))?;
    }
    Ok(text + &ARGUMENTS.join(" "))
}

/// Hashes the names, sizes and times of the source's files. All are read only to compile them.
fn source_hash(library: &Path) -> Result<u64, Error> {
    let mut hasher = DefaultHasher::new();
    for folder in SOURCES.map(|name| library.join(name)) {
        hash_files(&folder, &mut hasher).map_err(Error::file("read", &folder))?;
    }
    Ok(hasher.finish())
}

fn hash_files(folder: &Path, hasher: &mut DefaultHasher) -> std::io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_type()?.is_dir() {
            hash_files(&entry.path(), hasher)?;
            continue;
        }
        let metadata = entry.metadata()?;
        (entry.path(), metadata.len(), metadata.modified()?).hash(hasher);
    }
    Ok(())
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// The folder in which rustc looks for the libraries of a target.
fn libraries(sysroot: &Path, mode: Mode) -> PathBuf {
    sysroot.join("lib/rustlib").join(mode.target()).join("lib")
}

fn compile(toolchain: &Toolchain, mode: Mode, work: &Path, to: &Path) -> Result<(), Error> {
    files::replace(&work.join("Cargo.toml"), MANIFEST.as_bytes())?;
    files::replace(&work.join("lib.rs"), b"#![no_std]\n")?;
    let mut built = Vec::new();
    let mut command = command(toolchain, mode, work);
    let status = cargo::run(&mut command, Verbosity::Quiet, |line| {
        let artifact = Artifact::parse(line).filter(|it| CRATES.contains(&it.target.name.as_str()));
        built.extend(artifact.into_iter().flat_map(|it| it.filenames).filter(|it| is_library(it)));
    })?;
    if !status.is_success() {
        return Err(Error::cannot_run(format_args!(
            "`core` does not compile for {}; cargo says why above{}",
            mode.target(),
            toolchain.if_core_is_damaged()
        )));
    }
    if built.len() != CRATES.len() {
        return Err(Error::bug(format_args!("cargo built {built:?}, not the crates {}", CRATES.join(", "))));
    }
    files::create_folder(to)?;
    let mut built = built.iter();
    built.try_for_each(|file| {
        let name = file.file_name().unwrap_or_default();
        fs::rename(file, to.join(name)).map_err(Error::file("move", file))
    })
}

/// Cargo runs in Guestlab's folder, where the pinned toolchain is the active one.
fn command(toolchain: &Toolchain, mode: Mode, work: &Path) -> Command {
    let mut command = cargo::for_guests(&workspace::root());
    command.args(["build", "--quiet", "--message-format", "json-render-diagnostics"]).args(ARGUMENTS);
    for file in mode.library_configuration() {
        command.arg("--config").arg(file);
    }
    command.arg("--target").arg(mode.target_file());
    command.arg("--manifest-path").arg(work.join("Cargo.toml")).arg("--target-dir").arg(work.join("target"));
    // In images the toolchain's folder has this name, so that they are the same wherever the toolchain is.
    let renamed = format!("--remap-path-prefix={}=/rust", toolchain.sysroot.path().display());
    command.env("CARGO_ENCODED_RUSTFLAGS", renamed);
    toolchain.prepare(&mut command, mode.target());
    command
}

fn is_library(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "rlib")
}

#[cfg(test)]
#[path = "library_tests.rs"]
mod tests;
