//! The vocabulary between a virtual machine and the engine that executes its code.
//!
//! A machine (the VMM) knows guests, images and hypercalls. An engine (KVM, or an interpreter) knows how to
//! execute x86 code. They meet in this crate, which has plain data and two traits:
//!
//! - [`CpuState`] is the whole state of one x86 CPU: registers, segments, tables, control registers, FPU.
//! - [`Exit`] is the reason why an engine stopped executing the guest.
//! - [`Engine`] creates CPUs; [`Cpu`] is one virtual CPU with the memory that it runs on.
//! - [`walk`] translates a linear address as the CPU does, from its state and the guest's page tables.
//!
//! Dependencies point here and never away: this crate knows no KVM, no operating system and no experiment. It is
//! `no_std` and compiles for `wasm32-unknown-unknown`.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod breakpoint;
mod coverage;
mod digest;
pub mod engine;
mod error;
pub mod exit;
mod fpu;
pub mod identity;
mod inspect;
#[cfg(feature = "instructions")]
pub mod instruction;
mod memory;
mod pages;
mod segment;
pub mod state;
mod step;
pub mod walk;

pub use breakpoint::{Breakpoint, BreakpointKind};
pub use coverage::{Coverage, Executions};
pub use digest::{StateDigest, StateHasher};
pub use engine::{Calls, Cpu, DebugFeatures, Engine, KVM, Kick, TICK, Until};
pub use error::EngineError;
pub use exit::{DELIVERY, Direction, EMULATION, Exit, Values, Width};
pub use fpu::{FpuState, Msrs};
pub use memory::{GuestMemory, MemoryPlan, OutOfMemory, PAGE};
pub use pages::{Page, Pages};
pub use segment::{Rights, Segment, Table};
pub use state::CpuState;
pub use step::{Delivery, Executed, MAX_INSTRUCTION, Stepped};
