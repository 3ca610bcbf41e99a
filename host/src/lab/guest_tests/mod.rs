//! Tests that run inside VMs: an image names its tests, and each runs in its own VM. The report has the form of
//! cargo's.

mod case;
mod config;
mod report;
mod select;

use std::{path::PathBuf, time::Instant};

pub use config::TestConfig;
pub use select::Selection;

use case::Verdict;
use report::Report;
use select::Case;

use crate::{
    kvm::module_name,
    lab::{error::Error, needs::Needs, open, ram::check_size, session::Session, vm::Platform},
    process::jail::Jail,
    runlog::sink::Silence,
    vmm::{Image, Request},
};

/// Prints the names of the tests.
///
/// # Errors
///
/// An image cannot be used.
pub fn list(config: &TestConfig) -> Result<(), Error> {
    let images = open(config)?;
    report::list(&select::cases(&images, &config.selection).0)
}

/// Runs the tests, and reports each.
///
/// # Errors
///
/// A test failed, or an image or the machine cannot be used.
pub fn run(system: &Platform, jail: &Jail, config: &TestConfig) -> Result<(), Error> {
    let started = Instant::now();
    // This reads the size of this machine's memory, which a thread in the jail could not.
    check_size(config.memory.into())?;
    let images = open(config)?;
    let missing = missing_modes(system, config, &images)?;
    let (cases, filtered_out) = select::cases(&images, &config.selection);
    let mut silence = Silence;
    // Each test has a new VM, as some of the explorer's trials have.
    let needs = Needs { explores: true, ..Needs::default() }.on(&system.engines(&images)?);
    let session = Session::start(&config.limits, jail, needs, &mut silence)?;
    session.confine()?;
    let mut report = Report::begin(cases.len(), filtered_out)?;
    for case in &cases {
        report.begin_case(case)?;
        let verdict = match (&missing[case.image], case.ignored(&config.selection)) {
            (Some(why), _) => Verdict::Ignored(why.clone()),
            (None, Some(why)) => Verdict::Ignored(why.into()),
            (None, None) => case::run(system, config, &session, &images[case.image], case.test)?,
        };
        report.end_case(case, verdict)?;
    }
    report.end(started.elapsed())
}

fn open(config: &TestConfig) -> Result<Vec<Image>, Error> {
    let open = |path: &PathBuf| {
        let image = open::read_image(path, Request::default())?;
        match image.tests() {
            [] => Err(Error::Usage(format!(
                "image {}: there are no tests in it; guest_rt::tests! makes an image of tests",
                path.display()
            ))),
            _ => Ok(image),
        }
    };
    config.images.iter().map(open).collect()
}

/// Returns for each image the reason why its tests cannot run here, if its mode is missing.
fn missing_modes(
    system: &Platform,
    config: &TestConfig,
    images: &[Image],
) -> Result<Vec<Option<String>>, Error> {
    let mut missing = Vec::new();
    for image in images {
        missing.push(match open::open(system, image.path(), Request::default(), config.memory) {
            Ok(_) => None,
            Err(Error::ModeMissing { mode, .. }) => {
                let module = module_name().unwrap_or_else(|| "KVM".into());
                Some(format!("{module} here has no {mode} mode"))
            }
            Err(error) => return Err(error),
        });
    }
    Ok(missing)
}

impl<'a> Case<'a> {
    /// Returns the reason of an `#[ignore]` mark, if marked tests are not selected.
    fn ignored(&self, selection: &Selection) -> Option<&'a str> {
        self.test.ignored.as_deref().filter(|_| !selection.marked)
    }
}
