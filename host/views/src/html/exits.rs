//! The exits of each VM: their number and reason, and their time if the run measured it.

use std::collections::BTreeMap;

use guest_abi::port::Port;
use maud::{Markup, html};

use super::{
    figure::{Shape, drawing, key},
    number::{grouped, time},
};
use guestlab_runlog::{
    event::{ExitCounts, StatsRow, VmStats},
    run_log::RunLog,
    text::escape_line,
};

/// The largest number of kinds of exits that a VM's table shows: a guest can cause one for each port.
const MOST_KINDS: usize = 16;

/// The table; empty if no exits are known.
pub(super) fn table(log: &RunLog) -> Markup {
    if log.exits().is_empty() && log.stats().is_empty() {
        return html! {};
    }
    html! {
        section aria-labelledby="exits-h" {
            h2 id="exits-h" { "Exits" }
            @match log.stats() {
                [] => {
                    p { "How often each VM left its guest. What this page is made of has no times: a run with "
                        code { "--report" } " or " code { "--stats" } " takes them." }
                    (counts(log.exits()))
                }
                stats => {
                    p { "How often each VM left its guest, the time in the guest that ended so, and the time \
                        that the host took to serve it. The time in the guest includes the entry into it and the \
                        exit from it, which take most of a short stay." }
                    (times(stats))
                    p.legend { (key("guest", "in the guest")) (key("host", "in the host")) }
                }
            }
        }
    }
}

fn counts(exits: &BTreeMap<u32, ExitCounts>) -> Markup {
    html! {
        div.wide { table.numbers {
            thead { tr { th scope="col" { "VM" } th.text scope="col" { "exit" } th scope="col" { "count" } } }
            tbody { @for (vm, kinds) in exits {
                @for (kind, count) in kinds.iter().filter(|(kind, count)| **count > 0 || *kind == "total") {
                    tr.sum[kind == "total"] data-vm=(vm) data-kind=(kind) data-count=(count) {
                        td { (vm) } td.text { (kind) } td { (grouped(*count)) }
                    }
                }
            } }
        } }
    }
}

fn times(stats: &[VmStats]) -> Markup {
    let rows: Vec<(&VmStats, Vec<Kind>)> = stats.iter().map(|vm| (vm, kinds(&vm.exits))).collect();
    let both = |kind: &Kind| kind.guest + kind.host;
    let most = rows.iter().flat_map(|(_, kinds)| kinds).map(both).fold(f64::MIN_POSITIVE, f64::max);
    html! {
        div.wide { table.numbers.times {
            thead { tr {
                th.text scope="col" { "exit" } th scope="col" { "count" }
                th scope="col" { "in guest" } th scope="col" { "in host" } th.text scope="col" { "where the time went" }
            } }
            @for (vm, kinds) in &rows { tbody {
                tr { th.text scope="rowgroup" colspan="5" { "VM " (vm.vm) ", " (escape_line(&vm.name)) } }
                @for kind in kinds { (row(vm.vm, kind, most)) }
            } }
        } }
    }
}

fn row(vm: u32, kind: &Kind, most: f64) -> Markup {
    let Kind { name, count, guest, host } = kind;
    html! {
        tr data-vm=(vm) data-kind=(name) data-count=(count) data-guest-us=(guest) data-host-us=(host) {
            td.text { (name) }
            td { (grouped(*count)) }
            td { (time(*guest)) }
            td { (time(*host)) }
            td.text { (bar(*guest / most, *host / most)) }
        }
    }
}

/// Two parts of a whole, side by side.
fn bar(guest: f64, host: f64) -> Markup {
    /// The whole's width: fractions have two decimals only.
    const WHOLE: usize = 100;
    let (mut left, mut right) = (Shape::default(), Shape::default());
    left.bar(0.0, 0.0, 100.0 * guest, 1.0);
    right.bar(100.0 * guest, 0.0, 100.0 * host, 1.0);
    let content = html! { path.guest d=(left.data()) {} path.host d=(right.data()) {} };
    drawing("time", WHOLE, 1.0, "time in guest and host", content)
}

/// A kind of exit, or all kinds beyond the last row.
struct Kind {
    name: String,
    count: u64,
    guest: f64,
    host: f64,
}

impl From<&StatsRow> for Kind {
    fn from(row: &StatsRow) -> Self {
        Self { name: name(row), count: row.count, guest: row.guest_us.max(0.0), host: row.host_us.max(0.0) }
    }
}

fn kinds(rows: &[StatsRow]) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = rows.iter().map(Kind::from).collect();
    if kinds.len() > MOST_KINDS {
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count));
        let rest = kinds.split_off(MOST_KINDS - 1);
        kinds.push(Kind {
            name: format!("{} other kinds", rest.len()),
            count: rest.iter().fold(0, |sum, kind| sum.saturating_add(kind.count)),
            guest: rest.iter().map(|kind| kind.guest).sum(),
            host: rest.iter().map(|kind| kind.host).sum(),
        });
    }
    kinds
}

/// For example `out 0xf4 (EndTurn), 32-bit`.
fn name(row: &StatsRow) -> String {
    let (Some(port), Some(direction)) = (row.port, &row.direction) else { return row.reason.clone() };
    let call = Port::try_from(port).map_or(String::new(), |port| format!(" ({port:?})"));
    let size = row.size.map_or(String::new(), |size| format!(", {}-bit", 8 * u32::from(size)));
    format!("{direction} {port:#x}{call}{size}")
}
