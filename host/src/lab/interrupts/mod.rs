//! The search among interrupts: the timer's interrupt at each place of a guest where it can come, then at pairs of places.
//!
//! The interrupt comes at a place because the guest stands still there until its timer is due, as on a busy host. So a
//! failure is one that the guest can have anywhere. Between two places nothing but the guest's own instructions is run: a
//! machine returns to the place before.
//!
//! ```text
//! search (which places) -> Trials (a run with pauses) -> Subject (how it ended) -> report
//! ```

mod budget;
mod config;
mod report;
mod search;
mod subject;
mod trial;

pub use config::InterruptsConfig;

use crate::{
    lab::{error::Error, needs::Needs, open, session::Session, vm::Platform},
    process::jail::Jail,
    runlog::sink::Silence,
    vmm::{Image, Request},
};
use report::Report;
use search::{Found, search};
use subject::{Ending, Subject};
use trial::Trials;

/// Searches for places at which the timer's interrupt makes a guest fail, or one of the tests in an image.
///
/// # Errors
///
/// [`Error::Guest`] if a guest failed. Other errors are not the guest's.
pub fn run(platform: &Platform, jail: &Jail, config: &InterruptsConfig) -> Result<(), Error> {
    let request = Request { mode: config.mode, ..Request::default() };
    let image = open::open(platform, &config.source.path, request, config.memory)?;
    if image.start().is_foreign() {
        return Err(Error::Usage(
            "interrupts are explored for guests that are built with guest-rt: no others have a timer".into(),
        ));
    }
    let needs = Needs { explores: true, ..Needs::default() }.on(platform.engine(&image)?.name());
    let mut silence = Silence;
    let session = Session::start(&config.limits, jail, needs, &mut silence)?;
    session.confine()?;
    subjects(&image).iter().try_for_each(|subject| explore(platform, config, &session, subject))
}

/// Returns the guest, or the tests of an image in the order of their names.
fn subjects(image: &Image) -> Vec<Subject<'_>> {
    let mut tests: Vec<_> = image.tests().iter().filter(|test| test.ignored.is_none()).collect();
    tests.sort_by(|one, other| one.name.cmp(&other.name));
    match image.tests() {
        [] => vec![Subject { image, test: None }],
        _ => tests.into_iter().map(|test| Subject { image, test: Some(test) }).collect(),
    }
}

fn explore(
    platform: &Platform,
    config: &InterruptsConfig,
    session: &Session<'_>,
    subject: &Subject<'_>,
) -> Result<(), Error> {
    let report = Report { subject, config };
    let mut trials = match Trials::new(platform, config, session, subject)? {
        Ok(trials) => trials,
        Err(ending) => {
            report.fails_undisturbed()?;
            return Err(report.error(ending)?);
        }
    };
    let (searched, found) = search(&mut trials, config)?;
    let Some(Found { pauses, ending }) = found else { return report.holds(trials.end(), &searched) };
    report.found(&mut trials, &searched, &pauses)?;
    // What ended by its number of instructions is run again, to the deadline: then the report is that of `run`.
    let is_endless = matches!(&ending, Ending::Failed(error) if error.end.is_time_dependent());
    let ending = if is_endless { trials.run_for_long(&pauses)? } else { ending };
    Err(report.error(ending)?)
}
