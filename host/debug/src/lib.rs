//! debug

pub mod crash_report;
pub mod driver;
pub mod explain;
pub mod gdb;
pub mod instruction;
pub mod spot;
pub mod timeline;
pub mod trace;
