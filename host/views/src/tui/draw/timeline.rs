//! The timeline: a column for each turn, with its VM, the number of items that moved, and the items in the ring. Without a
//! ring, arrows show the way of the mailbox from each turn's VM to the next one's.

use std::{cmp::Ordering, ops::Range};

use ratatui::{buffer::Buffer, layout::Rect, style::Style, text::Line};

use guestlab_runlog::{
    items::Item,
    run_log::{Action, Turn},
};

use crate::tui::{
    draw::frame::{block, within},
    draw::scene::{Origin, Scene},
    theme::{self, BAD, FAINT, FOLLOWED, HERE, STRONG},
};

/// The width of the labels on the left.
const MARGIN: u16 = 9;

/// The width of an arrow from one turn to the next.
const ARROW: u16 = 2;

/// The number of rows of bars if there is much room.
const MOST_BARS: u16 = 6;

/// Bars from zero to eight eighths.
const BARS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// The height of a terminal from which on there is a row for the whole run.
const TALL: u16 = 30;

/// The height of the frame in a terminal.
pub(super) fn height(area: Rect, scene: &Scene<'_>) -> u16 {
    let most = (area.height / 4 + 1).clamp(7, 14);
    let vms = scene.log.beginning().map_or(0, |run| run.guests.len());
    match scene.log.pointers(0) {
        // A row for each VM, the bars, the ruler, the whole run and the frame: more would be empty.
        Some(_) => most.min(u16::try_from(vms).unwrap_or(u16::MAX).saturating_add(MOST_BARS + 4)),
        // A row for each VM and the ruler; one row for all VMs if there are too many.
        None => u16::try_from(vms + 3).ok().filter(|&height| height <= most + 1).unwrap_or(4),
    }
}

/// Draws the timeline with its frame.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, scene: &Scene<'_>) {
    let chart = Chart::new(area, scene, buffer.area.height >= TALL);
    let last = (chart.first + chart.shown).min(scene.log.steps());
    let turns = scene.log.turns().len();
    let title = match turns {
        0 => " no turn yet ".into(),
        _ => format!(" turns {} to {} of {turns} ", chart.first + 1, last.min(turns)),
    };
    let block = block(" timeline ").title_bottom(Line::raw(title).right_aligned());
    within(buffer, area, block, |_, _| {});
    chart.names(buffer);
    for step in chart.first + 1..=last {
        chart.column(buffer, step);
    }
    for step in chart.first + 1..if chart.has_arrows() { last } else { 0 } {
        chart.arrow(buffer, step);
    }
    chart.trace(buffer);
    chart.number(buffer);
    if let Some(row) = chart.whole {
        chart.whole_run(buffer, row);
    }
}

/// The places of all parts.
struct Chart<'a> {
    scene: &'a Scene<'a>,
    /// The columns.
    inside: Rect,
    /// The number of columns of a turn.
    cell: u16,
    /// The number of columns from one turn to the next.
    pitch: u16,
    /// The number of steps before the first that is shown.
    first: usize,
    /// The number of steps that are shown.
    shown: usize,
    /// The number of rows of VMs: one for each, or two for all: their numbers and their items.
    lanes: u16,
    has_lane_each: bool,
    /// The number of rows of bars.
    bars: u16,
    /// The row of the whole run.
    whole: Option<u16>,
}

impl<'a> Chart<'a> {
    fn new(area: Rect, scene: &'a Scene<'a>, is_tall: bool) -> Self {
        let inside = Rect::new(area.x + 1 + MARGIN, area.y + 1, area.width - 2 - MARGIN, area.height - 2);
        let run = scene.log.beginning();
        let vms = run.map_or(0, |run| run.guests.len());
        let most = run.and_then(|run| run.capacity).unwrap_or(0).max(u32::try_from(vms).unwrap_or(u32::MAX));
        let has_ring = scene.log.pointers(0).is_some();
        let lanes = u16::try_from(vms).unwrap_or(u16::MAX);
        let (cell, gap) = match !has_ring && lanes < inside.height {
            true => (1, ARROW),
            false => (u16::try_from(most.to_string().len()).unwrap_or(1), 1),
        };
        let pitch = cell + gap;
        let shown = usize::from(inside.width / pitch);
        let steps = scene.log.steps();
        let first = scene.view.step().saturating_sub(shown / 2 + 1).min(steps.saturating_sub(shown));
        // The last rows are the ruler's and the whole run's.
        // The whole run has a row if not all of it is shown anyway.
        let to_be = match scene.origin {
            Origin::Running => run.and_then(|run| run.turns).unwrap_or(u64::MAX),
            Origin::File | Origin::Over => 0,
        };
        let has_whole = is_tall && has_ring && to_be.max(steps as u64) > shown as u64;
        let rows = inside.height - 1 - u16::from(has_whole);
        let has_lane_each = lanes < rows || (!has_ring && lanes <= rows);
        let lanes = if has_lane_each { lanes } else { 1 + u16::from(has_ring) };
        let bars = if has_ring { (rows - lanes).min(MOST_BARS) } else { 0 };
        let whole = has_whole.then(|| inside.bottom() - 1);
        Self { scene, inside, cell, pitch, first, shown, lanes, has_lane_each, bars, whole }
    }

    /// The labels of the rows.
    fn names(&self, buffer: &mut Buffer) {
        let mut name = |row: u16, text: &str, style: Style| {
            buffer.set_stringn(self.inside.x - MARGIN, row, text, usize::from(MARGIN), style);
        };
        let top = self.inside.y;
        match self.has_lane_each {
            true => (1..=u32::from(self.lanes))
                .zip(top..)
                .for_each(|(vm, row)| name(row, &format!(" VM {vm}"), theme::vm(vm))),
            false => [" VM", " moved"]
                .iter()
                .zip(top..top + self.lanes)
                .for_each(|(text, row)| name(row, text, FAINT)),
        }
        if self.bars > 0 {
            name(top + self.lanes + self.bars - 1, " in ring", FAINT);
        }
        if let Some(row) = self.whole {
            name(row, " all", FAINT);
        }
        name(self.ruler(), " turn", FAINT);
    }

    fn ruler(&self) -> u16 {
        self.inside.bottom() - 1 - u16::from(self.whole.is_some())
    }

    /// The first column of a step that is shown.
    fn x(&self, step: usize) -> Option<u16> {
        let place = step.checked_sub(self.first + 1).filter(|&place| place < self.shown)?;
        Some(self.inside.x + u16::try_from(place).ok()? * self.pitch)
    }

    /// The row of a VM.
    fn lane(&self, vm: u32) -> u16 {
        let lane = u16::try_from(vm).unwrap_or(u16::MAX).saturating_sub(1);
        let lane = if self.has_lane_each { lane.min(self.lanes.saturating_sub(1)) } else { 0 };
        self.inside.y + lane
    }

    fn column(&self, buffer: &mut Buffer, step: usize) {
        let Some(x) = self.x(step) else { return };
        let log = self.scene.log;
        match (log.crash_at(step), step.checked_sub(1).and_then(|turn| log.turns().get(turn))) {
            (Some(crash), _) => {
                let width = usize::from(self.cell);
                buffer.set_string(x, self.lane(crash.vm), format!("{:>width$}", "✗"), BAD);
            }
            (None, Some(turn)) => self.turn(buffer, x, step, turn),
            (None, None) => {}
        }
        if step == self.scene.view.step() {
            let lane = self.scene.actor().map_or(self.inside.y, |vm| self.lane(vm));
            let rows = if self.has_lane_each { 1 } else { self.lanes };
            buffer.set_style(Rect::new(x, lane, self.cell, rows), HERE);
            buffer.set_string(x, self.ruler(), "▲", STRONG);
        }
    }

    /// Returns true if there is room for arrows between turns.
    fn has_arrows(&self) -> bool {
        self.pitch == self.cell + ARROW
    }

    /// The arrow from a step's VM to the next step's VM, for example `╮` and `╰▶` below it.
    fn arrow(&self, buffer: &mut Buffer, step: usize) {
        let (Some(x), Some(from), Some(to)) = (self.x(step), self.vm(step), self.vm(step + 1)) else {
            return;
        };
        let (x, style) = (x + self.cell, theme::vm(from));
        let (begin, end) = (self.lane(from), self.lane(to));
        let (turn, back) = match begin.cmp(&end) {
            Ordering::Less => ("╮", "╰"),
            Ordering::Equal => ("─", "─"),
            Ordering::Greater => ("╯", "╭"),
        };
        for row in begin.min(end)..begin.max(end) {
            buffer.set_string(x, row, "│", style);
        }
        buffer.set_string(x, begin, turn, style);
        buffer.set_string(x, end, back, style);
        buffer.set_string(x + 1, end, "▶", style);
    }

    /// The VM of a step: of a turn, or of the turn that failed.
    fn vm(&self, step: usize) -> Option<u32> {
        let failed = self.scene.log.crash_at(step).filter(|crash| crash.turn.is_some());
        let turn = || Some(self.scene.log.turns().get(step.checked_sub(1)?)?.vm);
        failed.map(|crash| crash.vm).or_else(turn)
    }

    /// The number of the step that is shown.
    fn number(&self, buffer: &mut Buffer) {
        let columns = self.number_columns();
        if !columns.is_empty() {
            buffer.set_string(columns.start, self.ruler(), self.scene.view.step().to_string(), STRONG);
        }
    }

    /// The columns of that number: to the right of the step, and not on the trace of an item.
    fn number_columns(&self) -> Range<u16> {
        let step = self.scene.view.step();
        let (Some(x), length) = (self.x(step), width(step)) else { return 0..0 };
        let trace = self.trace_columns();
        let left = trace.start.checked_sub(length).filter(|&left| left >= self.inside.x);
        let at = match (trace.contains(&x), left) {
            (false, _) => x + 1,
            (true, Some(left)) if x + 1 < trace.end => left,
            (true, _) => trace.end,
        };
        let at = at.min(self.inside.right().saturating_sub(length));
        at..at + length
    }

    /// The columns of the trace of the followed item.
    fn trace_columns(&self) -> Range<u16> {
        let Some(trace) = self.scene.view.trace() else { return 0..0 };
        let Item { made, taken, .. } = trace.item(self.scene.log);
        let until = taken.map_or(self.scene.log.steps(), |(_, turn)| turn);
        let (first, last) = (made.max(self.first + 1), until.min(self.first + self.shown));
        match (self.x(first), self.x(last)) {
            (Some(from), Some(to)) if first <= last => from..to + 1,
            _ => 0..0,
        }
    }

    /// Returns true if a step's number has room at its mark, with a space beside it.
    fn is_free(&self, x: u16, step: usize) -> bool {
        let here = self.x(self.scene.view.step()).map_or(0..0, |here| here..here + 1);
        let (from, until) = (x, x + width(step) + 2);
        let is_beside = |other: &Range<u16>| other.is_empty() || until <= other.start || other.end < from;
        until <= self.inside.right()
            && [here, self.number_columns(), self.trace_columns()].iter().all(is_beside)
    }

    fn turn(&self, buffer: &mut Buffer, x: u16, step: usize, turn: &Turn) {
        let width = usize::from(self.cell);
        let style = theme::vm(turn.vm);
        let moved = match &turn.action {
            Action::Moved { items, .. } => items.to_string(),
            Action::Left(_) => "●".into(),
        };
        match (self.has_lane_each, &turn.action) {
            (true, _) => buffer.set_string(x, self.lane(turn.vm), format!("{moved:>width$}"), style),
            (false, action) => {
                buffer.set_string(x, self.inside.y, format!("{:>width$}", turn.vm), style);
                if matches!(action, Action::Moved { .. }) {
                    buffer.set_string(x, self.inside.y + 1, format!("{moved:>width$}"), style);
                }
            }
        }
        if let Action::Moved { pointers, .. } = &turn.action {
            let eighths = self.eighths(pointers.count, pointers.capacity, self.bars);
            for bar in 0..self.bars {
                let row = self.inside.y + self.lanes + self.bars - 1 - bar;
                let text = BARS[usize::from(eighths.saturating_sub(8 * bar).min(8))].repeat(width);
                buffer.set_string(x, row, text, Style::new());
            }
        }
        if step.is_multiple_of(10) && self.is_free(x, step) {
            buffer.set_string(x, self.ruler(), format!("╵{step}"), FAINT);
        }
    }

    /// The height of a bar. One item is visible.
    fn eighths(&self, count: u32, capacity: u32, rows: u16) -> u16 {
        let eighths = u64::from(count) * u64::from(rows) * 8 / u64::from(capacity);
        u16::try_from(eighths).unwrap_or(u16::MAX).max(u16::from(count > 0))
    }

    /// The trace of the followed item: from the turn that made it to the turn that took it.
    fn trace(&self, buffer: &mut Buffer) {
        let log = self.scene.log;
        let Some(Item { maker, made, taken, .. }) = self.scene.view.trace().map(|trace| trace.item(log))
        else {
            return;
        };
        let until = taken.map_or(log.steps(), |(_, turn)| turn);
        for step in (made.max(self.first + 1)..until).take_while(|&step| self.x(step).is_some()) {
            let x = self.x(step).unwrap_or_default();
            let is_here = step == self.scene.view.step();
            let line = "━".repeat(usize::from(self.pitch));
            let from = if is_here { "▲" } else { "━" };
            buffer.set_stringn(x, self.ruler(), line, usize::from(self.inside.right() - x), theme::vm(maker));
            buffer.set_string(x, self.ruler(), from, theme::vm(maker));
        }
        for (vm, turn) in [Some((maker, made)), taken].into_iter().flatten() {
            if let Some(x) = self.x(turn) {
                buffer.set_style(Rect::new(x, self.lane(vm), self.cell, 1), FOLLOWED);
                buffer.set_string(x, self.ruler(), "●", FOLLOWED);
            }
        }
    }

    /// The ring over the whole run so far, and the view's place in it.
    fn whole_run(&self, buffer: &mut Buffer, row: u16) {
        let (log, width) = (self.scene.log, self.inside.width);
        let turns = log.turns().len();
        if turns == 0 {
            return;
        }
        let turn_at = |column: u16| usize::from(column) * turns / usize::from(width);
        for column in 0..width {
            let Some(pointers) = log.pointers(turn_at(column) + 1) else { return };
            let bar = BARS[usize::from(self.eighths(pointers.count, pointers.capacity, 1))];
            buffer.set_string(self.inside.x + column, row, bar, FAINT);
        }
        let here = (self.scene.turn().saturating_sub(1)) * usize::from(width) / turns;
        let here = u16::try_from(here).unwrap_or(u16::MAX).min(width - 1);
        buffer.set_style(Rect::new(self.inside.x + here, row, 1, 1), HERE);
    }
}

/// The number of columns of a number.
fn width(number: usize) -> u16 {
    u16::try_from(number.to_string().len()).unwrap_or(u16::MAX)
}
