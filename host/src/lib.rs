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

pub mod admission;
mod clerk;
pub mod cli;
pub mod clock;
pub mod command;
pub mod compare;
pub mod conduct;
pub mod crash;
pub mod doctor;
pub mod driver;
pub mod error;
pub mod event;
pub mod exchange;
pub mod explain;
pub mod explore;
pub mod files;
pub mod foreign;
pub mod gdb;
pub mod hypercall;
pub mod image;
pub mod instruction;
pub mod interrupt;
pub mod jail;
pub mod kvm;
pub mod launch;
pub mod limits;
pub mod log_filter;
pub mod machine;
pub mod memory;
pub mod observe;
pub mod output;
pub mod output_file;
pub mod paging;
pub mod pc;
pub mod post_mortem;
pub mod prodcons;
pub mod recording;
pub mod relay;
pub mod replay;
pub mod report;
pub mod schedule;
pub mod seed;
pub mod session;
pub mod solo;
pub mod spot;
pub mod stack;
pub mod stats;
pub mod step;
pub mod story;
pub mod suite;
pub mod timeline;
pub mod timer;
pub mod trace;
pub mod trap;
pub mod unhandled;
pub mod values;
pub mod vectors;
pub mod view;
pub mod watchdog;
