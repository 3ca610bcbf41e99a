//! docs/ends.md says how guests can end: each of its rows is run.

use crate::common::{self, can_run_guests, guestlab, text};

/// A row of the table.
struct Row<'a> {
    arguments: Vec<&'a str>,
    status: i32,
    beginning: &'a str,
}

fn rows(document: &str) -> Vec<Row<'_>> {
    let cells = document.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    cells
        .filter_map(|line| {
            let [_, arguments, status, beginning] = line.split(" | ").collect::<Vec<_>>().try_into().ok()?;
            let arguments = arguments.trim_matches('`').split(' ').collect();
            Some(Row { arguments, status: status.parse().ok()?, beginning })
        })
        .collect()
}

#[test]
fn every_way_to_end_is_as_the_document_says() {
    let rows = rows(include_str!("../../../docs/ends.md"));
    assert!(rows.len() >= 30, "the table has {} rows", rows.len());
    if can_run_guests() {
        for Row { arguments, status, beginning } in rows {
            // The interpreter has an x87, which KVM does not emulate: docs/engines.md.
            if arguments == ["loads-float"] && !common::is_for_kvm() {
                continue;
            }
            let output = guestlab(&[&["run"], &arguments[..]].concat());
            let err = text(&output.stderr);
            assert_eq!(output.status.code(), Some(status), "{arguments:?}: {err}");
            let mut lines = err.lines().filter_map(|line| line.strip_prefix("guestlab: "));
            let line = lines.next_back().unwrap_or_default();
            match beginning.strip_suffix("...") {
                Some(beginning) => assert!(line.starts_with(beginning), "{arguments:?}: {line}"),
                None => assert_eq!(line, beginning, "{arguments:?}"),
            }
        }
    }
}
