//! The transcript: each turn with the ring after it, the text of guests, and the turn that failed, in order. The middle
//! of a long transcript is left out.

use guest_abi::transition::Role;
use maud::{Markup, PreEscaped, html};

use super::{
    number::{counted, grouped, list},
    summary::side,
};
use guestlab_runlog::{
    event::{Crash, Run},
    run_log::{Action, Output, RunLog},
    text::{LineEnds, escape_line},
};

/// The largest size of all lines in bytes; beyond it the middle is left out.
const MOST_BYTES: usize = 300_000;

/// The largest size of a guest's text between two turns, in bytes; the rest is left out.
const MOST_TEXT: usize = 16_000;

/// A line.
#[derive(Clone, Copy)]
enum Entry<'a> {
    /// A turn, by its number from 1.
    Turn(usize),
    /// Text that a guest printed.
    Text(&'a Output),
    /// The turn, or the boot, in which a guest failed.
    Failed(&'a Crash),
}

/// The transcript; empty if there is none.
pub(super) fn table(log: &RunLog) -> Markup {
    if log.beginning().is_none() {
        return alone(log);
    }
    let entries = entries(log);
    if entries.is_empty() {
        return html! {};
    }
    let ring = log.pointers(0).is_some();
    html! {
        div.lines {
            h3 id="transcript-h" { "Transcript" }
            @if several(log) { p.hint { "47<2 is an item 47 that VM 2 made." } }
            div.scroll tabindex="0" role="region" aria-labelledby="transcript-h" {
                table.transcript {
                    thead { tr {
                        th scope="col" { "turn" } th.text scope="col" { "VM" }
                        @if ring {
                            th scope="col" { "moved" } th.text scope="col" { "items" } th.text scope="col" { "ring" }
                        } @else { th.text scope="col" { "mailbox" } }
                    } }
                    tbody { (lines(log, &entries)) }
                }
            }
        }
    }
}

fn alone(log: &RunLog) -> Markup {
    if log.outputs().is_empty() {
        return html! {};
    }
    html! {
        section aria-labelledby="transcript-h" {
            h2 id="transcript-h" { "What the guest printed" }
            @for output in log.outputs() { pre.text { (cut(&output.text)) } }
        }
    }
}

/// All lines, in order. Text follows the last turn that was over when it was printed. A failure ends a run.
fn entries(log: &RunLog) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    let mut outputs = log.outputs().iter().peekable();
    for turn in 0..=log.turns().len() {
        entries.extend((turn > 0).then_some(Entry::Turn(turn)));
        while let Some(output) = outputs.next_if(|output| output.turns <= turn) {
            entries.push(Entry::Text(output));
        }
    }
    entries.extend(log.crash().map(Entry::Failed));
    entries
}

/// The lines from the beginning and from the end that fit.
fn lines(log: &RunLog, entries: &[Entry<'_>]) -> Markup {
    let take = |entries: &mut dyn Iterator<Item = &Entry<'_>>, room: usize| {
        let mut size = 0;
        let mut taken = Vec::new();
        for line in entries.map(|entry| line(log, *entry).into_string()) {
            size += line.len();
            if size > room {
                break;
            }
            taken.push(line);
        }
        taken
    };
    let all = take(&mut entries.iter(), MOST_BYTES);
    if all.len() == entries.len() {
        return PreEscaped(all.concat());
    }
    let first = take(&mut entries.iter(), MOST_BYTES / 2);
    let last = take(&mut entries[first.len()..].iter().rev(), MOST_BYTES / 2);
    let left_out = entries.len() - first.len() - last.len();
    html! {
        (PreEscaped(first.concat()))
        tr.gap { td colspan=(2 + rest(log)) {
            (counted(left_out as u64, "line")) " left out here: there is no room for all on a page."
        } }
        (PreEscaped(last.into_iter().rev().collect::<String>()))
    }
}

fn line(log: &RunLog, entry: Entry<'_>) -> Markup {
    match entry {
        Entry::Turn(turn) => turn_line(log, turn),
        Entry::Text(Output { vm, text, .. }) => html! {
            tr.text { td {} td.text { (vm) } td.text colspan=(rest(log)) { pre { (cut(text)) } } }
        },
        Entry::Failed(crash) => failed_line(log, crash),
    }
}

/// The number of columns after those of turn and VM.
fn rest(log: &RunLog) -> usize {
    if log.pointers(0).is_some() { 3 } else { 1 }
}

fn failed_line(log: &RunLog, crash: &Crash) -> Markup {
    let role = log.beginning().and_then(|run| run.guest(crash.vm)?.role);
    // A file may tell of any turn. Only the turn after the others can be selected.
    let id = crash.turn.filter(|turn| *turn == log.turns().len() as u64 + 1).map(|turn| format!("t{turn}"));
    html! {
        tr.failed.turn[id.is_some()] id=[id] data-vm=(crash.vm) {
            th scope="row" { @match crash.turn { Some(turn) => (grouped(turn)), None => "boot" } }
            td { @if role.is_some() { i class=(side(role)) {} } (crash.vm) }
            td.text colspan=(rest(log)) { "✗ " (cut(&escape_line(crash.headline()))) }
        }
    }
}

fn turn_line(log: &RunLog, number: usize) -> Markup {
    let turn = &log.turns()[number - 1];
    match &turn.action {
        Action::Left(words) => html! {
            tr.turn id=(format!("t{number}")) data-vm=(turn.vm) {
                th scope="row" { (grouped(number as u64)) }
                td { (turn.vm) } td.text { "[" (cut(&list(words))) "]" }
            }
        },
        Action::Moved { role, items, pointers } => html! {
            tr.turn id=(format!("t{number}")) data-p=(pointers.prod_p) data-c=(pointers.cons_p) {
                th scope="row" { (grouped(number as u64)) }
                td { i class=(side(Some(*role))) {} (turn.vm) }
                td { (sign(*role, *items)) }
                td { (moved(log, number, *role)) }
                td { (ring(log, number)) }
            }
        },
    }
}

/// For example `+3`, with a minus sign for items that were taken.
fn sign(role: Role, items: usize) -> String {
    match (items, role) {
        (0, _) => "0".into(),
        (items, Role::Producer) => format!("+{items}"),
        (items, Role::Consumer) => format!("−{items}"),
    }
}

/// Returns true if there are several producers.
fn several(log: &RunLog) -> bool {
    let producers = |run: &Run| run.guests.iter().filter(|guest| guest.role == Some(Role::Producer)).count();
    log.beginning().is_some_and(|run| producers(run) > 1)
}

/// The items of a turn. With several producers, each item that is taken has its maker.
fn moved(log: &RunLog, turn: usize, role: Role) -> String {
    let named = several(log) && role == Role::Consumer;
    let items = log.items();
    list(log.moved(turn).map(|number| match named {
        true => format!("{}<{}", items.values()[number], items.item(number).maker),
        false => items.values()[number].to_string(),
    }))
}

/// The ring's slots: items, and `.` for an empty slot.
fn ring(log: &RunLog, turns: usize) -> String {
    let values = log.items().values();
    list(log.ring(turns).into_iter().map(|slot| match slot {
        Some(item) => values[item].to_string(),
        None => ".".into(),
    }))
}

/// A text, cut off if it is long.
fn cut(text: &str) -> String {
    let text = LineEnds::of(text);
    match text.len() <= MOST_TEXT {
        true => text,
        false => format!(
            "{}\n[{} more bytes left out]",
            &text[..text.floor_char_boundary(MOST_TEXT)],
            grouped((text.len() - text.floor_char_boundary(MOST_TEXT)) as u64)
        ),
    }
}
