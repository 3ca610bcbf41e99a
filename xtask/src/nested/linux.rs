//! The Linux of the nested machine: Debian's kernel for clouds, which is small and has KVM and
//! virtio, and a busybox that needs no libraries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::modules;
use crate::debian::{self, Apt, Recipe, WITHOUT_DOCUMENTATION};
use crate::error::Error;
use crate::output::short;
use crate::process;

/// The package that depends on the newest kernel.
const NEWEST_KERNEL: &str = "linux-image-cloud-amd64";
const BUSYBOX: &str = "busybox-static";

/// What the machine needs beyond what is built into the kernel: the ports, and KVM.
const MODULES: [&str; 3] = ["virtio_pci", "virtio_console", "kvm-amd"];

/// The kernel and what goes with it.
#[derive(Debug)]
pub(crate) struct Linux {
    /// The kernel, as a boot loader takes it.
    pub(crate) kernel: PathBuf,
    /// The program that is shell and tools in one.
    pub(crate) busybox: PathBuf,
    /// The folder of the kernel's modules.
    module_folder: PathBuf,
}

impl Linux {
    /// Finds the private copy, and makes it if it must.
    pub(crate) fn obtain() -> Result<Linux, Error> {
        let copy = debian::obtain(&Copy);
        let linux = copy.and_then(|copy| Linux::in_tree(&copy).map_err(debian::does_not_work));
        linux.map_err(|error| {
            error.map(|why| {
                format!(
                    "the nested machine's Linux (a kernel and a busybox of Debian's) cannot be fetched: {why}\n\
                     it needs Debian's programs (apt, dpkg) and its archive; without them, run the tests on a \
                     machine with hardware KVM: cargo xtask test"
                )
            })
        })
    }

    /// Packages moved from `/` to `/usr` between Debian's releases: each part is looked for in both.
    fn in_tree(tree: &Path) -> Result<Linux, String> {
        let part = |name: &str, found: Option<PathBuf>| {
            found.ok_or_else(|| format!("{} has no {name}", short(tree)))
        };
        let either = |path: &str| [tree.join(path), tree.join("usr").join(path)];
        let kernel = either("boot").iter().find_map(|folder| entry(folder, "vmlinuz-"));
        let busybox = either("bin/busybox").into_iter().find(|file| file.is_file());
        let module_folder = either("lib/modules").iter().find_map(|folder| entry(folder, ""));
        Ok(Linux {
            kernel: part("kernel", kernel)?,
            busybox: part("busybox", busybox)?,
            module_folder: part("kernel modules", module_folder)?,
        })
    }

    /// The files of the modules to load, in this order.
    pub(crate) fn modules(&self) -> Result<Vec<PathBuf>, Error> {
        let path = self.module_folder.join("modules.dep");
        let list = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        let order = modules::order(&list, &MODULES);
        let order = order.map_err(|name| {
            Error::cannot_run(format_args!(
                "{} has no module `{name}`, which the nested machine needs",
                short(&path)
            ))
        })?;
        Ok(order.into_iter().map(|file| self.module_folder.join(file)).collect())
    }

    /// Makes the kernel's list of which module needs which, and unpacks those that are compressed,
    /// so that whatever loads them need not know how.
    fn prepare(&self) -> Result<(), Error> {
        let (Some(version), Some(root)) =
            (self.module_folder.file_name(), self.module_folder.ancestors().nth(3))
        else {
            return Ok(());
        };
        let mut unpack = Command::new(&self.busybox);
        unpack.arg("find").arg(&self.module_folder).args(["-name", "*.ko.xz", "-exec"]);
        process::output(unpack.arg(&self.busybox).args(["unxz", "{}", "+"]))?;
        let mut depmod = Command::new(&self.busybox);
        process::output(depmod.args(["depmod", "-b"]).arg(root).arg(version))?;
        Ok(())
    }
}

/// The recipe of the private copy.
#[derive(Debug)]
struct Copy;

impl Recipe for Copy {
    fn name(&self) -> &'static str {
        "nested linux"
    }

    fn choose(&self, apt: &Apt) -> Result<Vec<String>, Error> {
        let depends = apt.direct_dependencies(NEWEST_KERNEL)?;
        let kernel = depends.into_iter().find(|name| name.starts_with("linux-image-"));
        let kernel =
            kernel.ok_or_else(|| Error::cannot_run(format_args!("its {NEWEST_KERNEL} names no kernel")))?;
        Ok(vec![kernel, BUSYBOX.to_owned()])
    }

    fn selection(&self, package: &str) -> &'static [&'static str] {
        if package == BUSYBOX {
            &WITHOUT_DOCUMENTATION
        } else {
            &["--exclude=./boot/System.map-*", "--exclude=./usr/share"]
        }
    }

    fn complete(&self, tree: &Path) -> Result<(), Error> {
        Linux::in_tree(tree).map_err(debian::does_not_work)?.prepare()
    }

    fn check(&self, copy: &Path) -> Result<(), String> {
        Linux::in_tree(copy)?.modules().map(drop).map_err(|error| error.to_string())
    }
}

/// The first entry of a folder whose name begins so.
fn entry(folder: &Path, start: &str) -> Option<PathBuf> {
    let mut entries = fs::read_dir(folder).ok()?.flatten();
    entries.find(|entry| entry.file_name().to_string_lossy().starts_with(start)).map(|entry| entry.path())
}
