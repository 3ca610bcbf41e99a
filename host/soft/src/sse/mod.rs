//! MMX and SSE up to SSE4.2: instructions on vectors of integers and floating-point numbers (Intel SDM volume 1,
//! chapters 9 to 12).
//!
//! Each file has a table of its instructions, with one line for most of them.

mod compare;
mod convert;
mod float;
mod integer;
mod lanes;
mod memory;
mod moves;
mod registers;
mod shuffle;
mod state;
mod strings;
mod unit;

use iced_x86::{Instruction, Mnemonic};

use crate::cpu::Handler;

pub(crate) use compare::status_of;
pub(crate) use state::MXCSR_MASK;

/// Returns the function that carries out an instruction, if it is one of these.
pub(crate) fn select(insn: &Instruction) -> Option<Handler> {
    type Table = fn(Mnemonic) -> Option<Handler>;
    // These string instructions have the names of others.
    if insn.is_string_instruction() {
        return None;
    }
    let tables: [Table; 8] = [
        moves::select,
        integer::select,
        shuffle::select,
        float::select,
        compare::select,
        convert::select,
        strings::select,
        state::select,
    ];
    tables.into_iter().find_map(|table| table(insn.mnemonic()))
}
