//! The area of XSAVE, in which KVM gives the registers of x87 and SSE (KVM API, 4.43 "KVM_GET_XSAVE"; Intel SDM volume 1,
//! 13.4 "XSAVE Area").
//!
//! KVM_GET_FPU and KVM_SET_FPU will not do: they leave MXCSR out, and on a processor with XSAVE the next entry loads
//! initial values in place of what a new vCPU was given, because the header does not say that there is something.

use guestlab_cpu::FpuState;
use kvm_bindings::kvm_xsave;

/// Fields of the legacy region, as indexes of 32-bit words.
const CONTROL_AND_STATUS: usize = 0;
const TAGS_AND_OPCODE: usize = 1;
const INSTRUCTION: usize = 2;
const OPERAND: usize = 4;
const MXCSR: usize = 6;
const ST: usize = 8;
const XMM: usize = 40;

/// XSTATE_BV, the first field of the header: the components that are not in their initial state.
const PRESENT: usize = 128;
const X87_AND_SSE: u32 = 0b11;

/// The words of a register of x87 or SSE. Of the former 80 bits count.
const REGISTER: usize = 4;

pub(crate) fn read(area: &kvm_xsave) -> FpuState {
    let words = &area.region;
    let (control, status) = halves(words[CONTROL_AND_STATUS]);
    let (tags, opcode) = halves(words[TAGS_AND_OPCODE]);
    FpuState {
        st: std::array::from_fn(|index| register(words, ST, index)),
        xmm: std::array::from_fn(|index| register(words, XMM, index)),
        control,
        status,
        tags: tags.to_le_bytes()[0],
        opcode,
        instruction: u64::from(words[INSTRUCTION]) | u64::from(words[INSTRUCTION + 1]) << 32,
        operand: u64::from(words[OPERAND]) | u64::from(words[OPERAND + 1]) << 32,
        mxcsr: words[MXCSR],
    }
}

/// Writes the registers of x87 and SSE. Other components stay.
pub(crate) fn write(state: &FpuState, area: &mut kvm_xsave) {
    let words = &mut area.region;
    words[CONTROL_AND_STATUS] = u32::from(state.control) | u32::from(state.status) << 16;
    words[TAGS_AND_OPCODE] = u32::from(state.tags) | u32::from(state.opcode) << 16;
    (words[INSTRUCTION], words[INSTRUCTION + 1]) = parts(state.instruction);
    (words[OPERAND], words[OPERAND + 1]) = parts(state.operand);
    words[MXCSR] = state.mxcsr;
    for (first, registers) in [(ST, &state.st[..]), (XMM, &state.xmm[..])] {
        let bytes = registers.as_flattened().chunks_exact(4);
        for (word, bytes) in words[first..].iter_mut().zip(bytes) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
    }
    words[PRESENT] |= X87_AND_SSE;
}

fn register(words: &[u32], first: usize, index: usize) -> [u8; 16] {
    let from = first + index * REGISTER;
    let mut bytes = [0; 16];
    for (bytes, word) in bytes.chunks_exact_mut(4).zip(&words[from..from + REGISTER]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// Splits a word into its low and its high half.
fn halves(word: u32) -> (u16, u16) {
    let [a, b, c, d] = word.to_le_bytes();
    (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]))
}

/// Splits a number into its low and its high word.
fn parts(number: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = number.to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registers_come_back_as_they_went_and_the_header_says_that_they_are_there() {
        let register = |index: usize| [u8::try_from(index).expect("small") + 1; 16];
        let state = FpuState {
            st: std::array::from_fn(register),
            xmm: std::array::from_fn(|index| register(index + 8)),
            control: 0x27F,
            status: 0x3800,
            tags: 0x85,
            opcode: 0x7FF,
            instruction: 0x1234_5678_9ABC_DEF0,
            operand: 0x0FED_CBA9_8765_4321,
            mxcsr: 0x1FA0,
        };
        let mut area = kvm_xsave::default();
        // A component that is not ours.
        (area.region[PRESENT], area.region[1000]) = (4, 9);
        write(&state, &mut area);
        assert_eq!(read(&area), state);
        assert_eq!((area.region[PRESENT], area.region[1000]), (7, 9));
    }
}
