//! The nested machine: a small Linux in an emulated PC, whose KVM behaves as on an AMD machine.
//!
//! QEMU emulates AMD's virtualization with nested paging. So `kvm-amd` loads there and every CPU mode runs, 32-bit
//! paging included. Two things differ from hardware: segment limits are not checked, and times mean nothing.
//!
//! The machine has no disk. Linux unpacks its files from an archive at boot: a busybox, KVM's modules, the programs
//! to run with their libraries, a C compiler, and a script ([`plan`]) for the first process (`init.sh`). The output of
//! the programs and the report come out through virtual serial ports.

mod archive;
mod linux;
mod machine;
mod plan;
mod programs;

use std::io::BufWriter;
use std::path::{Path, PathBuf};

use archive::{Contents, Item};
use linux::Linux;
use machine::Qemu;
use plan::Plan;
use programs::{Programs, Test};

use crate::base::{files, output};
use crate::error::{Error, Status};
use crate::{guests::Image, workspace::Workspace};

#[derive(Debug)]
pub(crate) struct Parts {
    linux: Linux,
    qemu: Qemu,
}

impl Parts {
    pub(crate) fn obtain() -> Result<Parts, Error> {
        Ok(Parts { qemu: Qemu::obtain()?, linux: Linux::obtain()? })
    }
}

/// Runs the host's tests in the machine, each program with these words, and returns the status of the first that
/// failed.
pub(crate) fn test(
    workspace: &Workspace,
    parts: &Parts,
    images: &[Image],
    words: &[String],
) -> Result<Status, Error> {
    let programs = Programs::build(workspace)?;
    let folder = workspace.target.join("nested");
    files::create_folder(&folder)?;
    // The archive and the files of ports have fixed places.
    let _lock = files::lock(&folder.join("lock"), "nested machine")?;
    let archive = folder.join("initramfs.cpio");
    let test_images = workspace.test_images();
    let tests = images.iter().map(|image| image.path.as_path()).filter(|it| it.starts_with(&test_images));
    let plan = Plan::new(&programs, &workspace.images, &tests.collect::<Vec<_>>(), words);
    let contents = contents(parts, &programs, images, &plan)?;
    contents.pack(BufWriter::new(files::create(&archive)?), &archive)?;
    let report = machine::run(&parts.qemu, &parts.linux, &archive, &folder)?;
    for failure in report.failures() {
        output::error(&format_args!("{failure}, in the nested machine"));
    }
    Ok(report.status())
}

/// All files of the machine, also those that tests read. Programs and images keep their paths, which are in tests.
fn contents(parts: &Parts, programs: &Programs, images: &[Image], plan: &Plan) -> Result<Contents, Error> {
    let mut contents = Contents::default();
    let modules = parts.linux.modules()?;
    let texts = [
        ("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n".to_owned()),
        ("/etc/group", "root:x:0:\n".to_owned()),
        ("/init", include_str!("init.sh").to_owned()),
        ("/plan.sh", plan.script(&modules)),
    ];
    for (path, text) in texts {
        contents.add(Path::new(path), Item::Text(text));
    }
    contents.add(Path::new("/tmp"), Item::Folder);
    for Test { folder, .. } in &programs.tests {
        contents.add(folder, Item::Folder);
        if folder.join("tests").is_dir() {
            contents.tree(&folder.join("tests"))?;
        }
    }
    contents.file(Path::new("/bin/busybox"), &parts.linux.busybox);
    for module in modules {
        contents.file(&plan::module_path(&module), &module);
    }
    let compiler = programs::compiler();
    let binaries: Vec<&Path> = programs.binaries().chain(compiler.iter().map(PathBuf::as_path)).collect();
    let libraries = programs::libraries(&binaries)?;
    let own_place = binaries.into_iter().chain(images.iter().map(|image| image.path.as_path()));
    for path in own_place.chain(libraries.iter().map(PathBuf::as_path)) {
        contents.file(path, path);
    }
    Ok(contents)
}
