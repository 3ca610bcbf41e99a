//! The files about where the instructions of a run went, by call stack.

use std::path::PathBuf;

use clap::Args;

use crate::{
    cli::later_files::{LaterFiles, ends_in},
    debug::trace::FoldedStacks,
    lab::error::Error,
    process::output_file::Named,
    views::flame::{flame_graph, folded},
};

/// The option for call stacks.
#[derive(Debug, Args)]
pub struct FlameArgs {
    /// Write a flame graph of the instructions.
    ///
    /// A FILE that ends in .svg is a flame graph, which a browser shows; any other has folded stacks, a line for each: functions
    /// from the outermost to the innermost, inlined ones among them, and the number of instructions. The option may be given for both. Guests are stepped,
    /// which is slow. A repeated string instruction counts once.
    #[arg(long, value_name = "FILE")]
    pub(super) flame: Vec<PathBuf>,
}

impl FlameArgs {
    /// Returns true if instructions are counted by call stack.
    pub(super) fn is_given(&self) -> bool {
        !self.flame.is_empty()
    }

    /// Returns a new collector, if there is a file.
    pub(super) fn stacks(&self) -> Option<FoldedStacks> {
        self.is_given().then(FoldedStacks::default)
    }

    /// Returns the files, with the user's name for them.
    pub(super) fn outputs(&self) -> impl Iterator<Item = Named> {
        self.flame.iter().map(|path| Named::new("--flame", path))
    }

    /// Begins the files.
    ///
    /// # Errors
    ///
    /// A file cannot be written.
    pub fn begin(&self) -> Result<FlameFiles, Error> {
        Ok(FlameFiles(LaterFiles::begin("flame graph", &self.flame)?))
    }
}

/// The files of a run, which are written after it.
pub struct FlameFiles(LaterFiles);

impl FlameFiles {
    /// Writes the files of a run whose VMs are gone, whatever its outcome; returns the outcome. Without an instruction there was
    /// no run, and the outcome says why.
    ///
    /// # Errors
    ///
    /// The run failed, or a file cannot be written.
    pub fn conclude(self, outcome: Result<(), Error>, stacks: Option<&FoldedStacks>) -> Result<(), Error> {
        let lines = stacks.map(FoldedStacks::take).unwrap_or_default();
        if lines.is_empty() {
            return outcome;
        }
        self.0.write(outcome, |path| match ends_in(path, "svg") {
            true => flame_graph(&lines),
            false => Ok(folded(&lines)),
        })
    }
}
