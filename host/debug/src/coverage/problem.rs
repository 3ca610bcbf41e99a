//! The reasons why there is no coverage.

use addr2line::gimli::Error as DwarfError;

/// The reason why there is no coverage of an image.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It is not an ELF file, or it has no line table.
    #[error(
        "it has no debug information (DWARF); build it with `debug = true` in its cargo profile, or with -g, and do not strip it"
    )]
    Missing,
    /// There is debug information, but of no code of a selected source.
    #[error(
        "its debug information names no source file that counts: those of Rust's library and of other crates do not"
    )]
    NoSource,
    /// The debug information contradicts itself.
    #[error("its debug information is damaged: {0}")]
    Damaged(#[from] DwarfError),
    /// Reading it would take too much time or memory.
    #[error("its debug information is damaged or too large")]
    TooLarge,
}
