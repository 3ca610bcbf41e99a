//! The ways to look at a machine from outside: gdb, traces of instructions, explanations, a timeline, crash reports.

pub mod core_file;
pub mod coverage;
pub mod crash_report;
pub mod diagnosis;
pub mod explain;
pub mod gdb;
pub mod observers;
pub mod runner;
pub mod step;
pub mod timeline;
pub mod trace;
