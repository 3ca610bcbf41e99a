//! The list of submissions, as JSON lines.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::{
    lab::error::Error,
    process::files,
    runlog::{grade::Submission, text::escape_line},
};

/// The size limit of a list in bytes.
const MAX_SIZE: u64 = 64 << 20;

/// The most characters of a name in a file name.
const LONGEST: usize = 80;

/// A submission of the list.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) submission: Submission,
    /// The path of its image.
    pub(super) image: Option<PathBuf>,
    /// A file name that no other entry has, without an end.
    pub(super) file: String,
}

/// Reads a list.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, Error> {
    let refused = |problem: &dyn std::fmt::Display| {
        Error::Usage(format!("cannot read the list of submissions {}: {problem}", path.display()))
    };
    let bytes = files::read(path, MAX_SIZE).map_err(|error| refused(&error))?;
    let text = String::from_utf8(bytes).map_err(|_| refused(&"it is not UTF-8 text"))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut names = BTreeSet::new();
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let entries: Result<Vec<Entry>, Error> = lines
        .map(|(at, line)| {
            let submission: Submission = serde_json::from_str(line)
                .map_err(|error| refused(&format_args!("line {}: {error}", at + 1)))?;
            let image = submission.image.as_ref().map(|image| folder.join(image));
            let file = distinct(&file_name(&submission), &mut names);
            Ok(Entry { submission, image, file })
        })
        .collect();
    match entries {
        Ok(entries) if entries.is_empty() => Err(refused(&"there is no submission in it")),
        entries => entries,
    }
}

/// Returns a file name of plain characters for a submission.
fn file_name(submission: &Submission) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = escape_line(&submission.name).chars().take(LONGEST).map(plain).collect();
    match submission.role {
        Some(role) => format!("{}-{}", name.trim_start_matches('.'), role.name()),
        None => name.trim_start_matches('.').to_owned(),
    }
}

/// Returns the name, with a number behind it if there is such a name already.
fn distinct(name: &str, names: &mut BTreeSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut all = [name.to_owned()].into_iter().chain(numbered);
    all.find(|name| names.insert(name.clone())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Result<Vec<Entry>, Error> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("list.jsonl");
        std::fs::write(&path, text).expect("written");
        read(&path)
    }

    #[test]
    fn every_entry_has_a_file_name_of_its_own_in_one_folder() {
        let line = |name: &str| {
            let name = serde_json::to_string(name).expect("JSON");
            format!("{{\"name\":{name},\"role\":\"producer\",\"image\":\"x/a.elf\"}}\n")
        };
        let entries =
            list(&["../ada", "../ada", "a b\u{1b}/c", "..", ""].map(line).concat()).expect("a list");
        let names: Vec<&str> = entries.iter().map(|entry| entry.file.as_str()).collect();
        assert_eq!(names[..2], ["_ada-producer", "_ada-producer-2"]);
        assert!(names.iter().all(|name| !name.contains('/') && !name.starts_with('.')), "{names:?}");
        assert!(entries[0].image.as_ref().is_some_and(|image| image.ends_with("x/a.elf")));
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, problem) in [
            ("", "there is no submission in it"),
            ("{\"name\":\"ada\"}\nada\n", "line 2: "),
            ("{\"image\":\"a\"}", "line 1: missing field `name`"),
        ] {
            let error = list(text).expect_err("refused").to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
