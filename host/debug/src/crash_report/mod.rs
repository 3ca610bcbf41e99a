//! Crash reports: the state of a machine whose guest failed, and the report about it.
//!
//! [`CrashDump::take`] copies a little of the guest's state. Names and instructions are looked up later, for a
//! [`Report`].

mod backtrace;
mod code;
mod crash_dump;
mod last;
pub(crate) mod limited_reader;
mod report;
mod source_paths;
mod symbols;

pub use crash_dump::{CrashDump, ImageInfo};
pub use last::LastInstructions;
pub use report::{Report, ReportOptions};
pub use source_paths::is_of_a_library;
pub(crate) use source_paths::is_of_dependency;
pub use symbols::{Piece, SourceLocation, Written};
pub(crate) use symbols::{below_workspace, demangled};
