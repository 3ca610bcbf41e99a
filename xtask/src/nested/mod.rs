//! The nested machine: a small Linux in an emulated PC, whose KVM behaves as that of an AMD
//! machine, whatever this one has.
//!
//! QEMU's own emulation has AMD's virtualization with nested paging, so that `kvm-amd` loads there
//! and every CPU mode runs, 32-bit paging included. Two things are less than real: segment limits
//! are not checked, and times mean nothing.
//!
//! The machine has no disk. Its files are packed into an archive that Linux unpacks at boot: a
//! busybox, KVM's modules, the programs to run with their libraries, a C compiler for those that want
//! one, and a script, [`plan`], that
//! the first process (`init.sh`) follows. What the programs print comes out through virtual serial
//! ports, and so does the report of how each of them ended.

mod archive;
mod linux;
mod machine;
mod plan;
mod programs;

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use archive::Contents;
use linux::Linux;
use machine::{Machine, Qemu};
use plan::{Plan, Report};
use programs::Programs;

use crate::base::output;
use crate::error::Error;
use crate::error::Status;
use crate::guests::Image;
use crate::workspace::Workspace;

/// What the machine is made of, apart from what runs in it.
#[derive(Debug)]
pub(crate) struct Parts {
    linux: Linux,
    qemu: Qemu,
}

impl Parts {
    /// Finds the parts, and fetches what is missing.
    pub(crate) fn obtain() -> Result<Parts, Error> {
        Ok(Parts { qemu: Qemu::obtain()?, linux: Linux::obtain()? })
    }
}

/// Runs the host's tests in the machine; the words go to each of the test programs. The status is
/// that of the first program that failed.
pub(crate) fn test(
    workspace: &Workspace,
    parts: &Parts,
    images: &[Image],
    words: &[String],
) -> Result<Status, Error> {
    let programs = Programs::build(workspace)?;
    let folder = workspace.target.join("nested");
    fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
    let _lock = lock(&folder)?;
    let archive = folder.join("initramfs.cpio");
    let folder_of_tests = workspace.test_images();
    let tests = images.iter().map(|image| image.path.as_path()).filter(|it| it.starts_with(&folder_of_tests));
    let plan = Plan::new(&programs, &workspace.images, &tests.collect::<Vec<_>>(), words);
    pack(&archive, &contents(parts, &programs, images, &plan)?)?;
    let report = Machine::start(&parts.qemu, &parts.linux, &archive, &folder)?.run_to_the_end()?;
    Ok(conclude(&report))
}

/// The archive and the ports' files are at fixed places, for one run at a time.
fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("lock");
    let file = File::create(&path).map_err(Error::file("create", &path))?;
    if file.try_lock().is_err() {
        output::note("nested machine: another xtask is running it; waiting");
        file.lock().map_err(Error::file("lock", &path))?;
    }
    Ok(file)
}

/// All files of the machine. The programs and the images keep the paths they have here: tests are
/// compiled with them.
fn contents(parts: &Parts, programs: &Programs, images: &[Image], plan: &Plan) -> Result<Contents, Error> {
    let mut contents = Contents::new();
    contents.folder("/tmp").folder(&programs.folder);
    contents.text("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
    contents.text("/init", include_str!("init.sh")).text("/plan.sh", &plan.script(&parts.linux.modules()?));
    contents.file("/bin/busybox", &parts.linux.busybox);
    for module in parts.linux.modules()? {
        contents.file(plan::module_path(&module), &module);
    }
    let compiler = programs::compiler();
    let binaries: Vec<&Path> = programs.binaries().chain(compiler.iter().map(PathBuf::as_path)).collect();
    let libraries = programs::libraries(&binaries)?;
    let own_place = binaries.into_iter().chain(images.iter().map(|image| image.path.as_path()));
    for path in own_place.chain(libraries.iter().map(PathBuf::as_path)) {
        contents.file(path, path);
    }
    // What tests read at run time is beside them.
    contents.tree(&programs.folder.join("tests"))?;
    Ok(contents)
}

fn pack(archive: &Path, contents: &Contents) -> Result<(), Error> {
    let file = File::create(archive).map_err(Error::file("create", archive))?;
    contents.pack(BufWriter::new(file), archive)
}

fn conclude(report: &Report) -> Status {
    for failure in report.failures() {
        output::error(&format_args!("{failure}, in the nested machine"));
    }
    report.status()
}
