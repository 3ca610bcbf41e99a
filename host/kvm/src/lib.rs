//! The KVM layer: the only place that names KVM's types.
//!
//! [`System`] is the open device; [`Vcpu`] is one VM with its one vCPU and its memory; [`Exit`]
//! is what a run of the vCPU ends with.

mod access;
mod debug;
mod exit;
mod registers;
pub mod request;
mod state;
pub mod step;
mod system;
mod vcpu;

pub use access::Access;
pub use debug::{Pace, Point, PointKind};
pub use guestlab_cpu::{Direction, Exit, FpuState, Values, Width};
pub use registers::Registers;
pub use state::{CpuState, Table, Tables};
pub use system::{System, SystemError, module_name};
pub use vcpu::{EmptyVm, Vcpu, VcpuError, Vm};
