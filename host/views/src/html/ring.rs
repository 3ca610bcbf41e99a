//! The ring, drawn as a circle. The host draws the ring at the end of the run. The script puts the items of other
//! turns into the same slots.

use std::f64::consts::TAU;

use guest_abi::ring::Pointers;
use maud::{Markup, html};

use super::number::{counted, short};
use guestlab_runlog::run_log::RunLog;

/// The distance of the slots from the centre, and their width.
const SLOTS: f64 = 78.0;
const BROAD: f64 = 40.0;

/// The distance of items and slot numbers from the centre.
const ITEMS: f64 = 82.0;
const NUMBERS: f64 = 64.0;

/// The distance of the two pointers from the centre: the producer's is outside, the consumer's inside.
const PRODUCER: f64 = 112.0;
const CONSUMER: f64 = 45.0;

/// The largest part of a slot that is space before the next one.
const MOST_GAP: f64 = 0.1;

/// The largest number of slots that have room for an item's digits.
const MOST_READABLE: u32 = 16;

/// The panel that shows one turn; without a script, the last one.
pub(super) fn panel(log: &RunLog) -> Markup {
    let turns = log.turns().len();
    html! {
        aside.panel aria-label="One turn" {
            @if let Some(pointers) = log.pointers(turns) { (ring(log, turns, pointers)) }
            div.controls hidden {
                button type="button" id="back" aria-label="the turn before" { "◀" }
                input type="range" id="turn" min="0" value="0" aria-label="turn";
                button type="button" id="on" aria-label="the next turn" { "▶" }
            }
            p id="now" role="status" { "The ring at the end, after " (counted(turns as u64, "turn")) "." }
            @if log.pointers(turns).is_some() {
                p.legend {
                    span.key { b.badge.p { "P" } " prod_p: the next produced item goes here" }
                    span.key { b.badge.c { "C" } " cons_p: the next item to consume is here" }
                }
            }
            p.hint hidden { "Point at a column or a line, or use the arrow keys on the slider." }
        }
    }
}

fn ring(log: &RunLog, turns: usize, pointers: Pointers) -> Markup {
    let Pointers { capacity, prod_p, cons_p, count } = pointers;
    let slots: Vec<Option<u32>> = log.ring(turns).iter().map(|item| value(log, *item)).collect();
    let title = format!("The ring: {count} of {capacity} slots are in use");
    html! {
        svg.ring id="ring" viewBox="-128 -128 256 256" role="img" aria-label=(title) data-capacity=(capacity)
            data-readable=(MOST_READABLE) data-prod_p=(prod_p) data-cons_p=(cons_p) data-count=(count) {
            @for (slot, item) in (0..).zip(&slots) { (segment(slot, *item, capacity)) }
            @if capacity <= MOST_READABLE {
                @for (slot, item) in (0..).zip(&slots) { (label(slot, *item, capacity)) }
            }
            (pointer("P", "p", place(prod_p, capacity, PRODUCER)))
            (pointer("C", "c", place(cons_p, capacity, CONSUMER)))
            text.count id="count" y="2" { (count) }
            text.of y="18" { "of " (capacity) }
        }
    }
}

fn value(log: &RunLog, item: Option<usize>) -> Option<u32> {
    log.items().values().get(item?).copied()
}

/// The middle of a slot at this distance from the centre. Slot 0 begins at the top, and the others follow clockwise.
fn place(slot: u32, capacity: u32, radius: f64) -> [String; 2] {
    let angle = (f64::from(slot) + 0.5) / f64::from(capacity) * TAU;
    [radius * angle.sin(), -radius * angle.cos()].map(short)
}

/// A slot: a dash of a circle whose length is the capacity.
fn segment(slot: u32, item: Option<u32>, capacity: u32) -> Markup {
    let gap = if capacity == 1 { 0.0 } else { (f64::from(capacity) / 200.0).min(MOST_GAP) };
    let dash = format!("{} {capacity}", short(1.0 - gap));
    html! {
        circle.slot.full[item.is_some()] r=(SLOTS) pathLength=(capacity) stroke-width=(BROAD)
            stroke-dasharray=(dash) stroke-dashoffset=(-f64::from(slot)) transform="rotate(-90)" {}
    }
}

fn label(slot: u32, item: Option<u32>, capacity: u32) -> Markup {
    let [x, y] = place(slot, capacity, ITEMS);
    let [nx, ny] = place(slot, capacity, NUMBERS);
    html! {
        text.item x=(x) y=(y) dy=".35em" { @if let Some(item) = item { (fitting(item)) } }
        text.slot-number x=(nx) y=(ny) dy=".35em" { (slot) }
    }
}

/// The text of an item, if the slot has room for it.
fn fitting(item: u32) -> String {
    let text = item.to_string();
    if text.len() <= 4 { text } else { format!("{}…", &text[..3]) }
}

fn pointer(name: &str, class: &str, [x, y]: [String; 2]) -> Markup {
    html! {
        g.pointer id=(name) transform=(format!("translate({x} {y})")) {
            circle class=(class) r="11" {}
            text dy=".35em" { (name) }
        }
    }
}
