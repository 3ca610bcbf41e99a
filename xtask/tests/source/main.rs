//! Checks of the source and of the documents. No guest is built, and nothing is run but cargo.

#[path = "../common/mod.rs"]
mod common;

mod claims;
mod crates;
mod reading_list;
mod structure;
