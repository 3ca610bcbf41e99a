//! The script that the nested machine's first process follows.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use super::programs::Programs;
use crate::base::output;
use crate::error::Status;

/// Variables that mean the tests, and are theirs in the machine as well.
const HANDED_ON: [&str; 3] = ["RUST_", "PROPTEST_", "GUESTLAB_TEST_"];

/// What is to be run, and in which environment.
#[derive(Debug)]
pub(crate) struct Plan {
    folder: PathBuf,
    environment: Vec<(String, String)>,
    /// The name of each run, then its program and arguments.
    runs: Vec<(String, Vec<String>)>,
}

impl Plan {
    /// The tests, each with these words, after `doctor`: where that fails, the rest is in vain. The last are
    /// those inside guests, in these images.
    pub(crate) fn new(programs: &Programs, images: &Path, tests: &[&Path], words: &[String]) -> Plan {
        let colour = if output::coloured(&std::io::stdout()) { "--color=always" } else { "--color=never" };
        let doctor = ("guestlab doctor".to_owned(), vec![text(&programs.guestlab), "doctor".to_owned()]);
        let host = programs.tests.iter().map(|test| {
            let command = [text(&test.program), colour.to_owned()];
            (test.name.clone(), command.into_iter().chain(words.iter().cloned()).collect())
        });
        let guests = (!tests.is_empty()).then(|| {
            let images = tests.iter().flat_map(|path| ["--image".to_owned(), text(path)]);
            let command = [text(&programs.guestlab), "test".to_owned()].into_iter().chain(images);
            ("tests inside guests".to_owned(), command.chain(words.iter().cloned()).collect())
        });
        Plan {
            folder: programs.folder.clone(),
            environment: environment(images, env::vars_os().filter_map(texts)),
            runs: [doctor].into_iter().chain(host).chain(guests).collect(),
        }
    }

    /// The script, for a shell that knows `load` and `run`.
    pub(crate) fn script(&self, modules: &[PathBuf]) -> String {
        let load = modules.iter().map(|module| line("load", &[text(&module_path(module))]));
        let export =
            self.environment.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value)));
        let folder = line("cd", &[text(&self.folder)]);
        let runs = self.runs.iter().map(|(name, command)| {
            let words: Vec<String> = [name].into_iter().chain(command).cloned().collect();
            line("run", &words)
        });
        let load = format!("load_all() {{\n{}}}\n", load.collect::<String>());
        let run = format!("run_all() {{\n{folder}{}}}\n", runs.collect::<String>());
        format!("{}{load}{run}", export.collect::<String>())
    }
}

/// Where a module is in the machine.
pub(crate) fn module_path(module: &Path) -> PathBuf {
    Path::new("/modules").join(module.file_name().unwrap_or_default())
}

fn environment(images: &Path, inherited: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let handed_on = inherited.filter(|(name, _)| HANDED_ON.iter().any(|prefix| name.starts_with(prefix)));
    // Emulated, what is only much of the same takes too long (host/tests/hostile.rs).
    let brief = ("GUESTLAB_TEST_BRIEF".to_owned(), "1".to_owned());
    let own = [("GUESTLAB_IMAGES".to_owned(), text(images)), brief];
    own.into_iter().chain(handed_on).collect()
}

/// A command of the script.
fn line(command: &str, words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("{command} {}\n", words.join(" "))
}

/// A word, as a shell reads it whatever is in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Cargo's messages are text, and so are the paths in them.
fn text(path: &Path) -> String {
    path.display().to_string()
}

fn texts((name, value): (std::ffi::OsString, std::ffi::OsString)) -> Option<(String, String)> {
    Some((name.into_string().ok()?, value.into_string().ok()?))
}

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
    fn a_plan_is_a_script_of_quoted_words() {
        let plan = Plan {
            folder: "/src/host".into(),
            environment: vec![("RUST_BACKTRACE".into(), "1".into())],
            runs: vec![("tests/a.rs".into(), vec!["/t/a".into(), "it's".into()])],
        };
        let expected = "export RUST_BACKTRACE='1'\n\
                        load_all() {\nload '/modules/kvm.ko'\n}\n\
                        run_all() {\ncd '/src/host'\nrun 'tests/a.rs' '/t/a' 'it'\\''s'\n}\n";
        assert_eq!(plan.script(&["/copy/lib/kvm.ko".into()]), expected);
    }

    #[test]
    fn only_what_means_the_tests_is_handed_on() {
        let inherited = [("PATH", "/bin"), ("RUST_TEST_THREADS", "1"), ("GUESTLAB_IMAGES", "/other")];
        let inherited = inherited.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let expected =
            [("GUESTLAB_IMAGES", "/images"), ("GUESTLAB_TEST_BRIEF", "1"), ("RUST_TEST_THREADS", "1")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(environment(Path::new("/images"), inherited), expected);
    }
}

#[cfg(test)]
mod report_tests {
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
