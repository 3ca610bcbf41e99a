//! The report of tests, in the form of cargo's.

use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::{case::Verdict, select::Case};
use crate::{lab::error::Error, output, runlog::text::escape_line};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const LEFT_OUT: Style = AnsiColor::Yellow.on_default();

/// The size limit of the kept output of failed tests, in bytes. Each may print as much as `--max-output` allows.
const MOST_KEPT: usize = 64 << 20;

/// Prints the names of tests.
pub(super) fn list(cases: &[Case<'_>]) -> Result<(), Error> {
    cases.iter().try_for_each(|case| output::line(&format!("{}: test", escape_line(&case.name))))?;
    output::line(&format!("\n{}, 0 benchmarks", count(cases.len())))
}

/// A report in progress.
pub(super) struct Report {
    passed: usize,
    ignored: usize,
    filtered_out: usize,
    /// The names of the failed tests, with their output.
    failed: Vec<(String, String)>,
    /// The size of that output in bytes.
    kept: usize,
}

impl Report {
    pub(super) fn begin(tests: usize, filtered_out: usize) -> Result<Self, Error> {
        output::line(&format!("\nrunning {}", count(tests)))?;
        Ok(Self { passed: 0, ignored: 0, filtered_out, failed: Vec::new(), kept: 0 })
    }

    /// Writes the test's name while it runs.
    pub(super) fn begin_case(&self, case: &Case<'_>) -> Result<(), Error> {
        let should_panic = if case.test.should_panic.is_some() { " - should panic" } else { "" };
        output::begin_line(&format!("test {}{should_panic} ... ", escape_line(&case.name)))
    }

    pub(super) fn end_case(&mut self, case: &Case<'_>, verdict: Verdict) -> Result<(), Error> {
        match verdict {
            Verdict::Passed => {
                self.passed += 1;
                output::line(&painted(GOOD, "ok"))
            }
            Verdict::Ignored(why) => {
                self.ignored += 1;
                let why = if why.is_empty() { why } else { format!(", {}", escape_line(&why)) };
                output::line(&(painted(LEFT_OUT, "ignored") + &why))
            }
            Verdict::Failed(why) => {
                self.keep(&case.name, why);
                output::line(&painted(BAD, "FAILED"))
            }
        }
    }

    fn keep(&mut self, name: &str, why: String) {
        let fits = self.kept + why.len() <= MOST_KEPT;
        let most = MOST_KEPT >> 20;
        let why = if fits { why } else { format!("left out: the failures before it said {most} MiB\n") };
        self.kept += why.len();
        self.failed.push((escape_line(name), why));
    }

    /// Writes the failures, and the line that counts all tests.
    pub(super) fn end(self, took: Duration) -> Result<(), Error> {
        let Self { passed, ignored, filtered_out, failed, .. } = self;
        if !failed.is_empty() {
            output::line("\nfailures:\n")?;
            for (name, why) in &failed {
                output::line(&format!("---- {name} ----\n{why}"))?;
            }
            output::line("failures:")?;
            failed.iter().try_for_each(|(name, _)| output::line(&format!("    {name}")))?;
        }
        let (verdict, failed) = match failed.len() {
            0 => (painted(GOOD, "ok"), 0),
            failed => (painted(BAD, "FAILED"), failed),
        };
        let took = took.as_secs_f64();
        output::line(&format!(
            "\ntest result: {verdict}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; {filtered_out} filtered out; finished in {took:.2}s\n"
        ))?;
        if failed == 0 { Ok(()) } else { Err(Error::Tests(failed)) }
    }
}

fn count(tests: usize) -> String {
    format!("{tests} test{}", if tests == 1 { "" } else { "s" })
}

fn painted(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failures_said_is_kept_up_to_a_limit() {
        let mut report =
            Report { passed: 0, ignored: 0, filtered_out: 0, failed: Vec::new(), kept: MOST_KEPT - 10 };
        report.keep("one", "0123456789".into());
        report.keep("two", "0".into());
        let said: Vec<&str> = report.failed.iter().map(|(_, why)| why.as_str()).collect();
        assert_eq!(said, ["0123456789", "left out: the failures before it said 64 MiB\n"]);
    }
}
