//! Guestlab's virtual machine monitor.
//!
//! The parts below it are crates of their own: `guestlab-vmm` runs one guest on any engine, `guestlab-kvm` is the engine
//! that is KVM, `guestlab-debug` looks at machines from outside, `guestlab-runlog` is the log of a run, `guestlab-views`
//! shows it, `guestlab-process` is the Unix side. This crate has the experiments ([`lab`]) and the command line ([`cli`]).

pub mod cli;
pub mod doctor;
pub mod engines;
pub mod lab;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub mod no_kvm;
pub mod output;

pub use guestlab_cpu as cpu;
pub use guestlab_debug as debug;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use guestlab_kvm as kvm;
pub use guestlab_process as process;
pub use guestlab_runlog as runlog;
pub use guestlab_soft as soft;
pub use guestlab_views as views;
pub use guestlab_vmm as vmm;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub use no_kvm as kvm;
