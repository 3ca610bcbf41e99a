//! The notes of a core file: the registers, in the form of Linux on x86 (`struct elf_prstatus` and `struct elf_prpsinfo` of
//! `linux/elfcore.h`, and the area of `fxsave`).

use guestlab_cpu::{CpuState, FpuState, state::seg};
use object::elf;

use super::{elf::Class, signal::Signal};

/// The only thread's number.
const THREAD: u32 = 1;

/// The bytes for the name of a process, and for its arguments.
const NAME: usize = 16;
const ARGUMENTS: usize = 80;

/// The value of ORIG_RAX outside of a system call.
const NO_CALL: u64 = !0;

/// Returns the notes: the process, and if the registers are known, those.
///
/// gdb compares the name with that of the image's file, and warns if they differ. A name for which there is no room would always
/// differ, so that there is no note about the process then.
pub(super) fn notes(
    class: Class,
    name: &str,
    arguments: &str,
    signal: Option<Signal>,
    registers: Option<&CpuState>,
) -> Vec<u8> {
    let mut notes = Vec::new();
    if let Some(registers) = registers {
        add(&mut notes, elf::ELF_NOTE_CORE, elf::NT_PRSTATUS, &status(class, signal, registers));
    }
    if name.len() <= NAME {
        add(&mut notes, elf::ELF_NOTE_CORE, elf::NT_PRPSINFO, &process(class, name, arguments));
    }
    if let Some(registers) = registers {
        let area = fxsave(&registers.fpu);
        match class {
            Class::Bits64 => add(&mut notes, elf::ELF_NOTE_CORE, elf::NT_PRFPREG, &area),
            Class::Bits32 => add(&mut notes, elf::ELF_NOTE_LINUX, elf::NT_PRXFPREG, &area),
        }
    }
    notes
}

fn add(notes: &mut Vec<u8>, name: &[u8], kind: elf::NoteType, content: &[u8]) {
    let word = |len: usize| u32::try_from(len).unwrap_or_default().to_le_bytes();
    // The name ends with a NUL.
    notes.extend([word(name.len() + 1), word(content.len()), kind.0.to_le_bytes()].concat());
    for part in [&[name, &[0]].concat(), content] {
        notes.extend(part);
        notes.resize(notes.len().next_multiple_of(4), 0);
    }
}

/// `struct elf_prstatus`: the signal, the thread, and the general registers.
fn status(class: Class, signal: Option<Signal>, registers: &CpuState) -> Vec<u8> {
    let signal = signal.map_or(0, |signal| signal as u16).to_le_bytes();
    let general = general(class, registers);
    let (size, thread, place) = match class {
        Class::Bits32 => (144, 24, 72),
        Class::Bits64 => (336, 32, 112),
    };
    let mut status = vec![0; size];
    put(&mut status, 12, &signal);
    put(&mut status, thread, &THREAD.to_le_bytes());
    put(&mut status, place, &general);
    status
}

/// `struct elf_prpsinfo`: the thread, the name of the program, and its arguments.
fn process(class: Class, name: &str, arguments: &str) -> Vec<u8> {
    let (size, thread, place) = match class {
        Class::Bits32 => (124, 12, 28),
        Class::Bits64 => (136, 24, 40),
    };
    let mut process = vec![0; size];
    put(&mut process, thread, &THREAD.to_le_bytes());
    put(&mut process, place, name.as_bytes());
    let arguments = &arguments[..arguments.floor_char_boundary(ARGUMENTS - 1)];
    put(&mut process, place + NAME, arguments.as_bytes());
    process
}

fn put(record: &mut [u8], at: usize, bytes: &[u8]) {
    record[at..at + bytes.len()].copy_from_slice(bytes);
}

/// The general registers in the order of `struct user_regs_struct`.
///
/// As over the remote protocol, the instruction pointer is a linear address, and the others are unchanged.
fn general(class: Class, registers: &CpuState) -> Vec<u8> {
    let [ax, cx, dx, bx, sp, bp, si, di, r8, r9, r10, r11, r12, r13, r14, r15] = registers.general;
    let [cs, ss, ds, es, fs, gs] = registers.selectors().map(u64::from);
    let (ip, flags) = (registers.instruction(), registers.flags);
    let base = |segment: usize| registers.segments[segment].base;
    match class {
        Class::Bits32 => {
            let all = [bx, cx, dx, si, di, bp, ax, ds, es, fs, gs, NO_CALL, ip, cs, flags, sp, ss];
            all.into_iter().flat_map(|value| class.word(value)).collect()
        }
        Class::Bits64 => {
            let bases = [base(seg::FS), base(seg::GS)];
            let old = [r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di];
            let frame = [NO_CALL, ip, cs, flags, sp, ss];
            let all = [&old[..], &frame, &bases, &[ds, es, fs, gs]].concat();
            all.into_iter().flat_map(|value| class.word(value)).collect()
        }
    }
}

/// The area of `fxsave` (Intel SDM volume 1, table 10-2).
fn fxsave(fpu: &FpuState) -> Vec<u8> {
    let mut area = vec![0; 512];
    put(&mut area, 0, &fpu.control.to_le_bytes());
    put(&mut area, 2, &fpu.status.to_le_bytes());
    put(&mut area, 4, &[fpu.tags]);
    put(&mut area, 6, &fpu.opcode.to_le_bytes());
    put(&mut area, 8, &fpu.instruction.to_le_bytes());
    put(&mut area, 16, &fpu.operand.to_le_bytes());
    put(&mut area, 24, &fpu.mxcsr.to_le_bytes());
    put(&mut area, 28, &0xFFFF_u32.to_le_bytes());
    put(&mut area, 32, fpu.st.as_flattened());
    put(&mut area, 160, fpu.xmm.as_flattened());
    area
}
