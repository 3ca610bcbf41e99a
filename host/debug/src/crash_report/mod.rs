//! Why a guest ended other than it should: what is taken from its machine when it stops, and what can be
//! said of it then.
//!
//! Taking [`Evidence`] copies a little of the guest's state and nothing more; names and instructions are
//! looked up when somebody wants to read the [`Report`].

mod backtrace;
mod code;
mod evidence;
mod limited_reader;
mod report;
mod source_paths;
mod symbols;

pub use evidence::{Evidence, Origin};
pub use report::{Report, Wanted};
pub use source_paths::is_of_a_library;
pub use symbols::{Piece, Place};
