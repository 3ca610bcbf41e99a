//! In which order kernel modules are loaded, by the kernel's own list of what needs what.

use std::collections::BTreeSet;

/// Reads `modules.dep` and returns the files of these modules and of all that they need, those
/// that are needed first; or else the name of the module that is not in the list.
pub(crate) fn order<'a>(modules_dep: &'a str, wanted: &[&'a str]) -> Result<Vec<&'a str>, &'a str> {
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for name in wanted {
        let (module, needs) = find(modules_dep, name).ok_or(*name)?;
        // The list has, on a module's line, all that it needs, the last to be loaded first.
        let needs = needs.split_whitespace().rev();
        order.extend(needs.chain([module]).filter(|file| seen.insert(*file)));
    }
    Ok(order)
}

fn find<'a>(modules_dep: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let lines = modules_dep.lines().filter_map(|line| line.split_once(':'));
    lines.into_iter().find(|(file, _)| is(file, name))
}

/// Says whether this is the file of the module. Newer kernels' are compressed; and a name may be
/// written with `-` or with `_`.
fn is(file: &str, name: &str) -> bool {
    let base = file.rsplit('/').next().unwrap_or(file);
    let stem = base.split_once(".ko").map_or(base, |(stem, _)| stem);
    stem.replace('_', "-") == name.replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "\
kernel/virt/lib/irqbypass.ko:
kernel/arch/x86/kvm/kvm.ko: kernel/virt/lib/irqbypass.ko
kernel/arch/x86/kvm/kvm-amd.ko: kernel/drivers/crypto/ccp.ko kernel/arch/x86/kvm/kvm.ko kernel/virt/lib/irqbypass.ko
kernel/drivers/virtio/virtio.ko.xz:
kernel/drivers/virtio/virtio_pci.ko.xz: kernel/drivers/virtio/virtio.ko.xz
";

    #[test]
    fn what_is_needed_comes_first_and_nothing_twice() {
        let order = order(DEP, &["virtio-pci", "kvm", "kvm-amd"]).unwrap();
        let names: Vec<&str> = order.iter().map(|it| it.rsplit('/').next().unwrap()).collect();
        let expected = ["virtio.ko.xz", "virtio_pci.ko.xz", "irqbypass.ko", "kvm.ko", "ccp.ko", "kvm-amd.ko"];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_module_that_is_not_there_is_named() {
        assert_eq!(order(DEP, &["kvm", "kvm-intel"]), Err("kvm-intel"));
    }
}
