//! `guestlab doctor`: shows that this machine can run guests, by running one.

use std::{fs, os::unix::fs::FileTypeExt, path::Path, time::Duration};

use guest_abi::layout::{DEFAULT_MEMORY, IMAGE_BASE};

use guestlab_cpu::{CpuState, Engine, Exit, Until, Values, Width};

use crate::{
    kvm::{Kvm, module_name},
    lab::{error::Error, needs::Needs},
    output,
    process::{jail::Jail, watchdog::Watchdog},
    runlog::text::escape_line,
    vmm::MemoryLayout,
};

/// A guest of two instructions: `out $0x80, %al` and `hlt`.
const TWO_INSTRUCTIONS: [u8; 3] = [0xE6, 0x80, 0xF4];

/// The time limit of two instructions.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Prints a line for each check.
///
/// # Errors
///
/// [`Error::Doctor`] if a check failed.
pub fn run(device: &Path) -> Result<(), Error> {
    let mut outcome = Ok(());
    for (what, finding) in findings(device) {
        output::line(&line(what, &finding))?;
        if finding.is_err() {
            outcome = Err(Error::Doctor);
        }
    }
    outcome
}

/// The result of a check, or the problem and the way to mend it.
type Finding = Result<String, String>;

/// Runs the checks in order. Each needs those before it, so nothing follows a failure.
fn findings(device: &Path) -> Vec<(&'static str, Finding)> {
    let mut findings = vec![("device", find_device(device)), ("module", Ok(find_module()))];
    if findings[0].1.is_err() {
        return findings;
    }
    let (finding, kvm) = match Kvm::open(device, None) {
        Ok(kvm) => (Ok("opened, API version 12".into()), Some(kvm)),
        Err(error) => (Err(error.to_string()), None),
    };
    findings.push(("KVM", finding));
    if let Some(kvm) = kvm {
        let finding = run_two_instructions(&kvm, &Jail::Open);
        let works = finding.is_ok();
        findings.push(("guest", finding));
        if works {
            findings.push(("jail", try_jail(&kvm)));
        }
    }
    findings
}

fn find_device(device: &Path) -> Finding {
    match fs::metadata(device) {
        Ok(metadata) if metadata.file_type().is_char_device() => Ok(format!("{} is there", device.display())),
        Ok(_) => Err(format!("{} is not a device; give the right one with --kvm", device.display())),
        Err(_) => Err(Kvm::open(device, None).err().map_or_else(String::new, |error| error.to_string())),
    }
}

fn find_module() -> String {
    match module_name() {
        Some(name) if name == "kvm_pvm" => {
            format!(
                "{name} (no virtualization hardware: guests are interpreted in every mode, and paged mode does not work)"
            )
        }
        Some(name) => name,
        None => "none of the usual ones; KVM may be built into the kernel".into(),
    }
}

/// Runs the same guest in a thread in the jail. The thread ends with the guest.
fn try_jail(kvm: &Kvm) -> Finding {
    let jail = Jail::new(true);
    if jail == Jail::Rights {
        return Ok("this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER): guests run without".into());
    }
    jail.prepare(output::warn_lines).map_err(|error| error.to_string())?;
    let thread = || run_two_instructions(kvm, &jail);
    let outcome = std::thread::scope(|scope| scope.spawn(thread).join());
    outcome.unwrap_or_else(|_| Err("its thread panicked; please report it".into()))?;
    Ok("guests run with the system calls that they need".into())
}

/// Creates a VM and a vCPU, and runs a guest in it.
fn run_two_instructions(kvm: &Kvm, jail: &Jail) -> Finding {
    let error = |error: &dyn std::fmt::Display| format!("{error}; look into the kernel's log (dmesg)");
    let memory = MemoryLayout::guarded(DEFAULT_MEMORY).map_err(|e| error(&e))?;
    let mut cpu = kvm.create(&memory.plan()).map_err(|e| error(&e))?;
    cpu.memory_mut().write(IMAGE_BASE.into(), &TWO_INSTRUCTIONS).map_err(|e| error(&e))?;
    let entry = u16::try_from(IMAGE_BASE).map_err(|e| error(&e))?;
    cpu.set_state(&CpuState::real(entry)).map_err(|e| error(&e))?;
    let watchdog = Watchdog::start_in(jail, TIMEOUT).map_err(|e| error(&e))?;
    jail.enter(&Needs::default().thread())
        .map_err(|e| format!("it cannot be entered ({e}); --no-seccomp runs guests without it"))?;
    let registration = watchdog.watch_this_thread(None);
    let mut exits = Vec::new();
    while exits.len() < 2 {
        match cpu.run(Until::Exit).map_err(|e| error(&e))? {
            Exit::Interrupted if registration.expiry().is_some() => {
                return Err(error(&"the guest does not end"));
            }
            Exit::Interrupted => {}
            exit => exits.push(exit),
        }
    }
    match &exits[..] {
        [Exit::Out { port: 0x80, width: Width::Byte, values: Values::One(_) }, Exit::Halt { .. }] => {
            Ok("a VM, a vCPU and a guest of two instructions work".into())
        }
        other => Err(error(&format!("a guest of two instructions left with {other:?}"))),
    }
}

/// Returns a line such as `ok    device: /dev/kvm is there`.
fn line(what: &str, finding: &Finding) -> String {
    match finding {
        Ok(detail) => format!("ok    {what}: {}", escape_line(detail)),
        // The errors' own words say how to mend it, after a colon or a semicolon.
        Err(detail) => match escape_line(detail).split_once([':', ';']) {
            Some((problem, mend)) => format!("FAIL  {what}: {problem}\n      mend: {}", mend.trim()),
            None => format!("FAIL  {what}: {}", escape_line(detail)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_device_is_a_failure_with_its_mending() {
        let findings = findings(Path::new("/dev/no-such-kvm"));
        let (what, finding) = &findings[0];
        let line = line(what, finding);
        assert!(
            line.starts_with("FAIL  device: /dev/no-such-kvm is not there\n      mend: load KVM's module"),
            "{line}"
        );
        assert!(findings.len() == 2, "nothing else can be tried");
    }

    #[test]
    fn a_file_that_is_no_device_is_a_failure() {
        let findings = findings(Path::new("/etc/passwd"));
        assert!(line("device", &findings[0].1).starts_with("FAIL  device: /etc/passwd is not a device\n"));
    }
}
