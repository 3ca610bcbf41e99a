//! The last lines of the text that guests printed up to the step.

use std::collections::{BTreeMap, VecDeque};

use ratatui::{buffer::Buffer, layout::Rect, style::Style, text::Span};

use guestlab_runlog::{run_log::Output, text::LineEnds};

use crate::tui::{
    draw::scene::Scene,
    theme::{self, FAINT, clean},
};

/// Draws the text into the inside of its frame.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, scene: &Scene<'_>) {
    let (rows, width) = (usize::from(area.height), usize::from(area.width));
    let lines = last_lines(scene, rows, width);
    if lines.is_empty() {
        buffer.set_stringn(area.x, area.y, nothing(scene), width, FAINT);
    }
    let from_last = lines.iter().rev().flat_map(|(vm, text)| shown(scene, *vm, text, area).into_iter().rev());
    let last: Vec<_> = from_last.take(rows).collect();
    for (row, (vm, label, text)) in (area.y..area.bottom()).zip(last.into_iter().rev()) {
        let (x, _) = buffer.set_stringn(area.x, row, label, width, theme::vm(vm));
        buffer.set_stringn(x, row, text, (area.right() - x) as usize, Style::new());
    }
}

/// A line as rows, each with the VM, a label and a text. A long line continues in the next row, and is cut off if it
/// needs more rows than there are.
fn shown(scene: &Scene<'_>, vm: u32, text: &str, area: Rect) -> Vec<(u32, String, String)> {
    let label = if is_labelled(scene) { format!("{vm}| ") } else { String::new() };
    let room = usize::from(area.width).saturating_sub(label.len()).max(1);
    let rows = broken(&clean(&LineEnds::of(text)), room).into_iter().take(area.height.into()).enumerate();
    rows.map(|(row, text)| (vm, if row == 0 { label.clone() } else { " ".repeat(label.len()) }, text))
        .collect()
}

/// A text in pieces of at most this number of columns.
fn broken(text: &str, width: usize) -> Vec<String> {
    let (mut rows, mut used) = (vec![String::new()], 0);
    for letter in text.chars() {
        let columns = Span::raw(letter.to_string()).width();
        if used + columns > width {
            rows.push(String::new());
            used = 0;
        }
        rows.last_mut().expect("there is one").push(letter);
        used += columns;
    }
    rows
}

fn is_labelled(scene: &Scene<'_>) -> bool {
    scene.view.console_of().is_none() && scene.log.beginning().is_some()
}

fn nothing(scene: &Scene<'_>) -> &'static str {
    match scene.log.options() {
        // A recording has no text of guests.
        Some(_) => "(not in a recording)",
        None => "(nothing yet)",
    }
}

/// The last lines, each with its VM. A line stands at the place of its end.
fn last_lines(scene: &Scene<'_>, rows: usize, width: usize) -> VecDeque<(u32, String)> {
    let mut begun: BTreeMap<u32, String> = BTreeMap::new();
    let mut lines = VecDeque::new();
    for Output { vm, text, .. } in last_outputs(scene, rows) {
        let line = begun.entry(*vm).or_default();
        for part in last_parts(text, rows) {
            let room = (rows * width).saturating_sub(line.chars().count());
            line.extend(part.trim_end_matches('\n').chars().take(room));
            if part.ends_with('\n') {
                lines.push_back((*vm, std::mem::take(line)));
            }
        }
    }
    lines.extend(begun.into_iter().filter(|(_, line)| !line.is_empty()));
    lines.drain(..lines.len().saturating_sub(rows));
    lines
}

/// The outputs with the last lines.
fn last_outputs<'a>(scene: &Scene<'a>, rows: usize) -> Vec<&'a Output> {
    let outputs = scene.log.outputs();
    // Text that came after a turn belongs to the next turn.
    let until = match scene.is_at_end() {
        true => outputs.len(),
        false => outputs.partition_point(|output| output.turns < scene.turn()),
    };
    let is_shown = |output: &&Output| scene.view.console_of().is_none_or(|vm| vm == output.vm);
    let mut ends = 0;
    let mut last: Vec<&Output> = Vec::new();
    for output in outputs[..until].iter().rev().filter(is_shown) {
        last.push(output);
        ends += last_parts(&output.text, rows).filter(|part| part.ends_with('\n')).count();
        // One more line: the text before it would be the beginning of a line.
        if ends > rows {
            break;
        }
    }
    last.reverse();
    last
}

/// The last lines of a text, with their line ends.
fn last_parts(text: &str, rows: usize) -> impl Iterator<Item = &str> {
    let from = text.rmatch_indices('\n').nth(rows + 1).map_or(0, |(end, _)| end + 1);
    text[from..].split_inclusive('\n')
}
