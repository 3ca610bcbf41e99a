//! The laboratory: experiments with one guest or several, their schedules, limits and failures.

pub mod error;
pub mod events;
pub mod exchange;
pub mod experiment_file;
pub mod explore;
pub mod failure;
pub mod grade;
pub mod guest_end;
pub mod guest_tests;
pub mod hints;
pub mod input_files;
pub mod instrumentation;
pub mod limits;
pub mod log_filter;
pub mod needs;
pub mod open;
pub mod pipeline;
pub mod ram;
pub mod recorder;
pub mod refused;
pub mod replay;
pub mod run_files;
pub mod schedule;
pub mod session;
pub mod single;
pub mod vm;
