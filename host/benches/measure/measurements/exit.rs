//! The round trip of an exit: one port write, from the guest through the whole host and back.

use guest_abi::{layout::DEFAULT_MEMORY, mode::CpuMode};
use guestlab::{
    lab::{limits::Limits, needs::Needs, session::Watched, vm::Vm},
    process::{jail::Jail, watchdog::Watchdog},
    vmm::{Halt, HvaPolicy, Image, ImageFormat, Parameters, Request},
};
use guestlab_cpu::KVM;

use super::{Outcome, clock::cpu_time, limits, mean_us, platform, values};

/// `again: out 0xEB, eax; jmp again`, the same bytes in both modes and in the baseline. A write to this port does nothing
/// (`guest_abi::port`).
const LOOP: [u8; 4] = [0xE7, 0xEB, 0xEB, 0xFC];

pub(super) fn measure(mode: &str, exits: u64, jail: &Jail) -> Outcome {
    let mode = CpuMode::ALL.into_iter().find(|known| known.name() == mode).ok_or("no such mode")?;
    let platform = platform()?;
    let request =
        Request { format: Some(ImageFormat::Flat), mode: Some(mode), load: Some(0), entry: Some(0) };
    let image = Image::parse("loop", LOOP.into(), request).map_err(|problem| problem.to_string())?;
    let parameters = Parameters { vm: 1, seed: 0, memory: DEFAULT_MEMORY, arguments: &[] };
    let mut machine = Vm::new(&platform, &image, parameters, HvaPolicy::DenySilently)?;

    let watchdog = Watchdog::start_in(jail, limits().timeout)?;
    let needs = Needs { kvm: machine.engine() == KVM, ..Needs::default() };
    jail.enter(&needs.thread())?;
    let registration = watchdog.watch_this_thread(None);
    let mut run_to = |exits| {
        let limits = Limits { max_exits: Some(exits), ..limits() };
        match machine.run(&Watched(&registration), &limits, &mut |_| true)? {
            Halt::Exits(_) => Ok(()),
            halt => Err(Box::<dyn std::error::Error>::from(format!("the guest stopped: {halt:?}"))),
        }
    };
    run_to(1)?;
    let began = cpu_time();
    run_to(1 + exits)?;
    Ok(values([("exit_us", mean_us(cpu_time() - began, exits))]))
}
