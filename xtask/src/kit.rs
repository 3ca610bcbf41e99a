//! The kit for guests in C: a folder with all that they need, for people without Rust.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::base::files::{create_folder, remove_folder};
use crate::guests::{BootLibrary, Build, Catalog, Mode};
use crate::host::{Host, Profile};
use crate::toolchain::Toolchain;
use crate::{error::Error, workspace::Workspace};

/// The guests in a kit: the other side of the exchange for a guest in C.
const GUESTS: [&str; 2] = ["guest-producer", "guest-consumer"];

/// Files of Guestlab's folder, and their places in a kit.
const COPIES: [(&str, &str); 9] = [
    ("guest-rt/c/kit/README.md", "README.md"),
    ("guest-rt/c/kit/guestlab.mk", "guestlab.mk"),
    ("guest-rt/c/kit/Makefile", "example/Makefile"),
    ("guest-rt/c/examples/hello.c", "example/hello.c"),
    ("guest-rt/c/examples/producer.c", "example/producer.c"),
    ("guest-rt/c/examples/consumer.c", "example/consumer.c"),
    ("guest-rt/include/guestlab.h", "include/guestlab.h"),
    ("guest-rt/include/guestlab_abi.h", "include/guestlab_abi.h"),
    ("guest-rt/include/guestlab_printf.h", "include/guestlab_printf.h"),
];

/// The commands in these files, as they are typed in the kit's folder `example`.
const COMMANDS: [(&str, &str); 4] = [
    ("cargo xtask run", "../bin/guestlab run"),
    ("cargo xtask explore", "../bin/guestlab explore"),
    ("first-producer", "producer.elf"),
    ("first-consumer", "consumer.elf"),
];

/// Makes a kit: all of it, or nothing.
pub(crate) fn make(workspace: &Workspace, toolchain: &Toolchain, folder: &Path) -> Result<(), Error> {
    if folder.symlink_metadata().is_ok() {
        return Err(Error::bad_input(format_args!(
            "{} exists already, and a kit is a new folder: name another, or delete this one",
            folder.display()
        )));
    }
    let mut aside = folder.as_os_str().to_owned();
    aside.push(format!(".new-{}", std::process::id()));
    let aside = PathBuf::from(aside);
    let made = fill(workspace, toolchain, &aside)
        .and_then(|()| fs::rename(&aside, folder).map_err(Error::file("make", folder)));
    made.inspect_err(|_| drop(remove_folder(&aside)))
}

fn fill(workspace: &Workspace, toolchain: &Toolchain, kit: &Path) -> Result<(), Error> {
    for (from, to) in COPIES {
        let from = workspace.root.join(from);
        let text = fs::read_to_string(&from).map_err(Error::file("read", &from))?;
        let is_example = to.starts_with("example");
        let commands = COMMANDS.iter().filter(|_| is_example);
        write(&kit.join(to), commands.fold(text, |text, (old, new)| text.replace(old, new)).as_bytes())?;
    }
    copy(Host::build(workspace, Profile::Release)?.binary(), &kit.join("bin/guestlab"))?;
    let catalog = Catalog::of(workspace);
    for mode in Mode::value_variants() {
        let build = Build::new(workspace, toolchain, *mode);
        for image in build.run(&catalog.select(&GUESTS.map(String::from))?)? {
            let name = image.path.file_name().unwrap_or_default();
            copy(&image.path, &kit.join("guests").join(name))?;
        }
        add_library(workspace, &build.boot_library()?, *mode, kit)?;
    }
    Ok(())
}

/// Adds the library of a mode, its compiler's flags, and the linker scripts, which are the same in all modes.
fn add_library(workspace: &Workspace, library: &BootLibrary, mode: Mode, kit: &Path) -> Result<(), Error> {
    let folder = kit.join("lib").join(mode.name());
    copy(&library.file, &folder.join("libguestlab.a"))?;
    write(&folder.join("flags"), flags(workspace, mode)?.as_bytes())?;
    for script in ["guest.ld", "layout.ld"] {
        copy(&library.scripts.join(script), &kit.join("link").join(script))?;
    }
    copy(&workspace.root.join("guest-rt/c/link/c.ld"), &kit.join("link/entry.ld"))
}

/// The compiler's flags, one on a line and without comments, as `@FILE` wants them.
fn flags(workspace: &Workspace, mode: Mode) -> Result<String, Error> {
    let mode = match mode {
        Mode::Real => "real",
        Mode::Protected | Mode::Paged => "protected",
        Mode::Long => "long",
    };
    let mut flags = String::new();
    for file in ["all", mode] {
        let path = workspace.root.join("guest-rt/c/flags").join(file);
        let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        let words = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        flags.extend(words.map(|word| format!("{word}\n")));
    }
    Ok(flags)
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    create_folder(to.parent().unwrap_or(to))?;
    fs::copy(from, to).map(drop).map_err(Error::file("write", to))
}

fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    create_folder(path.parent().unwrap_or(path))?;
    fs::write(path, content).map_err(Error::file("write", path))
}
