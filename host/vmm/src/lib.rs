//! vmm

pub mod boot;
pub mod clock;
pub mod exception;
pub mod fault;
pub mod foreign;
pub mod hypercall;
pub mod image;
pub mod machine;
pub mod memory;
pub mod paging;
pub mod pc;
pub mod random;
pub mod stats;
pub mod timer;
pub mod unhandled;
pub mod vectors;
