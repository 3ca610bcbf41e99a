//! The report of a crash: what the host found in the machine of a guest that went wrong.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde::Deserialize;

use super::number::{grouped, list};
use guestlab_runlog::{
    ring_check::States,
    story::{Crash, Story},
    text::visible_line,
};

/// What a crash's line tells beyond its message. What is missing was not known.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    mode: Option<String>,
    file: Option<String>,
    line: u32,
    column: u32,
    instructions: Vec<Instruction>,
    registers: BTreeMap<String, u64>,
    backtrace: Vec<Frame>,
    more_calls: u64,
    exits: Vec<String>,
}

#[derive(Deserialize)]
struct Instruction {
    address: u64,
    text: String,
    here: bool,
}

#[derive(Deserialize)]
#[serde(default)]
struct Frame {
    address: u64,
    function: Option<String>,
    file: Option<String>,
    line: Option<u32>,
    times: u64,
}

impl Default for Frame {
    fn default() -> Self {
        Self { address: 0, function: None, file: None, line: None, times: 1 }
    }
}

/// The report; nothing where nothing crashed.
pub(super) fn section(story: &Story) -> Markup {
    let Some(crash) = story.crash() else { return html! {} };
    let rest = serde_json::to_value(&crash.rest).and_then(serde_json::from_value);
    let details: Details = rest.unwrap_or_default();
    html! {
        section.crash aria-labelledby="crash-h" {
            h2 id="crash-h" { "What went wrong" }
            @let states = crash.states();
            (message(crash, &details, states.is_some()))
            @if let Some(states) = &states { (rings(states)) }
            div.pair {
                @if !details.instructions.is_empty() { (code(&details.instructions)) }
                @if !details.backtrace.is_empty() { (calls(&details)) }
            }
            @if !details.registers.is_empty() { (registers(&details.registers)) }
            @if !details.exits.is_empty() { p { "The last exits: " (details.exits.join(", ")) "." } }
        }
    }
}

/// The message, without the lines of the two rings where those have a table of their own.
fn message(crash: &Crash, details: &Details, has_rings: bool) -> Markup {
    let what = if has_rings { crash.headline() } else { &crash.message };
    html! {
        dl.what data-vm=(crash.vm) data-turn=[crash.turn] data-reason=(crash.reason) data-rule=[crash.broken_rule()] {
            dt { "VM" } dd { (crash.vm) ", " (visible_line(&crash.name)) }
            @if let Some(turn) = crash.turn { dt { "turn" } dd { (grouped(turn)) } }
            @if let Some(mode) = &details.mode { dt { "mode" } dd { (visible_line(mode)) } }
            dt { "what" } dd { (what) }
            @if let Some(file) = &details.file {
                dt { "where" } dd { code { (visible_line(file)) ":" (details.line) ":" (details.column) } }
            }
            @if !crash.hint.is_empty() { dt { "try" } dd { (crash.hint) } }
        }
    }
}

fn rings(states: &States) -> Markup {
    html! {
        div.wide { table.numbers {
            caption { "The ring before the turn, and what the guest left" }
            thead { tr {
                th.text scope="col" { "" } th scope="col" { "capacity" } th scope="col" { "prod_p" } th scope="col" { "cons_p" }
                th scope="col" { "count" } th.text scope="col" { "slots" }
            } }
            tbody { @for (name, state) in [("the host's", &states.old), ("the guest's", &states.claimed)] {
                tr {
                    th.text scope="row" { (name) } td { (state.capacity) } td { (state.prod_p) } td { (state.cons_p) }
                    td { (state.count) } td.text { code { (list(&state.slots)) } }
                }
            } }
        } }
    }
}

fn code(instructions: &[Instruction]) -> Markup {
    html! {
        figure {
            figcaption { "The code; the guest left at the marked instruction" }
            pre.code { @for Instruction { address, text, here } in instructions {
                @let mark = if *here { "> " } else { "  " };
                span.here[*here] { (mark) (format!("{address:#010x}")) "  " (visible_line(text)) } "\n"
            } }
        }
    }
}

fn calls(details: &Details) -> Markup {
    html! {
        figure {
            figcaption { "The calls, the innermost first" }
            ol.calls { @for frame in &details.backtrace { li {
                code { (frame.function.clone().unwrap_or_else(|| format!("{:#x}", frame.address))) }
                @if let Some(file) = &frame.file {
                    " " small { (file) @if let Some(line) = frame.line { ":" (line) } }
                }
                @if frame.times > 1 { " " small { "(" (grouped(frame.times)) " times)" } }
            } } }
            @if details.more_calls > 0 { p { "and " (grouped(details.more_calls)) " more" } }
        }
    }
}

fn registers(registers: &BTreeMap<String, u64>) -> Markup {
    html! {
        details open {
            summary { "Registers" }
            dl.registers { @for (name, value) in registers {
                div { dt { (name) } dd { code { (format!("{value:08x}")) } } }
            } }
        }
    }
}
