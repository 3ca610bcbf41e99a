//! A virtual machine monitor for one guest, on any engine.
//!
//! A [`Machine`] is one guest in its VM: a loaded and booted [`Image`], its hypercalls, its devices and its statistics. It
//! runs on any [`Engine`](guestlab_cpu::Engine): KVM (`guestlab-kvm`) or an interpreter (`guestlab-soft`). This crate does
//! not depend on KVM, on a command line or on an experiment, and it prints nothing.
//!
//! The path of one exit:
//!
//! ```text
//! guest `out` -> Cpu::run -> Exit -> hypercall::decode -> hypercall::handle -> Reply -> next Cpu::run
//!                                                              |
//!                                                              +-> ConsoleOutput
//! ```
//!
//! An example that boots an ELF image and counts its exits:
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use guestlab_soft::Soft;
//! use guestlab_vmm::{ConsoleOutput, Image, Machine, Never, Parameters, Request, Setup};
//!
//! let file = std::fs::read("hello.elf")?;
//! let image = Image::parse("hello", file, Request::default())?;
//! let parameters = Parameters { vm: 1, seed: 1, memory: 2 << 20, arguments: &[] };
//! let mut machine = Machine::new(&Setup::new(Arc::new(Soft)), &image, parameters)?;
//! let halt = machine.run(&Never, &mut |output| {
//!     if let ConsoleOutput::Text(text) = output {
//!         print!("{}", String::from_utf8_lossy(text));
//!     }
//!     true
//! })?;
//! println!("{halt:?} after {} exits", machine.stats().total());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With KVM it is `Arc::new(Kvm::open("/dev/kvm".as_ref(), None)?)` in place of `Arc::new(Soft)`.
//!
//! [`Machine::with_hypercalls`] adds hypercalls of the caller's own, and [`Machine::enter`] runs a guest to its next exit
//! only. `host/examples` has five programs that use this crate; the guide's page "A hypervisor of your own" explains them.

#![forbid(unsafe_code)]

mod boot;
mod boot_error;
mod clock;
mod exception;
mod fault;
pub mod foreign;
mod history;
pub mod hypercall;
pub mod image;
mod lent;
mod machine;
mod memory;
mod multiboot;
mod observer;
pub mod pc;
pub mod random;
mod reply;
mod services;
pub mod spot;
pub mod stats;
mod stop;
mod timer;
mod translate;
mod unhandled;
mod vectors;

pub use boot::{Boot, Parameters, memory_layout};
pub use boot_error::BootError;
pub use clock::Clock;
pub use exception::TrapReport;
pub use fault::{Crash, MAILBOX_HINT};
pub use history::History;
pub use image::{Image, ImageError, ImageFormat, Request, Start, Test};
pub use lent::Lent;
pub use machine::{
    Halt, Machine, Setup, create_cpu,
    moment::Moment,
    saved::{RestoreError, SavedMachine, SavedPage},
};
pub use memory::{MemoryKind, MemoryLayout, MemorySizeError, check_size};
pub use observer::{GuestSpan, Observer, Origin};
pub use reply::{PanicReport, Reply, StopReason};
pub use services::{Console, ConsoleOutput, HvaPolicy, Record, Services};
pub use stop::{Expiry, Never, Stop};
pub use timer::Timer;
pub use unhandled::{TripleFault, Unemulated, Unhandled};
pub use vectors::Interruption;
