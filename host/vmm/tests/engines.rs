//! The contract of engines: each case runs on the interpreter, and on KVM where this machine has one.

use std::{sync::mpsc, thread, time::Duration};

use guest_abi::mode::CpuMode;
use guestlab_cpu::{
    Breakpoint, BreakpointKind, Cpu, CpuState, Direction, Engine, EngineError, Exit, FpuState, MemoryPlan,
    Msrs, OutOfMemory, Stepped, Until, Values, Width,
    identity::{FOUR_LEVELS_SIZE, four_levels, one_large_page},
    state::{reg, seg},
};
use guestlab_kvm::Kvm;
use guestlab_soft::Soft;

/// The addresses of code, of the top of the stack, and of the page tables behind it.
const CODE: u32 = 0x1000;
const STACK: u32 = 0x3000;
const TABLES: u32 = 0x4000;

/// The end of memory.
const END: u64 = (TABLES + FOUR_LEVELS_SIZE) as u64;

/// An address without memory that all modes reach.
const HOLE: u64 = 0xF000;

const HALT: Exit = Exit::Halt { interrupts: false };

/// Calls `test` with each engine that works here.
fn on_each_engine(test: impl Fn(&dyn Engine)) {
    test(&Soft);
    match Kvm::open(Kvm::DEVICE.as_ref(), None) {
        Ok(kvm) => test(&kvm),
        Err(error) => eprintln!("skipped on KVM: {error}"),
    }
}

/// Calls `test` with a CPU of each engine in each mode that it has here, which is about to execute `code`. All modes must
/// read the code alike.
fn in_each_mode(code: &[u8], test: impl Fn(&str, CpuMode, &mut dyn Cpu)) {
    on_each_engine(|engine| {
        for mode in CpuMode::ALL {
            if engine.runs(mode).expect("a VM") {
                let name = format!("{}, {} mode", engine.name(), mode.name());
                test(&name, mode, &mut *cpu(engine, mode, code));
            }
        }
    });
}

/// Returns a CPU that is about to execute `code`.
fn cpu(engine: &dyn Engine, mode: CpuMode, code: &[u8]) -> Box<dyn Cpu> {
    let tables = match mode {
        CpuMode::Real | CpuMode::Protected => Vec::new(),
        CpuMode::Paged => one_large_page(),
        CpuMode::Long => four_levels(TABLES),
    };
    let mut cpu = engine.create(&MemoryPlan::below(END)).expect("a VM");
    cpu.memory_mut().write(TABLES.into(), &tables).expect("memory");
    cpu.memory_mut().write(CODE.into(), code).expect("memory");
    cpu.set_state(&start(mode)).expect("a state");
    cpu
}

fn start(mode: CpuMode) -> CpuState {
    CpuState::flat(mode, CODE, STACK, TABLES)
}

/// Runs a CPU to its next exit that no signal caused.
fn exit(cpu: &mut dyn Cpu) -> Exit {
    loop {
        match cpu.run(Until::Exit).expect("it runs") {
            Exit::Interrupted => {}
            exit => return exit,
        }
    }
}

/// Returns a CPU's state.
fn state(cpu: &mut dyn Cpu) -> CpuState {
    cpu.state().expect("a state")
}

/// Sets general registers.
fn set(cpu: &mut dyn Cpu, registers: &[(usize, u64)]) {
    let mut state = state(cpu);
    registers.iter().for_each(|&(index, value)| state.general[index] = value);
    cpu.set_state(&state).expect("a state");
}

/// Returns the offset of the next instruction from the first.
fn offset(cpu: &mut dyn Cpu) -> u64 {
    cpu.registers().expect("registers").ip - u64::from(CODE)
}

#[test]
fn a_port_is_read_written_and_the_guest_halts() {
    // `in al, 0x10`, `out 0x11, al`, `hlt`.
    in_each_mode(&[0xE4, 0x10, 0xE6, 0x11, 0xF4], |name, _, cpu| {
        assert_eq!(exit(cpu), Exit::In { port: 0x10, width: Width::Byte, count: 1 }, "{name}");
        cpu.answer(0x1_5A);
        let values = Values::One(0x5A);
        assert_eq!(exit(cpu), Exit::Out { port: 0x11, width: Width::Byte, values }, "{name}");
        assert_eq!(exit(cpu), HALT, "{name}");
        assert_eq!(offset(cpu), 5, "{name}");
        assert_eq!(state(cpu).general[reg::RAX], 0x5A, "{name}");
    });
}

#[test]
fn a_run_after_a_halt_continues_behind_it() {
    // `hlt`, `nop`, `hlt`.
    in_each_mode(&[0xF4, 0x90, 0xF4], |name, _, cpu| {
        assert_eq!((exit(cpu), offset(cpu)), (HALT, 1), "{name}");
        assert_eq!((exit(cpu), offset(cpu)), (HALT, 3), "{name}");
    });
}

#[test]
fn a_read_without_an_answer_is_0() {
    in_each_mode(&[0xE4, 0x10, 0xF4], |name, _, cpu| {
        set(cpu, &[(reg::RAX, 0xFF)]);
        assert!(matches!(exit(cpu), Exit::In { .. }), "{name}");
        assert_eq!(exit(cpu), HALT, "{name}");
        assert_eq!(state(cpu).general[reg::RAX], 0, "{name}");
    });
}

#[test]
fn an_instruction_can_be_completed_without_a_run() {
    in_each_mode(&[0xE4, 0x10, 0xF4], |name, _, cpu| {
        assert!(matches!(exit(cpu), Exit::In { .. }), "{name}");
        cpu.answer(7);
        cpu.complete().expect("it completes");
        assert_eq!((offset(cpu), cpu.registers().expect("registers").general[reg::RAX]), (2, 7), "{name}");
        assert_eq!(exit(cpu), HALT, "{name}");
    });
}

#[test]
fn a_string_instruction_writes_all_of_its_values() {
    // `rep outsb`, `hlt`.
    in_each_mode(&[0xF3, 0x6E, 0xF4, b'a', b'b', b'c'], |name, _, cpu| {
        set(cpu, &[(reg::RCX, 3), (reg::RDX, 0x12), (reg::RSI, u64::from(CODE) + 3)]);
        let mut written = Vec::new();
        while let Exit::Out { port: 0x12, width: Width::Byte, values } = exit(cpu) {
            written.extend_from_slice(values.as_slice());
        }
        assert_eq!(written, [0x61, 0x62, 0x63], "{name}");
        assert_eq!(offset(cpu), 3, "{name}");
    });
}

#[test]
fn an_access_without_memory_is_an_exit() {
    // `lodsb`, `stosb`, `hlt`.
    in_each_mode(&[0xAC, 0xAA, 0xF4], |name, _, cpu| {
        set(cpu, &[(reg::RSI, HOLE), (reg::RDI, HOLE + 1)]);
        let access = |address, direction| Exit::Mmio { address, len: 1, direction };
        assert_eq!(exit(cpu), access(HOLE, Direction::In), "{name}");
        cpu.answer(0x77);
        assert_eq!(exit(cpu), access(HOLE + 1, Direction::Out), "{name}");
        assert_eq!(exit(cpu), HALT, "{name}");
        assert_eq!(state(cpu).general[reg::RAX] & 0xFF, 0x77, "{name}");
    });
}

#[test]
fn a_new_state_forgets_all_accesses_of_the_last_instruction() {
    // `hlt`, `pusha`.
    in_each_mode(&[0xF4, 0x60], |name, mode, cpu| {
        if mode == CpuMode::Long {
            return;
        }
        let mut state = start(mode);
        (state.ip, state.general[reg::RSP]) = (u64::from(CODE) + 1, HOLE + 0x40);
        cpu.set_state(&state).expect("a state");
        assert!(matches!(exit(cpu), Exit::Mmio { direction: Direction::Out, .. }), "{name}");
        cpu.set_state(&start(mode)).expect("a state");
        assert_eq!((exit(cpu), offset(cpu)), (HALT, 1), "{name}");
    });
}

#[test]
fn the_last_of_two_states_counts_before_the_first_run() {
    on_each_engine(|engine| {
        // `hlt`, `inc bx`, `hlt`.
        for (first, last) in CpuMode::ALL.into_iter().flat_map(|one| CpuMode::ALL.map(|other| (one, other))) {
            if ![first, last].iter().all(|&mode| engine.runs(mode).expect("a VM")) {
                continue;
            }
            let mut cpu = cpu(engine, last, &[0xF4, 0x66, 0xFF, 0xC3, 0xF4]);
            cpu.set_state(&start(first)).expect("a state");
            let mut state = start(last);
            state.ip += 1;
            cpu.set_state(&state).expect("a state");
            let name = format!("{}, {} then {} mode", engine.name(), first.name(), last.name());
            assert_eq!((exit(&mut *cpu), offset(&mut *cpu)), (HALT, 5), "{name}");
        }
    });
}

#[test]
fn a_state_comes_back_as_it_was_set() {
    in_each_mode(&[0xF4], |name, mode, cpu| {
        let changed = changed(mode);
        cpu.set_state(&changed).expect("a state");
        assert_eq!(state(cpu), changed, "{name}");
        // It stays in a run. A CPU that has run takes a state in another way.
        assert_eq!((exit(cpu), state(cpu).fpu), (HALT, changed.fpu.clone()), "{name}");
        cpu.set_state(&start(mode)).expect("a state");
        assert_eq!(exit(cpu), HALT, "{name}");
        cpu.set_state(&changed).expect("a state");
        assert_eq!(state(cpu), changed, "{name}, after a run");
    });
}

/// Returns a state in which as much as possible differs from a reset.
fn changed(mode: CpuMode) -> CpuState {
    let mut state = start(mode);
    state.general = std::array::from_fn(|index| 0x1000 + index as u64);
    // Carry, sign, overflow, direction.
    state.flags |= 0xC81;
    state.segments[seg::FS].base = 0x500;
    state.segments[seg::GS].base = 0x600;
    (state.gdt.base, state.gdt.limit) = (0x700, 0x37);
    (state.idt.base, state.idt.limit) = (0x800, 0x3FF);
    state.cr2 = 0x1234;
    state.debug[0..4].copy_from_slice(&[0x10, 0x20, 0x30, 0x40]);
    state.fpu = FpuState { control: 0x27F, mxcsr: 0x1FA0, ..FpuState::reset() };
    state.fpu.xmm = std::array::from_fn(|index| [u8::try_from(index).unwrap_or(0) + 1; 16]);
    if mode == CpuMode::Long {
        state.msrs = Msrs { lstar: 0x2000, star: 8 << 32, fmask: 0x200, kernel_gs_base: 0x900, ..state.msrs };
    }
    state.msrs.sysenter_eip = 0x3000;
    state.cr8 = 5;
    state
}

#[test]
fn registers_are_set_and_the_rest_stays() {
    in_each_mode(&[0x90, 0x90, 0xF4], |name, mode, cpu| {
        let before = changed(mode);
        cpu.set_state(&before).expect("a state");
        let mut registers = start(mode).at(u64::from(CODE) + 1);
        registers.general[reg::RBX] = 9;
        cpu.set_registers(&registers).expect("registers");
        let expected =
            CpuState { general: registers.general, ip: registers.ip, flags: registers.flags, ..before };
        assert_eq!(state(cpu), expected, "{name}");
        assert_eq!(exit(cpu), HALT, "{name}");
    });
}

#[test]
fn the_task_priority_is_the_guests_to_set() {
    // `mov cr8, rax`, `hlt`.
    on_each_engine(|engine| {
        let mut cpu = cpu(engine, CpuMode::Long, &[0x44, 0x0F, 0x22, 0xC0, 0xF4]);
        set(&mut *cpu, &[(reg::RAX, 7)]);
        assert_eq!(exit(&mut *cpu), HALT, "{}", engine.name());
        assert_eq!(state(&mut *cpu).cr8, 7, "{}", engine.name());
    });
}

#[test]
fn engines_end_in_equal_states() {
    // `nop`, `push ax` or its like, `xor ax, ax`, `inc ah`, `cmc`, `hlt`.
    let code = [0x90, 0x50, 0x31, 0xC0, 0xFE, 0xC4, 0xF5, 0xF4];
    on_each_engine(|engine| {
        for mode in CpuMode::ALL.into_iter().filter(|&mode| engine.runs(mode).expect("a VM")) {
            let end = |engine: &dyn Engine| {
                let mut cpu = cpu(engine, mode, &code);
                assert_eq!(exit(&mut *cpu), HALT);
                state(&mut *cpu)
            };
            assert_eq!(end(engine), end(&Soft), "{}, {} mode", engine.name(), mode.name());
        }
    });
}

/// `jmp` to itself.
const LOOP: [u8; 2] = [0xEB, 0xFE];

#[test]
fn a_kick_from_another_thread_ends_a_loop() {
    in_each_mode(&LOOP, |name, _, cpu| {
        let kick = cpu.kick();
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_millis(5));
            kick.kick();
        });
        assert_eq!(cpu.run(Until::Exit).expect("it runs"), Exit::Interrupted, "{name}");
        assert_eq!(offset(cpu), 0, "{name}");
        thread.join().expect("it ends");
    });
}

#[test]
fn a_kick_before_a_run_counts_once_and_one_after_the_end_is_harmless() {
    in_each_mode(&[0xF4], |name, _, cpu| {
        cpu.kick().kick();
        assert_eq!(cpu.run(Until::Exit).expect("it runs"), Exit::Interrupted, "{name}");
        assert_eq!(offset(cpu), 0, "{name}");
        assert_eq!(cpu.run(Until::Exit).expect("it runs"), HALT, "{name}");
    });
    on_each_engine(|engine| {
        let cpu = cpu(engine, CpuMode::Real, &LOOP);
        let kick = cpu.kick();
        drop(cpu);
        kick.kick();
    });
}

#[test]
fn many_kicks_do_not_stop_a_guest_for_good() {
    // `out 0x10, al`, again and again.
    on_each_engine(|engine| {
        let cpu = &mut *cpu(engine, CpuMode::Real, &[0xE6, 0x10, 0xEB, 0xFC]);
        let kick = cpu.kick();
        let thread = thread::spawn(move || (0..20_000).for_each(|_| kick.kick()));
        while !thread.is_finished() {
            cpu.run(Until::Exit).expect("it runs");
        }
        thread.join().expect("it ends");
        let is_kicked = |_: &i32| cpu.run(Until::Exit).expect("it runs") == Exit::Interrupted;
        // The last kick, and the entry that it still ends.
        let kicked = (0..100).filter(is_kicked).count();
        assert!(kicked <= 2, "{}: {kicked} of 100", engine.name());
    });
}

#[test]
fn a_kick_finds_the_thread_that_runs_the_cpu_now() {
    on_each_engine(|engine| {
        let mut cpu = cpu(engine, CpuMode::Real, &LOOP);
        for _ in 0..3 {
            let kick = cpu.kick();
            let (sender, receiver) = mpsc::channel();
            let thread = thread::spawn(move || {
                let exit = cpu.run(Until::Exit).expect("it runs");
                sender.send(()).expect("it waits");
                (cpu, exit)
            });
            thread::sleep(Duration::from_millis(5));
            kick.kick();
            receiver.recv_timeout(Duration::from_secs(60)).expect("the kick ends the run");
            let exit;
            (cpu, exit) = thread.join().expect("it ends");
            assert_eq!(exit, Exit::Interrupted, "{}", engine.name());
        }
    });
}

#[test]
fn a_breakpoint_stops_the_guest_before_its_instruction() {
    on_each_engine(|engine| {
        for mode in CpuMode::ALL {
            let name = format!("{}, {} mode", engine.name(), mode.name());
            if !engine.runs(mode).expect("a VM") || engine.debug_features(mode).expect("a VM").breakpoints < 2
            {
                eprintln!("skipped: {name} has no two breakpoints");
                continue;
            }
            let cpu = &mut *cpu(engine, mode, &[0x90, 0x90, 0x90, 0xF4]);
            let at = |offset| Breakpoint { address: u64::from(CODE) + offset, kind: BreakpointKind::Execute };
            cpu.set_breakpoints(&[at(2), at(1)]).expect("two breakpoints");
            assert_eq!((exit(cpu), offset(cpu)), (Exit::Debug { points: 0b10 }, 1), "{name}");
            cpu.set_breakpoints(&[at(2)]).expect("a breakpoint");
            assert_eq!((exit(cpu), offset(cpu)), (Exit::Debug { points: 0b1 }, 2), "{name}");
            cpu.set_breakpoints(&[]).expect("none");
            assert_eq!(exit(cpu), HALT, "{name}");
        }
    });
}

#[test]
fn a_watchpoint_stops_the_guest_behind_its_access() {
    let address = u64::from(STACK) - 8;
    on_each_engine(|engine| {
        for mode in CpuMode::ALL {
            let name = format!("{}, {} mode", engine.name(), mode.name());
            if !engine.runs(mode).expect("a VM") || engine.debug_features(mode).expect("a VM").watchpoints < 1
            {
                eprintln!("skipped: {name} has no watchpoints");
                continue;
            }
            // `nop`, `stosb`, `nop`, `hlt`.
            let cpu = &mut *cpu(engine, mode, &[0x90, 0xAA, 0x90, 0xF4]);
            set(cpu, &[(reg::RDI, address)]);
            cpu.set_breakpoints(&[Breakpoint { address, kind: BreakpointKind::Write { len: 1 } }])
                .expect("a watchpoint");
            assert_eq!((exit(cpu), offset(cpu)), (Exit::Debug { points: 0b1 }, 2), "{name}");
            assert_eq!(exit(cpu), HALT, "{name}");
        }
    });
}

#[test]
fn each_step_is_one_instruction() {
    on_each_engine(|engine| {
        for mode in CpuMode::ALL {
            let name = format!("{}, {} mode", engine.name(), mode.name());
            if !engine.runs(mode).expect("a VM") || !engine.debug_features(mode).expect("a VM").steps {
                eprintln!("skipped: {name} has no steps");
                continue;
            }
            let cpu = &mut *cpu(engine, mode, &[0x90, 0xEB, 0x00, 0x50, 0xF4]);
            for (before, after) in [(0, 1), (1, 3), (3, 4)] {
                assert_eq!(cpu.run(Until::Step).expect("a step"), Exit::Debug { points: 0 }, "{name}");
                let Stepped::Instructions(executed) = cpu.stepped() else { panic!("{name}: no instruction") };
                assert_eq!(executed.len(), 1, "{name}");
                assert_eq!(executed[0].before.ip, u64::from(CODE) + before, "{name}");
                assert_eq!(offset(cpu), after, "{name}");
            }
            assert_eq!(cpu.run(Until::Step).expect("a step"), HALT, "{name}");
        }
    });
}

#[test]
fn instructions_are_counted_or_the_request_is_refused() {
    in_each_mode(&[0x90, 0x90, 0x90, 0xF4], |name, _, cpu| {
        match (cpu.instructions(), cpu.run(Until::Count(2))) {
            (Some(0), Ok(Exit::Debug { points: 0 })) => {
                assert_eq!((offset(cpu), cpu.instructions()), (2, Some(2)), "{name}");
            }
            (None, Err(EngineError::Unsupported { .. })) => assert_eq!(offset(cpu), 0, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(exit(cpu), HALT, "{name}");
    });
}

#[test]
fn an_interrupt_comes_when_the_guest_takes_it() {
    const HANDLER: u64 = CODE as u64 + 0x100;
    on_each_engine(|engine| {
        // `nop`, `sti`, `jmp` to itself; at vector 0x20: `hlt`.
        let cpu = &mut *cpu(engine, CpuMode::Real, &[0x90, 0xFB, 0xEB, 0xFE]);
        cpu.memory_mut().write(4 * 0x20, &HANDLER.to_le_bytes()[..4]).expect("memory");
        cpu.memory_mut().write(HANDLER, &[0xF4]).expect("memory");
        assert!(!cpu.interrupt(0x20).expect("a request"), "{}: interrupts are off", engine.name());
        assert_eq!(exit(cpu), Exit::InterruptWindow, "{}", engine.name());
        assert!(cpu.interrupt(0x20).expect("a request"), "{}", engine.name());
        assert_eq!(exit(cpu), HALT, "{}", engine.name());
        assert_eq!(cpu.registers().expect("registers").ip, HANDLER + 1, "{}", engine.name());
    });
}

#[test]
fn a_queued_interrupt_outlives_a_kick_and_new_x87_registers() {
    const HANDLER: u64 = CODE as u64 + 0x100;
    on_each_engine(|engine| {
        // `sti`, `nop`, `out 0x10, al`, `jmp` to itself; at vectors 0x20 and 0x21: `hlt`, 16 bytes apart.
        let cpu = &mut *cpu(engine, CpuMode::Real, &[0xFB, 0x90, 0xE6, 0x10, 0xEB, 0xFE]);
        for vector in [0x20, 0x21] {
            let handler = HANDLER + 16 * (vector - 0x20);
            cpu.memory_mut().write(4 * vector, &handler.to_le_bytes()[..4]).expect("memory");
            cpu.memory_mut().write(handler, &[0xF4]).expect("memory");
        }
        assert!(matches!(exit(cpu), Exit::Out { .. }), "{}", engine.name());
        cpu.complete().expect("the port access");
        assert!(cpu.interrupt(0x20).expect("a request"), "{}", engine.name());
        cpu.kick().kick();
        assert_eq!(cpu.run(Until::Exit).expect("it runs"), Exit::Interrupted, "{}", engine.name());
        assert!(!cpu.interrupt(0x21).expect("a request"), "{}: one is queued", engine.name());
        let mut fpu = FpuState::reset();
        fpu.control = 0x27F;
        cpu.set_fpu(&fpu).expect("a state");
        assert_eq!(exit(cpu), HALT, "{}", engine.name());
        assert_eq!(cpu.registers().expect("registers").ip, HANDLER + 1, "{}", engine.name());
        assert_eq!(state(cpu).fpu.control, 0x27F, "{}", engine.name());
    });
}

#[test]
fn a_step_ignores_breakpoints() {
    on_each_engine(|engine| {
        let features = engine.debug_features(CpuMode::Protected).expect("a VM");
        if !features.steps || features.breakpoints < 2 {
            return eprintln!("skipped: {} has no steps and breakpoints", engine.name());
        }
        let cpu = &mut *cpu(engine, CpuMode::Protected, &[0x90, 0x90, 0x90, 0xF4]);
        let at = |offset| Breakpoint { address: u64::from(CODE) + offset, kind: BreakpointKind::Execute };
        cpu.set_breakpoints(&[at(1), at(2)]).expect("two breakpoints");
        for after in [1, 2] {
            cpu.run(Until::Step).expect("a step");
            assert!(matches!(cpu.stepped(), Stepped::Instructions(executed) if executed.len() == 1));
            assert_eq!(offset(cpu), after, "{}", engine.name());
        }
        assert_eq!((exit(cpu), offset(cpu)), (Exit::Debug { points: 0b10 }, 2), "{}", engine.name());
    });
}

#[test]
fn memory_is_checked_and_cleared() {
    on_each_engine(|engine| {
        let plan = MemoryPlan { ranges: vec![0x1000..0x3000, 0x5000..0x6000] };
        let mut cpu = engine.create(&plan).expect("a VM");
        let memory = cpu.memory_mut();
        assert!(memory.contains(0x1000, 0x2000) && !memory.contains(0x2FFF, 2), "{}", engine.name());
        assert_eq!(memory.write(0x2FFF, &[1, 2]), Err(OutOfMemory), "{}", engine.name());
        memory.write(0x2FFE, &[1, 2]).expect("memory");
        memory.write(0x5000, &[3]).expect("memory");
        memory.clear().expect("it is cleared");
        let mut bytes = [9; 2];
        memory.read(0x2FFE, &mut bytes).expect("memory");
        assert_eq!(bytes, [0, 0], "{}", engine.name());
        memory.read(0x5000, &mut bytes).expect("memory");
        assert_eq!(bytes, [0, 0], "{}", engine.name());
    });
}

#[test]
fn an_exception_without_a_handler_shuts_the_cpu_down() {
    // `ud2`.
    in_each_mode(&[0x0F, 0x0B], |name, mode, cpu| {
        if mode != CpuMode::Real {
            assert_eq!(exit(cpu), Exit::Shutdown, "{name}");
        }
    });
}

#[test]
fn counted_time_interrupts_a_run_at_its_tick_and_can_be_let_pass() {
    // rdtsc before hlt: the time stamp is the counted time.
    in_each_mode(&[0x90, 0x90, 0x0F, 0x31, 0xF4], |name, _, cpu| {
        cpu.set_ticks(100);
        cpu.set_alarm(Some(102));
        match cpu.ticks() {
            Some(ticks) => {
                assert_eq!(ticks, 100, "{name}");
                assert_eq!(cpu.run(Until::Exit).expect("a run"), Exit::Interrupted, "{name}");
                assert_eq!((offset(cpu), cpu.ticks()), (2, Some(102)), "{name}");
                assert_eq!(exit(cpu), HALT, "{name}");
                let rax = cpu.state().expect("its state").general[reg::RAX];
                assert_eq!((rax, cpu.ticks()), (102, Some(104)), "{name}");
            }
            None => assert_eq!(exit(cpu), HALT, "{name}"),
        }
    });
}
