//! The script of the nested machine's first process, and its report.

use std::env;
use std::path::{Path, PathBuf};

use super::programs::Programs;
use crate::{base::output, error::Status};

const PASSED_ON: [&str; 3] = ["RUST_", "PROPTEST_", "GUESTLAB_TEST_"];

#[derive(Debug)]
pub(crate) struct Plan {
    environment: Vec<(String, String)>,
    /// A folder each, and a name, a program and its arguments.
    runs: Vec<(PathBuf, Vec<String>)>,
}

impl Plan {
    /// Plans `guestlab doctor`, the host's tests with these words, and last the tests inside guests, in these images.
    pub(crate) fn new(programs: &Programs, images: &Path, tests: &[&Path], words: &[String]) -> Plan {
        let color = if output::is_colored(&std::io::stdout()) { "--color=always" } else { "--color=never" };
        let run = |folder: &Path, name: &str, program: &Path, arguments: &[String]| {
            (folder.to_path_buf(), [&[name.to_owned(), text(program)], arguments].concat())
        };
        let root = Path::new("/");
        let mut runs = vec![run(root, "guestlab doctor", &programs.guestlab, &["doctor".into()])];
        let host_words = [&[color.to_owned()], words].concat();
        runs.extend(programs.tests.iter().map(|it| run(&it.folder, &it.name, &it.program, &host_words)));
        if !tests.is_empty() {
            let images = tests.iter().flat_map(|path| ["--image".to_owned(), text(path)]);
            let words = ["test".to_owned()].into_iter().chain(images).chain(words.iter().cloned());
            runs.push(run(root, "tests inside guests", &programs.guestlab, &words.collect::<Vec<_>>()));
        }
        Plan { environment: environment(images, env::vars_os().filter_map(texts)), runs }
    }

    pub(crate) fn script(&self, modules: &[PathBuf]) -> String {
        let load = modules.iter().map(|module| line("load", &[text(&module_path(module))]));
        let export =
            self.environment.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value)));
        let runs = self.runs.iter().map(|(folder, words)| line("cd", &[text(folder)]) + &line("run", words));
        let load = format!("load_all() {{\n{}}}\n", load.collect::<String>());
        let run = format!("run_all() {{\n{}}}\n", runs.collect::<String>());
        format!("{}{load}{run}", export.collect::<String>())
    }
}

pub(crate) fn module_path(module: &Path) -> PathBuf {
    Path::new("/modules").join(module.file_name().unwrap_or_default())
}

fn environment(images: &Path, inherited: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let passed_on = inherited.filter(|(name, _)| PASSED_ON.iter().any(|prefix| name.starts_with(prefix)));
    // Long tests of one thing take too long under emulation (host/tests/hostile.rs).
    let brief = ("GUESTLAB_TEST_BRIEF".to_owned(), "1".to_owned());
    [("GUESTLAB_IMAGES".to_owned(), text(images)), brief].into_iter().chain(passed_on).collect()
}

fn line(command: &str, words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("{command} {}\n", words.join(" "))
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn texts((name, value): (std::ffi::OsString, std::ffi::OsString)) -> Option<(String, String)> {
    Some((name.into_string().ok()?, value.into_string().ok()?))
}

const END: &str = "end";

/// The names of the programs that ran, with their statuses.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Report(Vec<(String, Status)>);

impl Report {
    /// Reads a complete report: lines of `STATUS NAME`.
    pub(crate) fn parse(text: &str) -> Option<Report> {
        let (lines, rest) = text.split_once(&format!("{END}\n"))?;
        let ending = |line: &str| {
            let (status, name) = line.split_once(' ')?;
            Some((name.to_owned(), Status::from_shell(status.parse().ok()?)))
        };
        let endings = lines.lines().map(ending).collect::<Option<Vec<_>>>()?;
        rest.is_empty().then_some(Report(endings))
    }

    /// Describes each failure.
    pub(crate) fn failures(&self) -> impl Iterator<Item = String> {
        let failed = self.0.iter().filter(|(_, status)| !status.is_success());
        failed.map(|(name, status)| format!("{name} failed with status {status}"))
    }

    /// The status of the first program that failed.
    pub(crate) fn status(&self) -> Status {
        let failed = self.0.iter().find(|(_, status)| !status.is_success());
        failed.map_or(Status::SUCCESS, |(_, status)| *status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_a_script_of_quoted_words() {
        let plan = Plan {
            environment: vec![("RUST_BACKTRACE".into(), "1".into())],
            runs: vec![("/src/host".into(), vec!["tests/a.rs".into(), "/t/a".into(), "it's".into()])],
        };
        let expected = "export RUST_BACKTRACE='1'\n\
                        load_all() {\nload '/modules/kvm.ko'\n}\n\
                        run_all() {\ncd '/src/host'\nrun 'tests/a.rs' '/t/a' 'it'\\''s'\n}\n";
        assert_eq!(plan.script(&["/copy/lib/kvm.ko".into()]), expected);
    }

    #[test]
    fn only_variables_of_tests_are_passed_on() {
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
        let failures: Vec<String> = report.failures().collect();
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
