//! Failures of runs: a guest that failed, with the report about it, and a replay that differs.

use std::{borrow::Cow, fmt};

use crate::{
    debug::crash_report::{CrashDump, Report, ReportOptions},
    lab::{guest_end::GuestEnd, hints},
    runlog::text::escape_line,
};

/// The failure of a guest.
#[derive(Debug)]
pub struct GuestError {
    /// The guest and its turn.
    pub at: GuestPosition,
    /// The way in which it ended.
    pub end: GuestEnd,
    /// The state of its machine.
    pub evidence: Option<CrashDump>,
}

impl GuestError {
    /// Returns a hint for the guest's author.
    pub fn hint(&self) -> Cow<'static, str> {
        hints::hint(&self.end, self.evidence.as_ref())
    }

    /// Returns the report about the state of the machine.
    pub fn report(&self) -> Option<Report> {
        let file;
        let wanted = match &self.end {
            GuestEnd::Panicked(report) => {
                file = String::from_utf8_lossy(&report.file);
                ReportOptions::CallsTo(&file, report.line)
            }
            GuestEnd::Crashed(crash) if !crash.is_the_cpus() => ReportOptions::Calls,
            GuestEnd::Refused(_) | GuestEnd::Exited(_) | GuestEnd::ExitPort(_) | GuestEnd::Exits(_) => {
                ReportOptions::Calls
            }
            GuestEnd::Crashed(_) | GuestEnd::Deadline(_) | GuestEnd::TurnTimeout(_) => ReportOptions::All,
        };
        self.evidence.as_ref().map(|evidence| Report::of(evidence, wanted))
    }
}

/// A guest and its turn in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestPosition {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    pub name: String,
    /// The turn, from 1; `None` outside of one.
    pub turn: Option<u64>,
}

impl fmt::Display for GuestPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vm, name, turn } = self;
        write!(f, "VM {vm}, {}", escape_line(name))?;
        turn.map_or(Ok(()), |turn| write!(f, ", turn {turn}"))
    }
}

impl std::error::Error for GuestError {}

impl fmt::Display for GuestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, end, .. } = self;
        write!(f, "{at}: {end}\n  try: {}", self.hint())?;
        self.report().map_or(Ok(()), |report| write!(f, "{report}"))
    }
}

/// A difference between a replay and its recording.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it differs at turn {turn}\n  recorded: {recorded}\n  replayed: {replayed}{hint}")]
pub struct Difference {
    /// The turn, from 1.
    pub turn: u64,
    /// The recorded side, as JSON.
    pub recorded: String,
    /// The replayed side, as JSON.
    pub replayed: String,
    /// A line of advice, with the line break before it; or nothing.
    pub hint: String,
}
