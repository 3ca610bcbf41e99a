//! Guestlab's virtual machine monitor.
//!
//! Data flows one way. One exit's journey:
//!
//! ```text
//! guest `out` -> KVM exit -> kvm::Exit -> Hypercall -> hypercall::handle -> Reply -> next KVM_RUN
//!                                              |
//!                                              +-> Event -> output (transcript, JSON lines)
//! ```
//!
//! Only [`kvm`] names KVM's types; only [`memory`] touches guest memory; what decides
//! ([`hypercall`], [`exchange`], [`schedule`]) is pure and is tested without KVM.

pub mod cli;
#[path = "../debug/src/lib.rs"]
pub mod debug;
pub mod doctor;
#[path = "../kvm/src/lib.rs"]
pub mod kvm;
pub mod lab;
pub mod output;
#[path = "../vmm/src/lib.rs"]
pub mod vmm;

pub use guestlab_process as process;
pub use guestlab_runlog as runlog;
pub use guestlab_views as views;
