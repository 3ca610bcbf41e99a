//! An engine that is a program: an interpreter of x86 code.
//!
//! It needs no KVM and no operating system, counts instructions exactly, and its state is plain data. The files, by
//! subject:
//!
//! | file | subject |
//! | --- | --- |
//! | `cpu.rs`, `run.rs` | the CPU as data, and the loop that runs it |
//! | `decode.rs` | instructions, decoded by iced-x86 and kept by block |
//! | `coverage.rs` | counts of executed code |
//! | `ram.rs` | memory: pages that are copied when they are written |
//! | `access.rs`, `pointers.rs` | segmentation, paging, and accesses to memory |
//! | `operand.rs`, `forms.rs` | operands and addresses of instructions, and a function for each frequent form |
//! | `flags.rs` | the status flags, computed when they are read |
//! | `data.rs`, `arithmetic.rs`, `shift.rs`, `bits.rs`, `bcd.rs`, `strings.rs`, `stack.rs` | instructions that compute |
//! | `flow.rs`, `far.rs` | jumps, calls and returns: near, and to other segments |
//! | `segments.rs` | descriptors, and loading of segment registers |
//! | `interrupts.rs` | exceptions, interrupts, and the return from them |
//! | `task.rs` | task switches |
//! | `points.rs`, `debug.rs` | breakpoints, watchpoints and debug registers |
//! | `system.rs`, `io.rs` | control registers, tables, CPUID, ports |
//! | `sse/` | MMX, and SSE up to SSE4.2 |
//! | `x87/` | the floating-point unit with 80-bit registers |
//! | `float/` | floating-point arithmetic, in integers only |
//!
//! Each rule names its place in the Intel SDM. The interpreter has no `unsafe` code.

#![no_std]
#![forbid(unsafe_code)]
#![allow(clippy::cast_possible_truncation, reason = "values are cut to the size of an operand on purpose")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test ends at the first surprise"))]

extern crate alloc;

mod access;
mod arithmetic;
mod bcd;
mod bits;
mod coverage;
mod cpu;
mod data;
mod debug;
mod decode;
mod far;
mod fault;
mod flags;
mod float;
mod flow;
mod forms;
mod interrupts;
mod io;
mod operand;
mod pointers;
mod points;
mod ram;
mod run;
mod segments;
mod select;
mod shift;
mod sse;
mod stack;
mod strings;
mod system;
mod task;
mod x87;

use alloc::boxed::Box;

use guest_abi::mode::CpuMode;
use guestlab_cpu::{Cpu, CpuState, DebugFeatures, Engine, EngineError, MemoryPlan};

pub use cpu::SoftCpu;

/// The interpreter, as an engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Soft;

impl Engine for Soft {
    fn name(&self) -> &str {
        "soft"
    }

    fn create(&self, memory: &MemoryPlan) -> Result<Box<dyn Cpu>, EngineError> {
        Ok(Box::new(SoftCpu::new(memory, &CpuState::reset())))
    }

    fn runs(&self, _: CpuMode) -> Result<bool, EngineError> {
        Ok(true)
    }

    fn debug_features(&self, _: CpuMode) -> Result<DebugFeatures, EngineError> {
        Ok(DebugFeatures { steps: true, breakpoints: usize::MAX, watchpoints: usize::MAX })
    }
}
