//! Crash reports: the state of a machine whose guest failed, and the report about it.
//!
//! [`CrashDump::take`] copies a little of the guest's state. Names and instructions are looked up later, for a
//! [`Report`].

mod backtrace;
mod code;
mod crash_dump;
mod last;
mod limited_reader;
mod report;
mod source_paths;
mod symbols;

pub use crash_dump::{CrashDump, ImageInfo};
pub use last::LastInstructions;
pub use report::{Report, ReportOptions};
pub use source_paths::is_of_a_library;
pub use symbols::{Piece, SourceLocation, Written};
