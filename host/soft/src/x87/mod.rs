//! x87: the floating-point unit with a stack of 80-bit registers (Intel SDM volume 1, chapter 8).
//!
//! The results are those of [`float`](crate::float). Each file has a table of its instructions.

mod arithmetic;
mod compare;
mod decimal;
mod environment;
mod moves;
mod remainder;
mod stack;
mod transcendental;

use iced_x86::{Instruction, Mnemonic};

use crate::cpu::Handler;

/// Returns the function that carries out an instruction, if it is one of these.
pub(crate) fn select(insn: &Instruction) -> Option<Handler> {
    type Table = fn(Mnemonic) -> Option<Handler>;
    let tables: [Table; 7] = [
        moves::select,
        arithmetic::select,
        remainder::select,
        transcendental::select,
        compare::select,
        decimal::select,
        environment::select,
    ];
    tables.into_iter().find_map(|table| table(insn.mnemonic()))
}
