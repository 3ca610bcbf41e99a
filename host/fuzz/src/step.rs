//! Any code with any registers, stepped; and the same guest unstepped, where it ends alike. Nothing is done where
//! there is no KVM.

use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use guest_abi::{layout::PAGE_SIZE, mode::CpuMode};
use guestlab::{
    kvm::{
        Exit, Registers, System, Vcpu,
        step::{Before, Passed, Stepper},
    },
    process::watchdog::{Registration, Watchdog},
    vmm::boot,
};

use super::kvm::system;

/// The most steps.
const STEPS: usize = 64;

/// The most bytes of code.
const MOST_CODE: usize = 256;

/// The trap flag, and the flags of arithmetic, which a guest may begin with.
const TRAP_FLAG: u64 = 1 << 8;
const FLAGS: u64 = 0xDD5;

/// What a guest begins with.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Start {
    mode: u8,
    flags: u16,
    general: [u16; 8],
}

/// Steps a guest up to its first exit. The same guest unstepped comes to the same.
pub fn run(data: &[u8]) {
    let mut data = Unstructured::new(data);
    let (Some(system), Ok(start)) = (system(), Start::arbitrary(&mut data)) else { return };
    let code = data.take_rest();
    let code = &code[..code.len().min(MOST_CODE)];
    let watchdog = Watchdog::start(Duration::from_secs(5)).expect("a thread");
    let registration = watchdog.watch_this_thread(None);
    let Some(mut stepped) = guest(system, start, code) else { return };
    let Some((exit, before)) = step(&mut stepped, &registration) else { return };
    let Some(mut free) = guest(system, start, code) else { return };
    let Some(same) = run_free(&mut free, &registration) else { return };
    let [stepped, free] = [state(&mut stepped), state(&mut free)];
    assert_eq!((exit, stepped), (same, free), "stepped and unstepped, the last of {before:#x?}");
}

fn guest(system: &System, start: Start, code: &[u8]) -> Option<Vcpu> {
    let mode = CpuMode::ALL[usize::from(start.mode) % CpuMode::ALL.len()];
    let mut vcpu = boot::tiny(system, mode, code, PAGE_SIZE).ok()?;
    let mut registers = vcpu.registers().ok()?;
    for (register, value) in registers.general.iter_mut().zip(start.general) {
        *register = value.into();
    }
    registers.flags = u64::from(start.flags) & FLAGS | 2;
    vcpu.set_registers(&registers).ok()?;
    Some(vcpu)
}

/// Steps a guest to its first exit. `None` if there is none in time, or what the guest did cannot be compared.
/// Returns the exit, and the instructions.
fn step(vcpu: &mut Vcpu, registration: &Registration<'_>) -> Option<(Exit, Vec<u64>)> {
    let mut stepper = Stepper::default();
    let (mut is_plain, mut all) = (true, Vec::new());
    for _ in 0..STEPS {
        let registers = vcpu.registers().ok()?;
        stepper.begin(vcpu, registers).ok()?;
        let exit = vcpu.run().ok()?;
        let (exit, executed) = match stepper.left(exit, vcpu).ok()? {
            Exit::Interrupted if registration.expiry().is_some() => return None,
            exit @ (Exit::Debug { .. } | Exit::Interrupted) => match stepper.end(vcpu).ok()? {
                Passed::Nothing => (exit, Vec::new()),
                Passed::Delivery(_) => return None,
                Passed::Instructions(executed) => (exit, executed),
            },
            exit => (exit, stepper.last(vcpu)),
        };
        let after = vcpu.registers().ok()?;
        all.extend(executed.iter().map(Before::address));
        let is_end = !matches!(exit, Exit::Debug { .. } | Exit::Interrupted);
        is_plain &= executed.iter().all(is_comparable);
        is_plain &= is_end || executed.last().is_none_or(|last| goes_on(last, &after));
        if is_end {
            let is_its_own = matches!(exit, Exit::Halt { .. } | Exit::Out { .. } | Exit::In { .. });
            return (is_plain && is_its_own).then_some((exit, all));
        }
    }
    // It goes on alone, whatever it was about to do.
    stepper.stop(vcpu).ok()?;
    None
}

/// Whether an instruction does the same each time, and has nothing to do with debug exceptions.
fn is_comparable(before: &Before) -> bool {
    let text = format!("{:?}", before.instruction.mnemonic());
    let varies = ["Rd", "Wrmsr", "Xrstor", "Cpuid", "Xgetbv"].iter().any(|start| text.starts_with(start));
    let instruction = format!("{}", before.instruction);
    !varies && !instruction.contains("dr") && before.registers.flags & TRAP_FLAG == 0
}

/// Whether an instruction went on where it says, so that it has raised no exception.
fn goes_on(last: &Before, after: &Registers) -> bool {
    let next = last.registers.at(last.instruction.next_ip()).instruction();
    let target = last.registers.at(last.instruction.near_branch_target()).instruction();
    let at = after.instruction();
    at == next || (last.is_repeated() && at == last.address()) || (at == target && target != 0)
}

/// Runs a guest to its first exit.
fn run_free(vcpu: &mut Vcpu, registration: &Registration<'_>) -> Option<Exit> {
    loop {
        match vcpu.run().ok()? {
            Exit::Interrupted if registration.expiry().is_some() => return None,
            Exit::Interrupted => {}
            exit => return Some(exit),
        }
    }
}

/// The registers and the page of a guest once its last instruction is complete.
fn state(vcpu: &mut Vcpu) -> Option<(Registers, Vec<u8>)> {
    vcpu.complete().ok()?;
    let mut page = vec![0; PAGE_SIZE as usize];
    vcpu.memory().read(0, &mut page).ok()?;
    Some((vcpu.registers().ok()?, page))
}
