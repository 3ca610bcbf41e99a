//! The action of the step, and the trace of the item that is followed.

use guest_abi::transition::Role;
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span, Text},
    widgets::{Paragraph, Widget, Wrap},
};

use guestlab_runlog::{
    event::{CheckResult, Crash, End, Totals},
    items::Item,
    ring_check::{RingState, States},
    run_log::{Action, Turn},
};

use crate::tui::{
    draw::scene::Scene,
    follow_item::ItemTrace,
    theme::{self, BAD, FAINT, FOLLOWED, GOOD, STRONG, clean},
};

/// Draws the lines into the inside of their frame.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, scene: &Scene<'_>) {
    Paragraph::new(Text::from(lines(scene))).wrap(Wrap { trim: true }).render(area, buffer);
}

fn lines(scene: &Scene<'_>) -> Vec<Line<'static>> {
    let log = scene.log;
    // The followed item comes first: there may be little room.
    let mut lines = scene.view.trace().map_or_else(Vec::new, |trace| trace_lines(scene, trace));
    match (log.crash_at(scene.view.step()), scene.this_turn()) {
        (Some(crash), _) => lines.extend(crash_lines(crash)),
        (None, Some(turn)) => lines.extend(turn_lines(scene, turn)),
        (None, None) if log.beginning().is_some() => {
            lines.push(Line::styled("before the first turn", FAINT));
        }
        (None, None) => lines.push(Line::styled("a guest that runs alone has no turns", FAINT)),
    }
    if let Some(end) = log.ending().filter(|_| scene.is_at_end()) {
        lines.extend(end_lines(end));
    }
    lines
}

fn turn_lines(scene: &Scene<'_>, turn: &Turn) -> Vec<Line<'static>> {
    let name = scene.log.beginning().and_then(|run| run.guest(turn.vm)).map_or("", |guest| &guest.name);
    let exits = format!("{} exit{}", turn.exits, if turn.exits == 1 { "" } else { "s" });
    let who = Span::styled(format!("VM {}, {}", turn.vm, clean(name)), theme::vm(turn.vm));
    let mut lines = vec![Line::from(vec![who, Span::styled(format!("  {exits}"), FAINT)])];
    match &turn.action {
        Action::Left(words) => lines.push(Line::raw(format!("left {} words in the mailbox", words.len()))),
        Action::Moved { items: 0, .. } => lines.push(Line::raw("moved nothing")),
        Action::Moved { role, items, .. } => {
            let did = if *role == Role::Producer { "made" } else { "took" };
            let mut spans = vec![Span::styled(format!("{did} {items}: "), STRONG)];
            for number in scene.log.moved(scene.turn()) {
                spans.extend(item_spans(scene, number));
            }
            lines.push(Line::from(spans));
        }
    }
    lines
}

/// An item in its maker's colour.
fn item_spans(scene: &Scene<'_>, number: usize) -> [Span<'static>; 2] {
    let Item { value, maker, .. } = scene.log.items().item(number);
    let is_followed = scene.view.trace().is_some_and(|trace| trace.item == number);
    let style = if is_followed { FOLLOWED } else { theme::vm(maker) };
    [Span::styled(value.to_string(), style), Span::raw(" ")]
}

/// The trace of an item: the VMs and the turns that made it and took it.
fn trace_lines(scene: &Scene<'_>, trace: ItemTrace) -> Vec<Line<'static>> {
    let Item { value, maker, made, taken } = trace.item(scene.log);
    let (place, all) = trace.place(scene.log);
    let which = if all > 1 { format!(" ({place} of {all})") } else { String::new() };
    let mut spans = vec![
        Span::styled(format!("item {value}"), FOLLOWED),
        Span::raw(which),
        Span::raw(": made in turn "),
        Span::styled(format!("{made} by VM {maker}"), theme::vm(maker)),
    ];
    match taken {
        Some((vm, turn)) => {
            spans.push(Span::raw(", taken in turn "));
            spans.push(Span::styled(format!("{turn} by VM {vm}"), theme::vm(vm)));
        }
        None => spans.push(Span::styled(", not taken", STRONG)),
    }
    vec![Line::from(spans)]
}

fn crash_lines(crash: &Crash) -> Vec<Line<'static>> {
    let turn = crash.turn.map_or(String::new(), |turn| format!(", turn {turn}"));
    let mut lines = vec![Line::styled(format!("VM {}, {}{turn}:", crash.vm, clean(&crash.name)), BAD)];
    match &crash.states {
        Some(States { old, claimed }) => {
            lines.push(Line::raw(clean(crash.headline())));
            lines.push(pointers("stays", old, None));
            let capacity = (claimed.capacity != old.capacity).then_some(claimed.capacity);
            lines.push(pointers("claim", claimed, capacity));
            lines.extend(changed_slots(old, claimed));
        }
        None => lines.extend(crash.message.lines().map(|line| Line::raw(clean(line)))),
    }
    lines
}

/// A ring's pointers, short enough for the narrowest frame, and the capacity if it is given.
fn pointers(whose: &'static str, ring: &RingState, capacity: Option<u32>) -> Line<'static> {
    let RingState { prod_p, cons_p, count, .. } = ring;
    let capacity = capacity.map_or(String::new(), |capacity| format!(" of {capacity}"));
    let numbers = format!(" cons_p {cons_p} prod_p {prod_p} count {count}{capacity}");
    Line::from(vec![Span::styled(whose, FAINT), Span::raw(numbers)])
}

/// The slots that the guest changed, if any.
fn changed_slots(old: &RingState, claimed: &RingState) -> Option<Line<'static>> {
    let slots = (0..).zip(old.slots.iter().zip(&claimed.slots));
    let changed: Vec<String> = slots
        .filter(|(_, (old, claimed))| old != claimed)
        .map(|(slot, (old, claimed)): (u32, _)| format!("{slot}: {old} → {claimed}"))
        .collect();
    let what = Span::styled("slots ", FAINT);
    (!changed.is_empty()).then(|| Line::from(vec![what, Span::raw(changed.join(", "))]))
}

fn end_lines(end: &End) -> Vec<Line<'static>> {
    let Some(Totals { produced, consumed, left, audit }) = end.totals else { return Vec::new() };
    let verdict = match audit {
        CheckResult::Ok => Span::styled("ok", GOOD),
        CheckResult::Failed => Span::styled("failed", BAD),
    };
    // The verdict first: there may be little room.
    let mut lines = vec![Line::from(vec![Span::raw("audit: "), verdict])];
    for finding in &end.findings {
        lines.push(Line::from(vec![Span::styled("finding: ", BAD), Span::raw(clean(&finding.to_string()))]));
    }
    lines.push(Line::raw(format!("{produced} produced, {consumed} consumed, {left} left")));
    lines
}
