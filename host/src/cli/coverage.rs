//! The files about the coverage of a command's guests.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;

use crate::{
    cli::{
        common::EngineArgs,
        later_files::{LaterFiles, ends_in},
    },
    debug::coverage::Selection,
    engines::Choice,
    lab::{coverage::Collector, error::Error, vm::Platform},
    output,
    process::output_file::{Named, check_distinct},
    runlog::coverage::Report,
    views::{
        coverage::{lcov, table},
        html::coverage_page,
    },
};

/// The option for coverage.
#[derive(Debug, Args)]
pub struct CoverageArgs {
    /// Write the lines, functions and branches that ran.
    ///
    /// A FILE that ends in .html is a page with the sources; any other has the format of lcov, which genhtml and editors
    /// read. The option may be given for both. A table of files is printed, too. The interpreter runs the guests; each
    /// image needs debug information.
    #[arg(long, value_name = "FILE")]
    pub(super) coverage: Vec<PathBuf>,
}

impl CoverageArgs {
    /// Returns the files, with the user's name for them.
    pub(super) fn outputs(&self) -> impl Iterator<Item = Named> {
        self.coverage.iter().map(|path| Named::new("--coverage", path))
    }

    /// Returns the options for the engine. Only the interpreter counts executions.
    ///
    /// # Errors
    ///
    /// There is to be coverage, and KVM was asked for by name.
    pub fn engine(&self, args: &EngineArgs) -> Result<EngineArgs, Error> {
        match args.engine {
            _ if self.coverage.is_empty() => Ok(args.clone()),
            Choice::Soft => Ok(args.clone()),
            Choice::Auto => {
                output::warn(
                    "--coverage: the interpreter runs the guests (--engine soft), and times are its own",
                );
                Ok(args.or_interpreter())
            }
            Choice::Kvm => Err(Error::Usage(
                "--coverage counts executed instructions, which KVM does not; add --engine soft".into(),
            )),
        }
    }

    /// Begins the files. They are not written if one is another file of the command.
    ///
    /// # Errors
    ///
    /// A file cannot be written, or it is one of these inputs or outputs.
    pub fn begin(
        &self,
        selection: Selection,
        inputs: Vec<Named>,
        outputs: Vec<Named>,
    ) -> Result<CoverageFiles, Error> {
        check_distinct(inputs, outputs.into_iter().chain(self.outputs()).collect())?;
        let files = LaterFiles::begin("coverage", &self.coverage)?;
        let has_page = self.coverage.iter().any(|path| ends_in(path, PAGE));
        let collector = (!files.is_empty()).then(|| Arc::new(Collector::new(selection, has_page)));
        Ok(CoverageFiles { files, collector })
    }
}

/// The files of a command, which are written after it.
pub struct CoverageFiles {
    files: LaterFiles,
    collector: Option<Arc<Collector>>,
}

impl CoverageFiles {
    /// Returns a platform whose guests are counted, if there are files.
    pub fn counted(&self, platform: Platform) -> Platform {
        platform.with_coverage(self.collector.clone())
    }

    /// Writes the files of a command whose VMs are gone, whatever its outcome; returns the outcome. Without an executed line there
    /// was no run, and the outcome says why. With `shows` a table is printed.
    ///
    /// # Errors
    ///
    /// The command failed, or a file cannot be written.
    pub fn conclude(self, outcome: Result<(), Error>, shows: bool) -> Result<(), Error> {
        let Some(collector) = self.collector else { return outcome };
        let report = collector.report();
        if outcome.is_err() && report.totals().lines.hit == 0 {
            return outcome;
        }
        if shows {
            output::warn_lines(&table(&report));
        }
        self.files.write(outcome, |path| Ok(text(path, &report, &collector).into_bytes()))
    }
}

/// The extension of a page.
const PAGE: &str = "html";

fn text(path: &Path, report: &Report, collector: &Collector) -> String {
    match ends_in(path, PAGE) {
        true => coverage_page(report, &collector.sources()),
        false => lcov(report),
    }
}
