//! The outcome of a fuzzer's run, read from its log (LLVM, "libFuzzer", "Output").

use std::path::PathBuf;

use crate::error::Status;

#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) runs: u64,
    pub(crate) rate: u64,
    pub(crate) coverage: u64,
    pub(crate) status: Status,
    pub(crate) reproducer: Option<PathBuf>,
    pub(crate) log: PathBuf,
}

impl Outcome {
    pub(super) fn of(text: &str, status: Status, log: PathBuf) -> Outcome {
        let after = |mark: &str| {
            let rest = &text[text.rfind(mark)? + mark.len()..];
            rest.split_whitespace().next()
        };
        let number = |mark: &str| after(mark).and_then(|word| word.parse().ok()).unwrap_or(0);
        Outcome {
            runs: number("stat::number_of_executed_units:"),
            rate: number("stat::average_exec_per_sec:"),
            coverage: number(" cov:"),
            status,
            reproducer: after("Test unit written to").map(PathBuf::from).filter(|_| !status.is_success()),
            log,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: &str = "#2\tINITED cov: 5 ft: 5 corp: 1/1b exec/s: 0 rss: 40Mb\n\
        #1032\tDONE   cov: 2856 ft: 5168 corp: 88/73Kb lim: 1309 exec/s: 114 rss: 87Mb\n\
        stat::number_of_executed_units: 1032\nstat::average_exec_per_sec:     114\n";

    #[test]
    fn a_run_without_a_finding_is_counted() {
        let outcome = Outcome::of(DONE, Status::SUCCESS, PathBuf::new());
        assert_eq!((outcome.runs, outcome.rate, outcome.coverage), (1032, 114, 2856));
        assert_eq!(outcome.reproducer, None);
    }

    #[test]
    fn a_finding_is_named() {
        let text = "#9 NEW cov: 7 ft: 1\n==1== ERROR: libFuzzer: deadly signal\n\
            artifact_prefix='/t/'; Test unit written to /t/crash-0a\nBase64: AA==\n";
        let outcome = Outcome::of(text, Status::BUG, PathBuf::new());
        assert_eq!((outcome.runs, outcome.coverage), (0, 7));
        assert_eq!(outcome.reproducer.as_deref(), Some("/t/crash-0a".as_ref()));
    }
}
