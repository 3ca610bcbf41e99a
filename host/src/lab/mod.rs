//! lab

pub mod error;
pub mod events;
pub mod exchange;
pub mod experiment_file;
pub mod explore;
pub mod guest_tests;
pub mod limits;
pub mod log_filter;
pub mod observe;
pub mod open;
pub mod pipeline;
pub mod recorder;
pub mod replay;
pub mod run_files;
pub mod schedule;
pub mod session;
pub mod single;
