//! Encodings that newer CPUs read otherwise, and older ones as this one does.

use guest_abi::mode::CpuMode;
use guestlab_cpu::{Cpu, CpuState, Exit, MemoryPlan, Until, state::reg};
use guestlab_soft::SoftCpu;

/// Runs 64-bit code up to its HLT.
fn run(code: &[u8], change: impl FnOnce(&mut CpuState)) -> CpuState {
    let mut state = CpuState::flat(CpuMode::Long, 0x1000, 0x3000, 0x4000);
    change(&mut state);
    let mut cpu = SoftCpu::new(&MemoryPlan::below(0x8000), &state);
    for (address, value) in [(0x4000, 0x5003_u64), (0x5000, 0x83)] {
        cpu.memory_mut().write(address, &value.to_le_bytes()).unwrap();
    }
    cpu.memory_mut().write(0x1000, &[code, &[0xF4]].concat()).unwrap();
    assert!(matches!(cpu.run(Until::Count(10)).unwrap(), Exit::Halt { .. }), "{code:x?}: {cpu:?}");
    let state = cpu.state().unwrap();
    assert_eq!(state.ip, 0x1001 + code.len() as u64, "{code:x?}");
    state
}

#[test]
fn prefixes_that_mean_nothing_here_are_ignored() {
    // TZCNT, LZCNT, WBNOINVD, ENDBR64, RDSSPQ, CLDEMOTE, a reserved PREFETCH.
    let bits = |code| run(code, |state| state.general[reg::RCX] = 0x1800).general[reg::RAX];
    assert_eq!(bits(&[0xF3, 0x0F, 0xBC, 0xC1]), 11);
    assert_eq!(bits(&[0xF3, 0x0F, 0xBD, 0xC1]), 12);
    for code in [
        &[0xF3, 0x0F, 0x09][..],
        &[0xF3, 0x0F, 0x1E, 0xFA],
        &[0xF3, 0x48, 0x0F, 0x1E, 0xC8],
        &[0x0F, 0x1C, 0x02],
        &[0x0F, 0x18, 0x30],
    ] {
        run(code, |_| {});
    }
}

#[test]
fn cmpxchg_leaves_a_register_that_differs_as_it_was() {
    // `cmpxchg ecx, ebx`: all of RCX stays, and EAX is written. If they are equal it is the other way round.
    let high = 0x4142_4344_0000_0000;
    let exchanged = |accumulator| {
        let state = run(&[0x0F, 0xB1, 0xD9], |state| {
            state.general[reg::RAX] = high | accumulator;
            state.general[reg::RCX] = high | 7;
            state.general[reg::RBX] = 9;
        });
        (state.general[reg::RAX], state.general[reg::RCX])
    };
    assert_eq!(exchanged(6), (7, high | 7));
    assert_eq!(exchanged(7), (high | 7, 9));
}
