//! The page as a whole.

use maud::{Markup, html};

use super::{choices, columns::Columns, crash, exits, ring, shell, summary, transcript, turns};
use guestlab_runlog::{
    run_log::RunLog,
    text::{escape_control, escape_line},
};

/// The script that selects a turn.
const SCRIPT: &str = include_str!("page.js");

/// The page of a run.
///
/// All text of a guest or a file is escaped where it is inserted. Control characters, which HTML cannot express, are
/// escaped at the end.
pub fn page(log: &RunLog) -> String {
    escape_control(&document(log).into_string()).to_string()
}

fn document(log: &RunLog) -> Markup {
    let name = escape_line(summary::name(log));
    let (outcome, _) = summary::outcome(log);
    let content = html! {
        (summary::head(log))
        (crash::section(log))
        (summary::again(log))
        (by_turns(log))
        (choices::figure(log))
        (exits::table(log))
    };
    let footer = "Made by Guestlab from the events of the run. This page needs no network.";
    shell::document(&format!("{name}: {outcome}"), &content, footer, Some(SCRIPT))
}

/// The turns, in a figure and in words, beside the selected turn.
fn by_turns(log: &RunLog) -> Markup {
    let lines = transcript::table(log);
    if Columns::of(log).is_none() {
        let before = log.beginning().is_some() && !(log.outputs().is_empty() && log.crash().is_none());
        return html! { @if before { h2 { "Before the first turn" } } (lines) };
    }
    html! {
        section aria-labelledby="turns-h" {
            h2 id="turns-h" { "Turn by turn" }
            div.by-turns { (turns::figure(log)) (ring::panel(log)) (lines) }
        }
    }
}
