//! The machine of a measurement, without which a figure says little.

use std::{fs, path::Path, process::Command};

use serde::{Deserialize, Serialize};

use crate::base::process;

const KVM_MODULES: [&str; 3] = ["kvm_intel", "kvm_amd", "kvm_pvm"];

const UNKNOWN: &str = "unknown";

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) governor: String,
    /// True if this machine is itself a VM.
    pub(crate) nested: bool,
    pub(crate) kernel: String,
    pub(crate) kvm: String,
    pub(crate) gcc: String,
    /// The load averages over one, five and fifteen minutes, before and after.
    pub(crate) load: Vec<String>,
}

impl Machine {
    pub(crate) fn here() -> Machine {
        let cpus = read("/proc/cpuinfo");
        let field = |name: &str| cpu_field(&cpus, name).map(str::to_owned);
        let has_hypervisor = |flags: String| flags.split(' ').any(|flag| flag == "hypervisor");
        let modules = KVM_MODULES.iter().filter(|name| Path::new("/sys/module").join(name).exists());
        let gcc = process::output(Command::new("gcc").arg("-dumpfullversion"));
        Machine {
            cpu: or_unknown(field("model name").unwrap_or_default()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            governor: or_unknown(read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
            nested: field("flags").is_some_and(has_hypervisor),
            kernel: or_unknown(read("/proc/sys/kernel/osrelease")),
            kvm: or_unknown(modules.copied().collect::<Vec<_>>().join(", ")),
            gcc: or_unknown(gcc.unwrap_or_default()),
            load: vec![load()],
        }
    }

    pub(crate) fn lines(&self) -> Vec<(&'static str, String)> {
        let nested = if self.nested { "yes, this machine is a VM" } else { "no" };
        vec![
            ("CPU", format!("{}, {} cores, governor {}", self.cpu, self.cores, self.governor)),
            ("kernel", self.kernel.clone()),
            ("KVM", format!("{}; nested: {nested}", self.kvm)),
            ("gcc", self.gcc.clone()),
            ("load", format!("{} (over 1, 5 and 15 minutes)", self.load.join("; at the end "))),
        ]
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn or_unknown(text: String) -> String {
    let text = text.trim();
    if text.is_empty() { UNKNOWN } else { text }.to_owned()
}

/// A field of the first CPU, from lines such as `model name : AMD EPYC`.
fn cpu_field<'a>(cpus: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = cpus.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.trim() == name).map(|(_, value)| value.trim())
}

pub(super) fn load() -> String {
    or_unknown(read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpus_fields_are_found_by_name() {
        let cpus =
            "processor\t: 0\nmodel name\t: A CPU @ 3 GHz\nflags\t\t: fpu hypervisor\n\nprocessor\t: 1\n";
        assert_eq!(cpu_field(cpus, "model name"), Some("A CPU @ 3 GHz"));
        assert_eq!(cpu_field(cpus, "flags"), Some("fpu hypervisor"));
        assert_eq!(cpu_field(cpus, "bogomips"), None);
    }

    #[test]
    fn every_machine_has_a_kernel_and_a_core() {
        let machine = Machine::here();
        assert!(machine.cores >= 1 && machine.kernel != UNKNOWN, "{machine:?}");
    }
}
