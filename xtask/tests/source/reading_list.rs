//! The files of the guide's reading list are few and short enough for one evening.

use std::fs;

use crate::common;

/// The files that the guide leads through, in their order.
fn reading_list() -> Vec<String> {
    let page = fs::read_to_string(common::root().join("docs/guide/reading.md")).expect("the page");
    let file = |line: &str| {
        let (_, row) = line.strip_prefix("| ")?.split_once(" | `")?;
        Some(row.split_once('`')?.0.to_owned())
    };
    page.lines().filter_map(file).collect()
}

/// The number of lines of a file, without its tests.
fn lines_of_code(file: &str) -> usize {
    let text =
        fs::read_to_string(common::root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    text.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

#[test]
fn the_reading_list_has_twelve_files_and_less_than_2500_lines() {
    let files = reading_list();
    assert_eq!(files.len(), 12, "{files:?}");
    let lines: Vec<usize> = files.iter().map(|file| lines_of_code(file)).collect();
    let sum: usize = lines.iter().sum();
    assert!(sum < 2500, "{sum} lines: {lines:?}");
}
