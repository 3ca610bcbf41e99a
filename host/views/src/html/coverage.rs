//! The page about coverage: a table of files, and the source of each, line by line.

use std::collections::BTreeMap;

use guestlab_runlog::{
    coverage::{FileReport, Part, Report, Totals},
    text::{escape_control, escape_line},
};
use maud::{Markup, html};

use super::{number::grouped, shell};
use crate::coverage::percent;

/// The most lines of one file that are shown.
const MOST_LINES: usize = 20_000;

/// The page about the coverage of some files. `sources` has the text of those that were found.
///
/// All text of a file or an image is escaped, as on the page of a run.
pub fn coverage_page(report: &Report, sources: &BTreeMap<String, String>) -> String {
    let content = html! {
        (head(report))
        (table(report))
        @for (index, (path, file)) in report.files.iter().enumerate() {
            (listing(index, path, file, sources.get(path).map(String::as_str)))
        }
    };
    let footer =
        "Made by Guestlab from executed instructions and debug information. This page needs no network.";
    escape_control(&shell::document("Coverage", &content, footer, None).into_string()).to_string()
}

fn head(report: &Report) -> Markup {
    let Totals { lines, functions, branches } = report.totals();
    let parts = [("lines", lines), ("functions", functions), ("branches", branches)];
    html! {
        header {
            h1 { "Coverage" }
            p { "The source lines, functions and branches that guests executed. A branch is a conditional jump of the machine code, with two outcomes." }
        }
        section aria-label="Summary" {
            dl.facts {
                div { dt { "files" } dd { (grouped(report.files.len() as u64)) } }
                @for (name, part) in parts {
                    div { dt { (name) } dd data-hit=(part.hit) data-all=(part.all) { (share(part)) } }
                }
            }
        }
    }
}

fn share(part: Part) -> String {
    percent(part).unwrap_or_else(|| "none".into())
}

fn table(report: &Report) -> Markup {
    html! {
        div.wide { table.numbers.files {
            thead { tr { th.text { "file" } th { "lines" } th {} th { "functions" } th {} th { "branches" } th {} } }
            tbody { @for (index, (path, file)) in report.files.iter().enumerate() {
                @let Totals { lines, functions, branches } = file.totals();
                tr {
                    th.text scope="row" { a href=(format!("#file-{index}")) { (escape_line(path)) } }
                    @for part in [lines, functions, branches] {
                        td { @if part.all > 0 { (grouped(part.hit)) " / " (grouped(part.all)) } }
                        td { span class=(format!("grade {}", class(part))) { (share(part)) } }
                    }
                }
            } }
        } }
    }
}

fn class(part: Part) -> &'static str {
    match part.per_mille() {
        Some(0..500) => "bad",
        Some(500..900) => "open",
        Some(_) => "good",
        None => "",
    }
}

/// The lines of a file. Without its source there are only those that have code.
fn listing(index: usize, path: &str, file: &FileReport, source: Option<&str>) -> Markup {
    let texts: Vec<&str> = source.map_or_else(Vec::new, |source| source.lines().collect());
    let last = file.lines.keys().next_back().map_or(0, |line| *line as usize);
    let all = texts.len().max(if source.is_some() { last } else { 0 });
    let numbers: Vec<u32> = match source {
        Some(_) => (1..).take(all.min(MOST_LINES)).collect(),
        None => file.lines.keys().copied().take(MOST_LINES).collect(),
    };
    html! {
        section.file id=(format!("file-{index}")) {
            h2 { (escape_line(path)) }
            @if source.is_none() { p.hint { "The source was not found: these are the numbers of its lines that have code." } }
            @if all.max(file.lines.len()) > MOST_LINES { p.hint { "Only the first " (grouped(MOST_LINES as u64)) " lines are shown." } }
            div.wide { table.source { tbody {
                @for number in numbers {
                    (line(number, file, number.checked_sub(1).and_then(|index| texts.get(index as usize))))
                }
            } } }
        }
    }
}

fn line(number: u32, file: &FileReport, text: Option<&&str>) -> Markup {
    let executed = file.lines.get(&number);
    let outcomes =
        file.branches.range((number, 0)..=(number, u32::MAX)).flat_map(|(_, branch)| branch.outcomes());
    let (mut reached, mut missed) = (0, 0_u64);
    for count in outcomes {
        *(if count > 0 { &mut reached } else { &mut missed }) += 1;
    }
    let (class, mark) = match executed {
        None => ("", ""),
        Some(0) => ("miss", "✗"),
        // A branch that the executed part of the line does not have is no hint.
        Some(_) if missed > 0 && reached > 0 => ("part", "!"),
        Some(_) => ("hit", "✓"),
    };
    html! {
        tr class=[(!class.is_empty()).then_some(class)] {
            th { (number) }
            td.mark { (mark) }
            td { @if let Some(executed) = executed { (grouped(*executed)) } }
            td { @if reached + missed > 0 { (reached) "/" (reached + missed) } }
            td.text { @if let Some(text) = text { (escape_line(text)) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use guestlab_runlog::coverage::Branch;

    use super::*;

    #[test]
    fn each_line_has_its_count_and_no_text_is_markup() {
        let mut report = Report::default();
        for (line, executed) in [(1, 0), (2, 1234), (3, 5), (70, 1)] {
            report.add_line("a<b>.rs", line, executed);
        }
        report.add_branch("a<b>.rs", 3, 0, Branch { executed: 5, jumped: 5 });
        report.add_branch("a<b>.rs", 2, 0, Branch { executed: 4, jumped: 1 });
        report.add_line("gone.rs", 9, 0);
        let text = "fn f() {\n\t<script>\u{1b}\n}\n".to_owned();
        let page = coverage_page(&report, &BTreeMap::from([("a<b>.rs".into(), text)]));
        for part in [
            "<tr class=\"miss\"><th>1</th><td class=\"mark\">✗</td><td>0</td>",
            "<tr class=\"hit\"><th>2</th><td class=\"mark\">✓</td><td>1,234</td><td>2/2</td>",
            "<tr class=\"part\"><th>3</th><td class=\"mark\">!</td><td>5</td><td>1/2</td>",
            "<tr class=\"miss\"><th>9</th>",
            "a&lt;b&gt;.rs",
            "&lt;script&gt;\\x1b",
            "data-hit=\"3\" data-all=\"5\"",
            "The source was not found",
            "script-src 'none'",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert_eq!(page.matches("<tr class=\"miss\">").count(), 2);
        assert!(!page.contains("<script") && !page.contains('\u{1b}'), "{page}");
    }

    #[test]
    fn a_line_far_behind_the_source_does_not_make_an_endless_page() {
        let mut report = Report::default();
        report.add_line("a.rs", u32::MAX, 1);
        let page = coverage_page(&report, &BTreeMap::from([("a.rs".into(), String::new())]));
        assert!(page.len() < 4 << 20 && page.contains("Only the first 20,000 lines"));
    }
}
