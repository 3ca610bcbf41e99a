//! `test`: runs the tests in images.

use std::path::{Path, PathBuf};

use clap::Args;
use guest_abi::layout::DEFAULT_MEMORY;

use crate::{
    cli::{
        common::EngineArgs, coverage::CoverageArgs, jail::JailArgs, limits::LimitArgs, values::parse_memory,
    },
    lab::{
        error::Error,
        guest_tests::{Selection, TestConfig},
    },
    process::jail::Jail,
};

/// Run the tests in images, each in its own VM.
///
/// `guest_rt::tests!` makes such images, and `cargo xtask test --guests` builds them. If a test fails, its output is
/// shown, with the usual report about a guest.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  cargo xtask test --guests heap    builds guest-rt's tests, and runs those with this name

Exit status: 0 all tests passed; 1 one failed; otherwise as for `run`.")]
pub struct TestArgs {
    /// Run only tests whose names contain one of these.
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
    /// An image with tests; may be given several times. Then the names of tests begin with mode and image.
    #[arg(long = "image", value_name = "FILE")]
    images: Vec<PathBuf>,
    /// Run only tests whose names equal a filter.
    #[arg(long)]
    exact: bool,
    /// Skip tests whose names contain this; may be given several times.
    #[arg(long, value_name = "FILTER")]
    skip: Vec<String>,
    /// Run only tests that are marked `#[ignore]`.
    #[arg(long, conflicts_with = "include_ignored")]
    ignored: bool,
    /// Run tests that are marked `#[ignore]`, too.
    #[arg(long)]
    include_ignored: bool,
    /// Print the names of the tests instead of running them.
    #[arg(long)]
    list: bool,
    /// The memory of each test's VM, in bytes or with K, M, G [default: 2M].
    #[arg(long, value_name = "SIZE", value_parser = parse_memory, allow_negative_numbers = true)]
    memory: Option<u32>,
    /// The seed of all random numbers. It is the same for each test, so that a failure repeats.
    #[arg(long, value_name = "N", default_value = "1", allow_negative_numbers = true)]
    seed: u64,
    #[command(flatten)]
    coverage: CoverageArgs,
    #[command(flatten)]
    jail: JailArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

impl TestArgs {
    /// Returns true if only the names are requested.
    pub fn list(&self) -> bool {
        self.list
    }

    /// Returns the options for the engine.
    pub fn engine(&self) -> &EngineArgs {
        &self.engine
    }

    /// Returns the option for coverage.
    pub fn coverage(&self) -> &CoverageArgs {
        &self.coverage
    }

    /// Returns the jail of the tests.
    pub fn jail(&self) -> Jail {
        self.jail.jail()
    }

    /// Returns the configuration. The limits are those of each test.
    ///
    /// # Errors
    ///
    /// There is no image.
    pub fn config(&self) -> Result<TestConfig, Error> {
        if self.images.is_empty() {
            return Err(Error::Usage(self.no_image()));
        }
        Ok(TestConfig {
            images: self.images.clone(),
            selection: Selection {
                filters: self.filters.clone(),
                skip: self.skip.clone(),
                exact: self.exact,
                marked: self.ignored || self.include_ignored,
                unmarked: !self.ignored,
            },
            memory: self.memory.unwrap_or(DEFAULT_MEMORY),
            seed: self.seed,
            limits: self.limits.limits(None, false),
        })
    }

    /// Returns the message about a missing image.
    fn no_image(&self) -> String {
        match self.filters.iter().find(|filter| Path::new(filter).is_file()) {
            Some(file) => format!(
                "{file} is not a filter of test names; use --image {file} for an image with tests"
            ),
            None => "name an image with tests: --image FILE; `cargo xtask test --guests` builds and runs all of them".into(),
        }
    }
}
