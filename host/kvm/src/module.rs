//! The kernel module behind KVM.

use std::ffi::OsStr;

/// Returns the name of the kernel module behind KVM: `kvm_intel`, `kvm_amd`, `kvm_pvm`. Returns `None` if none of them is
/// loaded, because they can be built into the kernel.
pub fn module_name() -> Option<String> {
    let modules = std::fs::read_dir("/sys/module").ok()?;
    let mut names: Vec<String> = modules
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| is_vendor_module(OsStr::new(name)))
        .collect();
    names.sort();
    (!names.is_empty()).then(|| names.join(", "))
}

fn is_vendor_module(name: &OsStr) -> bool {
    ["kvm_intel", "kvm_amd", "kvm_pvm"].iter().any(|module| name == *module)
}
