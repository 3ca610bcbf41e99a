//! The page as a whole.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::{choices, columns::Columns, crash, exits, ring, summary, transcript, turns};
use guestlab_runlog::{
    run_log::RunLog,
    text::{escape_control, escape_line},
};

/// The style of the page.
const STYLE: &str = include_str!("page.css");

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
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(concat!("guestlab ", env!("CARGO_PKG_VERSION")));
                title { (name) ": " (outcome) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (summary::head(log))
                    (crash::section(log))
                    (summary::again(log))
                    (by_turns(log))
                    (choices::figure(log))
                    (exits::table(log))
                }
                footer { p { "Made by Guestlab from the events of the run. This page needs no network." } }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
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

/// The page may load nothing, and may run only its own script.
fn policy() -> String {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}
