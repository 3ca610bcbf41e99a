//! The tests that boot guests, as one program: it is linked once, and many tests that wait run side by side.
//!
//! A test that changes or counts what belongs to its process is a program of its own, beside this folder: `jail.rs` forks
//! without exec, so that its children hold copies of all open files; `leftovers.rs` counts threads and files;
//! `hostile.rs` maps pages on all sides of a guest's memory.

#[path = "../common/mod.rs"]
mod common;
#[path = "../../fuzz/src/lib.rs"]
#[expect(dead_code, unreachable_pub, reason = "these are the fuzz targets, a crate of their own")]
mod targets;
mod tracer;

mod bad_input;
mod core_files;
mod corpus;
mod coverage;
mod determinism;
mod ends;
mod engines;
mod examples;
mod exchange;
mod explore;
mod flame;
mod foreign;
mod foreign_faults;
mod forging;
mod gdb;
mod guest_tests;
mod interrupts;
mod jail_lists;
mod limits;
mod lockstep;
mod measure;
mod misbehaving;
mod modes;
mod outputs;
mod pc;
mod post_mortem;
mod relay;
mod replay;
mod report;
mod reset;
mod same_ends;
mod services;
mod signals;
mod snapshot;
mod soak;
mod stepping;
mod timeline;
mod trace;
mod view;
