//! `guestlab doctor`: shows that this machine can run guests, by running one on each engine.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use guest_abi::{
    layout::{DEFAULT_MEMORY, IMAGE_BASE},
    mode::CpuMode,
};

use guestlab_cpu::{CpuState, Engine, Exit, Until};

use crate::{
    engines::Choice,
    kvm::{self, Kvm, module_name},
    lab::{error::Error, needs::Needs},
    output,
    process::{
        jail::{self, Jail},
        watchdog::Watchdog,
    },
    runlog::text::escape_line,
    soft::Soft,
    vmm::MemoryLayout,
};

/// A guest: a loop of two instructions, an exit, a loop around an exit, and the end.
#[rustfmt::skip]
const GUEST: [u8; 15] = [
    0xB9, 0, 0, // mov cx, 0
    0x49, // dec cx
    0x75, 0xFD, // jnz back to it
    0xE6, 0x81, // out 0x81, al
    0xB1, ROUNDS, // mov cl, 250
    0xE6, 0x80, // out 0x80, al
    0xE2, 0xFC, // loop back to it
    0xF4, // hlt
];

/// The instructions of the guest before its first exit.
const INSTRUCTIONS: u32 = 1 + 2 * 0x1_0000;

/// The exits of the guest behind its first, without the last.
const ROUNDS: u8 = 250;

/// The time limit of the guest.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Prints a line for each check of the engines that are chosen.
///
/// # Errors
///
/// [`Error::Doctor`] if none of them works.
pub fn run(choice: Choice, device: &Path) -> Result<(), Error> {
    let kvm = if choice == Choice::Soft { Vec::new() } else { kvm(device) };
    let mut soft = if choice == Choice::Kvm { Vec::new() } else { vec![("soft", examine(&Soft))] };
    let works = |findings: &[(&str, Finding)]| !findings.is_empty() && findings.iter().all(|it| it.1.is_ok());
    // The jail is tried once.
    if works(&soft) && !works(&kvm) {
        soft.push(("jail", try_jail(&Soft)));
    }
    let outcome = if works(&kvm) || works(&soft) { Ok(()) } else { Err(Error::Doctor) };
    let label = if outcome.is_ok() { "note" } else { "FAIL" };
    let mut findings = [kvm.as_slice(), soft.as_slice()].concat();
    if choice == Choice::Auto && outcome.is_ok() {
        let takes = if works(&kvm) { "kvm, and soft for modes that it lacks" } else { "soft" };
        findings.push(("engine", Ok(format!("--engine auto takes {takes}"))));
    }
    findings.iter().try_for_each(|(what, finding)| output::line(&line(what, finding, label)))?;
    outcome
}

/// The result of a check, or the problem and the way to mend it.
type Finding = Result<String, String>;

/// Checks KVM. Each check needs those before it, so nothing follows a failure.
fn kvm(device: &Path) -> Vec<(&'static str, Finding)> {
    let mut findings = vec![("device", find_device(device))];
    if findings[0].1.is_err() {
        return findings;
    }
    findings.push(("module", Ok(find_module())));
    let kvm = match Kvm::open(device, None) {
        Ok(kvm) => kvm,
        Err(error) => {
            findings.push(("kvm", Err(error.to_string())));
            return findings;
        }
    };
    let finding = examine(&kvm);
    let works = finding.is_ok();
    findings.push(("kvm", finding));
    if works {
        findings.push(("jail", try_jail(&kvm)));
    }
    findings
}

/// Runs the guest, and describes the engine: its modes, and what it costs.
fn examine(engine: &dyn Engine) -> Finding {
    let Measured { loops, exits } = run_guest(engine, &Jail::Open)?;
    let mut modes = Vec::new();
    for mode in CpuMode::ALL {
        if engine.runs(mode).map_err(|error| error.to_string())? {
            modes.push(mode.name());
        }
    }
    let rate = f64::from(INSTRUCTIONS) / loops.as_secs_f64() / 1e6;
    let exit = exits.as_nanos() / u128::from(ROUNDS);
    let exit = if exit < 1000 { format!("{exit} ns") } else { format!("{:.1} us", exit as f64 / 1e3) };
    let modes = modes.join(", ");
    Ok(format!("runs guests in modes {modes}; {rate:.1} million instructions a second, {exit} an exit"))
}

/// The times of the guest's two loops.
struct Measured {
    loops: Duration,
    exits: Duration,
}

fn find_device(device: &Path) -> Finding {
    match kvm::find_device(device) {
        Ok(()) => Ok(format!("{} is there", device.display())),
        Err(error) => Err(error.to_string()),
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
fn try_jail(engine: &dyn Engine) -> Finding {
    if let Some(absence) = jail::absence() {
        return Ok(absence.into());
    }
    let jail = Jail::new(true);
    jail.prepare(output::warn_lines).map_err(|error| error.to_string())?;
    let thread = || run_guest(engine, &jail).map(drop);
    let outcome = std::thread::scope(|scope| scope.spawn(thread).join());
    outcome.unwrap_or_else(|_| Err("its thread panicked; please report it".into()))?;
    Ok("guests run with the system calls that they need".into())
}

/// Creates a VM and a vCPU, and runs the guest in it.
fn run_guest(engine: &dyn Engine, jail: &Jail) -> Result<Measured, String> {
    let error = |error: &dyn std::fmt::Display| format!("{error}; look into the kernel's log (dmesg)");
    let memory = MemoryLayout::guarded(DEFAULT_MEMORY).map_err(|e| error(&e))?;
    let mut cpu = engine.create(&memory.plan()).map_err(|e| error(&e))?;
    cpu.memory_mut().write(IMAGE_BASE.into(), &GUEST).map_err(|e| error(&e))?;
    let entry = u16::try_from(IMAGE_BASE).map_err(|e| error(&e))?;
    cpu.set_state(&CpuState::real(entry)).map_err(|e| error(&e))?;
    let watchdog = Watchdog::start_in(jail, TIMEOUT).map_err(|e| error(&e))?;
    jail.enter(&Needs::default().on(engine.name()).thread())
        .map_err(|e| format!("it cannot be entered ({e}); --no-seccomp runs guests without it"))?;
    let registration = watchdog.watch_this_thread(None);
    let began = Instant::now();
    let (mut looped, mut rounds) = (None, 0);
    loop {
        match cpu.run(Until::Exit).map_err(|e| error(&e))? {
            Exit::Interrupted if registration.expiry().is_some() => {
                return Err(error(&"the guest does not end"));
            }
            Exit::Interrupted => {}
            Exit::Out { port: 0x81, .. } if looped.is_none() => looped = Some(Instant::now()),
            Exit::Out { port: 0x80, .. } if looped.is_some() && rounds < ROUNDS => rounds += 1,
            Exit::Halt { .. } if rounds == ROUNDS => break,
            other => return Err(error(&format!("a guest of two loops left with {other:?}"))),
        }
    }
    let looped = looped.unwrap_or(began);
    Ok(Measured { loops: looped - began, exits: looped.elapsed() })
}

/// Returns a line such as `ok    device: /dev/kvm is there`. `label` begins a failure.
fn line(what: &str, finding: &Finding, label: &str) -> String {
    match finding {
        Ok(detail) => format!("ok    {what}: {}", escape_line(detail)),
        // The errors' own words say how to mend it, after a colon or a semicolon.
        Err(detail) => match escape_line(detail).split_once([':', ';']) {
            Some((problem, mend)) => format!("{label}  {what}: {problem}\n      mend: {}", mend.trim()),
            None => format!("{label}  {what}: {}", escape_line(detail)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_device_is_a_failure_with_its_mending() {
        let findings = kvm(Path::new("/dev/no-such-kvm"));
        let (what, finding) = &findings[0];
        let line = line(what, finding, "FAIL");
        assert!(
            line.starts_with("FAIL  device: /dev/no-such-kvm is not there\n      mend: load KVM's module"),
            "{line}"
        );
        assert!(findings.len() == 1, "nothing else can be tried");
    }

    #[test]
    fn a_file_that_is_no_device_is_a_failure() {
        let findings = kvm(Path::new("/etc/passwd"));
        assert!(
            line("device", &findings[0].1, "FAIL").starts_with("FAIL  device: /etc/passwd is not a device\n")
        );
    }
}
