//! The run turn by turn, in figures below each other: the VM of the turn, the items in the ring, and the items that
//! moved. A vertical line through all figures is one turn.

use guest_abi::{ring::Capacity, transition::Role};
use maud::{Markup, html};

use super::{
    arrows::{self, arrows, has_arrows},
    columns::Columns,
    figure::{Shape, axis, drawing, key},
    number::{counted, float, grouped, list, short},
    summary::side,
};
use guestlab_runlog::{
    event::Run,
    run_log::{Action, RunLog, Turn},
    text::escape_line,
};

/// The height of a lane.
const LANE: f64 = 10.0;

/// The height of the bar of a turn in which nothing moved.
const THIN: f64 = 2.0;

/// The height of a bar between arrows.
const LOW: f64 = 4.0;

/// The figure; empty without turns.
pub(super) fn figure(log: &RunLog) -> Markup {
    let (Some(columns), Some(run)) = (Columns::of(log), log.beginning()) else { return html! {} };
    html! {
        figure class=(columns.class()) aria-labelledby="turns-h" {
            div.plots data-each=(columns.each) data-columns=(columns.width()) {
                @for guest in &run.guests {
                    div.label { b { "VM " (guest.vm) } " " (escape_line(&guest.name)) }
                    (lane(log, &columns, guest.vm))
                }
                @if let Some(capacity) = run.ring() {
                    (axis("in the ring", &capacity.items().to_string(), "0"))
                    (occupancy(log, &columns, capacity))
                    (moved(log, &columns))
                }
                div.ends { span { "turn 1" } span { (grouped(last(log))) } }
                div.over {
                    @if has_arrows(log, &columns) { (arrows(log, &columns)) }
                    div.cursor hidden {}
                }
            }
            figcaption {
                p { (columns.sentence()) " " (occupancy_sentence(log)) }
                @if !columns.exact() && run.ring().is_some() {
                    p { "A VM's lane is as high as its share of the turns; how full the ring was goes from the \
                        least to the most, with the mean as a line; items are a turn's on average." }
                }
                p.legend { (legend(log, run, &columns)) }
            }
        }
    }
}

/// The last turn, or the turn of a crash.
fn last(log: &RunLog) -> u64 {
    let turns = log.turns().len() as u64;
    log.crash().and_then(|crash| crash.turn).unwrap_or(turns).max(turns)
}

fn legend(log: &RunLog, run: &Run, columns: &Columns) -> Markup {
    html! {
        @if run.ring().is_some() {
            (key("p", "producer: upwards"))
            (key("c", "consumer: downwards"))
            @if columns.exact() { (key("thin", "a turn in which nothing moved")) }
        } @else {
            (key("p", "a turn of this VM"))
            @if has_arrows(log, columns) { (key("to", "the mailbox goes to the next turn's VM")) }
        }
        @if columns.crashed { (key("x", "the turn that did not end well")) }
    }
}

/// The VM of each turn.
fn lane(log: &RunLog, columns: &Columns, vm: u32) -> Markup {
    let mut shape = Shape::default();
    let has_arrows = has_arrows(log, columns);
    let (class, gap) = if has_arrows { ("lane high", arrows::GAP) } else { ("lane", columns.gap()) };
    let turn = |number: usize| &log.turns()[number - 1];
    let of_vm = |number: &usize| turn(*number).vm == vm;
    for (x, turns) in columns.iter() {
        let height = match columns.exact() {
            true => turns.clone().find(of_vm).map_or(0.0, |number| height(turn(number), has_arrows)),
            false => LANE * share(turns.clone().filter(of_vm).count(), turns.count()),
        };
        if height > 0.0 {
            let top = if columns.exact() { (LANE - height) / 2.0 } else { LANE - height };
            shape.bar(x + gap, top, 1.0 - 2.0 * gap, height);
        }
    }
    let mine: Vec<usize> = (1..=log.turns().len()).filter(of_vm).collect();
    let role = log.beginning().and_then(|run| run.guest(vm)?.role);
    let title = format!("VM {vm}: {}", counted(mine.len() as u64, "turn"));
    let crash = log.crash().filter(|crash| columns.crashed && crash.vm == vm);
    let content = html! {
        path class=(side(role)) d=(shape.data()) data-vm=(vm) data-count=(mine.len())
            data-turns=[columns.exact().then(|| list(&mine))] {}
        @if let Some(crash) = crash {
            path.x d=(cross(float(columns.len()))) data-crash=[crash.turn] {}
        }
    };
    drawing(class, columns.width(), LANE, &title, content)
}

/// The height of a turn's bar. A lane with arrows has room for them above and below its bars.
fn height(turn: &Turn, has_arrows: bool) -> f64 {
    match turn.action {
        Action::Moved { items: 0, .. } => THIN,
        _ if has_arrows => LOW,
        _ => LANE,
    }
}

fn share(part: usize, whole: usize) -> f64 {
    float(part) / float(whole.max(1))
}

/// The mark of an unfinished turn.
fn cross(x: f64) -> String {
    let [left, right] = [x + 0.2, x + 0.8].map(short);
    format!("M{left} 1L{right} 9M{left} 9L{right} 1")
}

/// The number of items in the ring after a turn.
fn count(log: &RunLog, turn: usize) -> u32 {
    log.pointers(turn).map_or(0, |pointers| pointers.count)
}

fn counts(log: &RunLog, turns: impl Iterator<Item = usize>) -> (u32, u32, f64) {
    let (mut least, mut most, mut sum, mut number) = (u32::MAX, 0, 0.0, 0.0);
    for count in turns.map(|turn| count(log, turn)) {
        (least, most) = (least.min(count), most.max(count));
        (sum, number) = (sum + f64::from(count), number + 1.0);
    }
    (least.min(most), most, sum / f64::max(number, 1.0))
}

fn occupancy_sentence(log: &RunLog) -> String {
    let turns = log.turns().len();
    match log.pointers(turns) {
        Some(pointers) if turns > 0 => {
            let (least, most, mean) = counts(log, 1..=turns);
            let full = (1..=turns).filter(|&turn| count(log, turn) == pointers.capacity).count();
            let empty = (1..=turns).filter(|&turn| count(log, turn) == 0).count();
            format!(
                "After a turn the ring held {least} to {most} items, {mean:.2} on average; it was full after {}, empty after {}.",
                counted(full as u64, "turn"),
                counted(empty as u64, "turn"),
            )
        }
        _ => String::new(),
    }
}

/// The number of items in the ring.
fn occupancy(log: &RunLog, columns: &Columns, capacity: Capacity) -> Markup {
    let capacity = f64::from(capacity.items());
    let all: Vec<(u32, u32, f64)> = columns.iter().map(|(_, turns)| counts(log, turns)).collect();
    let (area, line) = match columns.exact() {
        true => staircase(&all, capacity),
        false => band(&all, capacity),
    };
    let content = html! {
        path.grid d=(format!("M0 0H{0}M0 {1}H{0}", columns.width(), short(capacity))) {}
        path.area d=(area) {}
        path.line d=(line)
            data-counts=[columns.exact().then(|| list(all.iter().map(|(_, most, _)| most)))]
            data-least=[(!columns.exact()).then(|| list(all.iter().map(|(least, ..)| least)))]
            data-most=[(!columns.exact()).then(|| list(all.iter().map(|(_, most, _)| most)))] {}
    };
    drawing("occupancy", columns.width(), capacity, "Items in the ring after each turn", content)
}

/// One step for each turn, as an area and as its upper edge.
fn staircase(all: &[(u32, u32, f64)], capacity: f64) -> (String, String) {
    let mut line = Shape::default();
    for (column, (_, most, _)) in all.iter().enumerate() {
        let height = capacity - f64::from(*most);
        if column == 0 {
            line.to(0.0, height);
        }
        line.step(float(column) + 1.0, height);
    }
    let bottom = short(capacity);
    let area = if all.is_empty() { String::new() } else { format!("{}V{bottom}H0z", line.data()) };
    (area, line.data().into())
}

/// The range of each column, and its mean as a line.
fn band(all: &[(u32, u32, f64)], capacity: f64) -> (String, String) {
    let (mut area, mut line) = (Shape::default(), Shape::default());
    for (column, (least, most, mean)) in all.iter().enumerate() {
        let x = float(column);
        area.bar(x, capacity - f64::from(*most), 1.0, f64::from(most - least).max(0.05));
        line.to(x + 0.5, capacity - mean);
    }
    (area.data().into(), line.data().into())
}

/// The average number of items that a column's turns made and took.
fn per_turn(log: &RunLog, turns: std::ops::RangeInclusive<usize>) -> [f64; 2] {
    let number = float(turns.clone().count().max(1));
    let (mut made, mut taken) = (0, 0);
    for turn in turns {
        match log.turns()[turn - 1].action {
            Action::Moved { role: Role::Producer, items, .. } => made += items,
            Action::Moved { role: Role::Consumer, items, .. } => taken += items,
            Action::Left(_) => {}
        }
    }
    [float(made) / number, float(taken) / number]
}

/// The items that moved: made items go up, taken items go down.
fn moved(log: &RunLog, columns: &Columns) -> Markup {
    let all: Vec<[f64; 2]> = columns.iter().map(|(_, turns)| per_turn(log, turns)).collect();
    let most = all.iter().flatten().copied().fold(1.0, f64::max);
    let (mut made, mut taken) = (Shape::default(), Shape::default());
    for ((x, _), [up, down]) in columns.iter().zip(&all) {
        for (shape, height) in [(&mut made, -up), (&mut taken, *down)] {
            if height != 0.0 {
                shape.bar(x + columns.gap(), most, 1.0 - 2.0 * columns.gap(), height);
            }
        }
    }
    let numbers = |side: usize| list(all.iter().map(|column| short(column[side])));
    let content = html! {
        path.p d=(made.data()) data-made=(numbers(0)) {}
        path.c d=(taken.data()) data-taken=(numbers(1)) {}
        path.grid d=(format!("M0 {1}H{0}", columns.width(), short(most))) {}
    };
    let (top, bottom) = (format!("+{}", short(most)), format!("−{}", short(most)));
    let name = if columns.exact() { "items moved" } else { "items a turn" };
    html! {
        (axis(name, &top, &bottom))
        (drawing("moved", columns.width(), 2.0 * most, "Items that each turn moved", content))
    }
}
