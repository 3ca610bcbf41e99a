//! The report of a crash: the state of the machine of the guest that failed.

use maud::{Markup, html};

use guestlab_runlog::{
    event::{Crash, CrashDetails, Instruction, Location},
    ring_check::States,
    run_log::RunLog,
    text::escape_line,
};

use super::number::{counted, grouped, list};

/// The report; empty without a crash.
pub(super) fn section(log: &RunLog) -> Markup {
    let Some(crash) = log.crash() else { return html! {} };
    let unknown = CrashDetails::default();
    let details = crash.details.as_ref().unwrap_or(&unknown);
    html! {
        section.crash aria-labelledby="crash-h" {
            h2 id="crash-h" { "What went wrong" }
            (message(crash, &details.mode))
            @if let Some(states) = &crash.states { (rings(states)) }
            div.pair {
                @if !details.instructions.is_empty() { (code(&details.instructions)) }
                @if !details.backtrace.is_empty() { (calls(details)) }
            }
            @if !details.registers.is_empty() { (registers(details)) }
            @if !details.exits.is_empty() { p { "The last exits: " (details.exits.join(", ")) "." } }
            @if !details.last_instructions.is_empty() { (last(&details.last_instructions)) }
        }
    }
}

/// The message. If a table shows the two rings, their lines are left out.
fn message(crash: &Crash, mode: &str) -> Markup {
    let what = if crash.states.is_some() { crash.headline() } else { &crash.message };
    html! {
        dl.what data-vm=(crash.vm) data-turn=[crash.turn] data-reason=(crash.reason) data-rule=[crash.broken_rule()] {
            dt { "VM" } dd { (crash.vm) ", " (escape_line(&crash.name)) }
            @if let Some(turn) = crash.turn { dt { "turn" } dd { (grouped(turn)) } }
            @if !mode.is_empty() { dt { "mode" } dd { (escape_line(mode)) } }
            dt { "what" } dd { (what) }
            @if let Some(Location { file, line, column }) = &crash.location {
                dt { "where" } dd { code { (escape_line(file)) ":" (line) ":" (column) } }
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
                span.here[*here] { (mark) (format!("{address:#010x}")) "  " (escape_line(text)) } "\n"
            } }
        }
    }
}

fn last(instructions: &[String]) -> Markup {
    html! {
        details {
            summary { "The last " (counted(instructions.len() as u64, "instruction")) }
            pre.code { @for line in instructions { (escape_line(line)) "\n" } }
        }
    }
}

fn calls(details: &CrashDetails) -> Markup {
    html! {
        figure {
            figcaption { "The calls, the innermost first" }
            ol.calls { @for frame in &details.backtrace { li {
                code { (frame.function.clone().unwrap_or_else(|| format!("{:#x}", frame.address))) }
                @if let Some(file) = &frame.file {
                    " " small { (file) @if let Some(line) = frame.line { ":" (line) } }
                }
                @if frame.times > 1 { " " small { "(" (grouped(frame.times as u64)) " times)" } }
            } } }
            @if details.more_calls > 0 { p { "and " (grouped(details.more_calls as u64)) " more" } }
        }
    }
}

fn registers(details: &CrashDetails) -> Markup {
    html! {
        details open {
            summary { "Registers" }
            dl.registers { @for (name, value) in details.registers_by_name() {
                div { dt { (name) } dd { code { (format!("{value:08x}")) } } }
            } }
        }
    }
}
