//! The Linux of the nested machine: Debian's kernel for clouds, which is small and has KVM and virtio, and a busybox
//! that needs no libraries.

use std::path::{Path, PathBuf};
use std::{collections::BTreeSet, fs, process::Command};

use crate::debian::{self, Apt, Recipe, WITHOUT_DOCUMENTATION};
use crate::{base::output::short, base::process, error::Error};

const NEWEST_KERNEL: &str = "linux-image-cloud-amd64";
const BUSYBOX: &str = "busybox-static";

/// The modules to load: ports and KVM are not built into the kernel.
const MODULES: [&str; 3] = ["virtio_pci", "virtio_console", "kvm-amd"];

#[derive(Debug)]
pub(crate) struct Linux {
    pub(crate) kernel: PathBuf,
    pub(crate) busybox: PathBuf,
    module_folder: PathBuf,
}

impl Linux {
    pub(crate) fn obtain() -> Result<Linux, Error> {
        let copy = debian::obtain(&Copy);
        let linux = copy.and_then(|copy| Linux::in_tree(&copy).map_err(debian::does_not_work));
        linux.map_err(|error| {
            error.map(|reason| {
                format!(
                    "the nested machine's Linux (a kernel and a busybox of Debian's) cannot be fetched: {reason}\n\
                     it needs Debian's programs (apt, dpkg) and its archive; without them, run the tests on a \
                     machine with hardware KVM: cargo xtask test"
                )
            })
        })
    }

    /// Finds the parts. Debian's releases differ in the folder, `/` or `/usr`.
    fn in_tree(tree: &Path) -> Result<Linux, String> {
        let part = |name: &str, path: &str, find: fn(PathBuf) -> Option<PathBuf>| {
            let found = [tree.join(path), tree.join("usr").join(path)].into_iter().find_map(find);
            found.ok_or_else(|| format!("{} has no {name}", short(tree)))
        };
        Ok(Linux {
            kernel: part("kernel", "boot", |folder| entry(&folder, "vmlinuz-"))?,
            busybox: part("busybox", "bin/busybox", |file| file.is_file().then_some(file))?,
            module_folder: part("kernel modules", "lib/modules", |folder| entry(&folder, ""))?,
        })
    }

    /// The files of the modules, in the order of loading.
    pub(crate) fn modules(&self) -> Result<Vec<PathBuf>, Error> {
        let path = self.module_folder.join("modules.dep");
        let list = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        let order = load_order(&list, &MODULES).map_err(|name| {
            let path = short(&path);
            Error::cannot_run(format_args!("{path} has no module `{name}`, which the nested machine needs"))
        })?;
        Ok(order.into_iter().map(|file| self.module_folder.join(file)).collect())
    }

    /// Unpacks compressed modules, so that busybox can load them, and makes the kernel's list of dependencies.
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
        match package {
            BUSYBOX => &WITHOUT_DOCUMENTATION,
            _ => &["--exclude=./boot/System.map-*", "--exclude=./usr/share"],
        }
    }

    fn complete(&self, tree: &Path) -> Result<(), Error> {
        Linux::in_tree(tree).map_err(debian::does_not_work)?.prepare()
    }

    fn check(&self, copy: &Path) -> Result<(), String> {
        Linux::in_tree(copy)?.modules().map(drop).map_err(|error| error.to_string())
    }
}

fn entry(folder: &Path, start: &str) -> Option<PathBuf> {
    let mut entries = fs::read_dir(folder).ok()?.flatten();
    entries.find(|entry| entry.file_name().to_string_lossy().starts_with(start)).map(|entry| entry.path())
}

/// Reads `modules.dep` and returns the files of these modules and of all that they need, in the order of loading.
/// The error is the name of a module that is not in the list.
fn load_order<'a>(modules_dep: &'a str, wanted: &[&'a str]) -> Result<Vec<&'a str>, &'a str> {
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for name in wanted {
        let mut lines = modules_dep.lines().filter_map(|line| line.split_once(':'));
        let (module, needs) = lines.find(|(file, _)| is(file, name)).ok_or(*name)?;
        // A module's line has all that it needs. The last of them is loaded first.
        let needs = needs.split_whitespace().rev();
        order.extend(needs.chain([module]).filter(|file| seen.insert(*file)));
    }
    Ok(order)
}

/// Returns true for the file of the module. It may be compressed; `-` and `_` are the same in a name.
fn is(file: &str, name: &str) -> bool {
    let base = file.rsplit('/').next().unwrap_or(file);
    let stem = base.split_once(".ko").map_or(base, |(stem, _)| stem);
    stem.replace('_', "-") == name.replace('_', "-")
}

#[cfg(test)]
mod modules_tests {
    use super::*;

    const DEP: &str = "\
kernel/virt/lib/irqbypass.ko:
kernel/arch/x86/kvm/kvm.ko: kernel/virt/lib/irqbypass.ko
kernel/arch/x86/kvm/kvm-amd.ko: kernel/drivers/crypto/ccp.ko kernel/arch/x86/kvm/kvm.ko kernel/virt/lib/irqbypass.ko
kernel/drivers/virtio/virtio.ko.xz:
kernel/drivers/virtio/virtio_pci.ko.xz: kernel/drivers/virtio/virtio.ko.xz
";

    #[test]
    fn needed_modules_come_first_and_once() {
        let order = load_order(DEP, &["virtio-pci", "kvm", "kvm-amd"]).unwrap();
        let names: Vec<&str> = order.iter().map(|it| it.rsplit('/').next().unwrap()).collect();
        let expected = ["virtio.ko.xz", "virtio_pci.ko.xz", "irqbypass.ko", "kvm.ko", "ccp.ko", "kvm-amd.ko"];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_module_that_is_not_there_is_named() {
        assert_eq!(load_order(DEP, &["kvm", "kvm-intel"]), Err("kvm-intel"));
    }
}
