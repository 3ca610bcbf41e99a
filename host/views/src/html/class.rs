//! The page about a class: a row for each submission.

use std::path::Path;

use guestlab_runlog::{
    grade::{Grade, Row},
    text::{escape_control, escape_line},
};
use maud::{Markup, html};

use super::{number::grouped, shell, summary::side};

/// The page about the submissions of a class. Its links lead to recordings in a folder beside it.
///
/// All text of a submission is escaped, as on the page of a run.
pub fn class_page(rows: &[&Row]) -> String {
    let content = html! { (head(rows)) (table(rows)) };
    let footer = "Made by Guestlab from the verdicts of its searches. This page needs no network.";
    escape_control(&shell::document("Grades", &content, footer, None).into_string()).to_string()
}

fn head(rows: &[&Row]) -> Markup {
    let count = |grade: Grade| rows.iter().filter(|row| row.grade == grade).count() as u64;
    html! {
        header {
            h1 { "Grades" }
            p { "Each submission was searched for a schedule at which it fails, with Guestlab's own guest on the other side." }
        }
        section aria-label="Summary" {
            dl.facts {
                div { dt { "submissions" } dd { (grouped(rows.len() as u64)) } }
                @for grade in Grade::ALL {
                    div { dt { (grade.name()) } dd data-grade=(grade.name()) data-value=(count(grade)) { (grouped(count(grade))) } }
                }
            }
        }
    }
}

fn table(rows: &[&Row]) -> Markup {
    html! {
        div.wide { table.grades {
            thead { tr { th.text { "submission" } th.text { "side" } th.text { "grade" } th.text { "reason" } th.text { "shortest schedule" } } }
            tbody { @for row in rows { (line(row)) } }
        } }
    }
}

fn line(row: &Row) -> Markup {
    html! {
        tr data-name=(row.name) data-grade=(row.grade.name()) {
            th.text scope="row" { (escape_line(&row.name)) }
            td.text { @if let Some(role) = row.role { span class=(side(Some(role))) { (role.name()) } } }
            td.text { span class=(format!("grade {}", class(row.grade))) { (mark(row.grade)) " " (row.grade.name()) } }
            td.text.reason { (escape_line(&row.reason)) (more(row)) }
            td.text { @if let Some(trial) = &row.trial {
                @if trial.schedule.is_empty() { "before the first turn" } @else { code { (trial.schedule) } }
                br; small { "capacity " (trial.capacity) ", seed " (trial.seed) }
            } }
        }
    }
}

/// The parts of a row that are shown on request.
fn more(row: &Row) -> Markup {
    let recording = row.recording.as_deref().and_then(|path| Path::new(path).file_name()?.to_str());
    html! {
        @if row.details.is_some() || row.command.is_some() { details {
            summary { "more" }
            @if let Some(details) = &row.details { pre { (escape_control(details)) } }
            @if let Some(hint) = &row.hint { p { "Try: " (escape_line(hint)) } }
            @if let Some(command) = &row.command {
                p { @if row.trial.is_some() { "This repeats it:" } @else { "The search:" } }
                pre { (escape_line(command)) }
            }
            @if let Some(name) = recording {
                p { "Recording: " a href=(format!("recordings/{name}")) { (name) } }
            }
        } }
    }
}

fn class(grade: Grade) -> &'static str {
    match grade {
        Grade::Right => "good",
        Grade::Finding | Grade::Undecided => "open",
        Grade::Wrong | Grade::Unusable => "bad",
    }
}

/// A sign for those who do not see colours.
fn mark(grade: Grade) -> &'static str {
    match grade {
        Grade::Right => "✓",
        Grade::Finding => "!",
        Grade::Wrong | Grade::Unusable => "✗",
        Grade::Undecided => "…",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_on_the_page_and_no_text_of_it_is_markup() {
        let row: Row = serde_json::from_value(serde_json::json!({
            "name": "<b>ada\u{1b}", "role": "producer", "grade": "wrong", "reason": "pushed <into> a full ring",
            "details": "a\nb<script>", "hint": "look", "command": "cargo xtask run 'x'", "recording": "out/r/ada.jsonl",
            "trial": {"capacity": 2, "seed": 9, "produce": null, "consume": null, "schedule": "112"}
        }))
        .expect("a row");
        let page = class_page(&[&row, &Row { grade: Grade::Right, trial: None, ..row.clone() }]);
        assert_eq!(page.matches("<tr data-name").count(), 2);
        for text in [
            "&lt;b&gt;ada\\x1b",
            "pushed &lt;into&gt; a full ring",
            "a\nb&lt;script&gt;",
            "<code>112</code>",
            "href=\"recordings/ada.jsonl\"",
            "data-grade=\"wrong\" data-value=\"1\"",
            "script-src 'none'",
        ] {
            assert!(page.contains(text), "{text}: {page}");
        }
        assert!(!page.contains("<script") && !page.contains('\u{1b}'), "{page}");
    }
}
