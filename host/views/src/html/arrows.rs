//! The arrows of an experiment without a ring: the mailbox goes from each turn's VM to the next one's.

use maud::{Markup, html};

use super::{
    columns::Columns,
    number::{float, list, short},
};
use guestlab_runlog::run_log::RunLog;

/// The space on each side of a turn's bar, as a part of its column. Arrows are in it.
pub(super) const GAP: f64 = 0.25;

/// The height of a VM's lane and the space below it, in pixels, as in the style.
const LANE: f64 = 28.0;
const SPACE: f64 = 3.0;

/// The largest number of columns that have arrows between them. In more, arrows would hide the bars.
const MOST: usize = 48;

/// Returns true if the figure of a run has arrows.
pub(super) fn has_arrows(log: &RunLog, columns: &Columns) -> bool {
    log.pointers(0).is_none() && columns.exact() && columns.width() <= MOST
}

/// The VM of each turn, with that of the turn that failed.
fn vms(log: &RunLog, columns: &Columns) -> Vec<u32> {
    let failed = log.crash().filter(|_| columns.crashed).map(|crash| crash.vm);
    let failed = failed.filter(|vm| log.beginning().is_some_and(|run| run.guest(*vm).is_some()));
    log.turns().iter().map(|turn| turn.vm).chain(failed).collect()
}

/// The arrows, above the lanes.
pub(super) fn arrows(log: &RunLog, columns: &Columns) -> Markup {
    let vms = vms(log, columns);
    let lanes = log.beginning().map_or(0, |run| run.guests.len());
    let width = float(columns.width());
    let x = |column: f64| format!("{}%", short(column / width * 100.0));
    let y = |vm: u32| short((f64::from(vm) - 1.0) * (LANE + SPACE) + LANE / 2.0);
    html! {
        svg.arrows width="100%" height=(short(float(lanes) * (LANE + SPACE))) role="img"
            aria-label="The VMs that had the mailbox, in order" data-vms=(list(&vms)) {
            defs {
                marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto" {
                    path d="M0 0L8 4L0 8z" {}
                }
            }
            @for (turn, pair) in (1..).zip(vms.windows(2)) {
                line x1=(x(float(turn) - GAP)) y1=(y(pair[0])) x2=(x(float(turn) + GAP)) y2=(y(pair[1]))
                    marker-end="url(#tip)" {}
            }
        }
    }
}
