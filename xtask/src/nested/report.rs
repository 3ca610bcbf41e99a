//! What the nested machine's first process reports through a port of its own: a line a program,
//! `STATUS NAME`, and a last one.

use std::fmt;

use crate::error::Status;

/// The line that says that everything was run.
const END: &str = "end";

/// How each program ended.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Report(Vec<Ending>);

/// How one program ended.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Ending {
    name: String,
    status: Status,
}

impl Report {
    /// Reads a report; one that was cut off, because the machine did not come to its end, is none.
    pub(crate) fn parse(text: &str) -> Option<Report> {
        let (lines, rest) = text.split_once(&format!("{END}\n"))?;
        let endings = lines.lines().map(ending).collect::<Option<Vec<_>>>()?;
        rest.is_empty().then_some(Report(endings))
    }

    /// The programs that failed.
    pub(crate) fn failures(&self) -> impl Iterator<Item = &Ending> {
        self.0.iter().filter(|ending| !ending.status.is_success())
    }

    /// The status of the first program that failed.
    pub(crate) fn status(&self) -> Status {
        self.failures().next().map_or(Status::SUCCESS, |failure| failure.status)
    }
}

fn ending(line: &str) -> Option<Ending> {
    let (status, name) = line.split_once(' ')?;
    Some(Ending { name: name.to_owned(), status: Status::from_shell(status.parse().ok()?) })
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed with status {}", self.name, self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_the_status_and_all_are_named() {
        let report = Report::parse("0 doctor\n101 tests/a.rs\n137 tests/b.rs\nend\n").unwrap();
        assert_eq!(report.status(), Status::from_shell(101));
        let failures: Vec<String> = report.failures().map(ToString::to_string).collect();
        assert_eq!(failures, ["tests/a.rs failed with status 101", "tests/b.rs failed with status 137"]);
    }

    #[test]
    fn success_is_success_of_all() {
        assert_eq!(Report::parse("0 a\n0 b\nend\n").unwrap().status(), Status::SUCCESS);
    }

    #[test]
    fn a_report_that_was_cut_off_is_none() {
        for text in ["", "0 a\n", "0 a\nen", "0 a\nend", "zero a\nend\n", "0 a\nend\n0 b\n"] {
            assert_eq!(Report::parse(text), None, "{text:?}");
        }
    }
}
