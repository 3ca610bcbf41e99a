//! The files about the coverage of a command's guests.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;

use crate::{
    cli::common::EngineArgs,
    debug::coverage::Selection,
    engines::Choice,
    lab::{coverage::Collector, error::Error, vm::Platform},
    output,
    process::output_file::{Named, OutputFile, check_distinct},
    runlog::{coverage::Report, error::WriteError},
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
        let engine = match args.engine {
            engine if self.coverage.is_empty() => engine,
            Choice::Soft => Choice::Soft,
            Choice::Auto => {
                output::warn(
                    "--coverage: the interpreter runs the guests (--engine soft), and times are its own",
                );
                Choice::Soft
            }
            Choice::Kvm => {
                return Err(Error::Usage(
                    "--coverage counts executed instructions, which KVM does not; add --engine soft".into(),
                ));
            }
        };
        Ok(EngineArgs { engine, kvm: args.kvm.clone() })
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
        let file = |path: &PathBuf| match OutputFile::whole(path) {
            Ok(file) => Ok((path.clone(), file)),
            Err(source) => Err(cannot(path, source)),
        };
        let files: Vec<_> = self.coverage.iter().map(file).collect::<Result<_, _>>()?;
        let has_page = self.coverage.iter().any(|path| is_page(path));
        let collector = (!files.is_empty()).then(|| Arc::new(Collector::new(selection, has_page)));
        Ok(CoverageFiles { files, collector })
    }
}

/// The files of a command, which are written after it.
pub struct CoverageFiles {
    files: Vec<(PathBuf, OutputFile)>,
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
        self.files.into_iter().fold(outcome, |outcome, (path, file)| {
            let text = text(&path, &report, &collector);
            let written = file.write_and_place(text.as_bytes());
            output::both(outcome, written.map_err(|source| cannot(&path, source).into()))
        })
    }
}

fn text(path: &Path, report: &Report, collector: &Collector) -> String {
    match is_page(path) {
        true => coverage_page(report, &collector.sources()),
        false => lcov(report),
    }
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("html"))
}

fn cannot(path: &Path, source: io::Error) -> WriteError {
    WriteError { what: "coverage", path: path.into(), source }
}
