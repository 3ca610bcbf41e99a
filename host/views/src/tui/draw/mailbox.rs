//! The mailbox of an experiment without a ring: its words, and marks on those that the turn changed.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span, Text},
    widgets::{Paragraph, Widget, Wrap},
};

use guestlab_runlog::run_log::{Action, Turn};

use crate::tui::{
    draw::scene::Scene,
    theme::{self, STRONG},
};

/// The largest number of words that are drawn: more than fit on a screen.
const MOST: usize = 1024;

/// Draws the words into the inside of the mailbox's frame.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, scene: &Scene<'_>) {
    let words = words(scene, scene.turn());
    let before = words_before(scene);
    let style = scene.this_turn().map_or(STRONG, |turn| theme::filled(turn.vm));
    let span = |(at, &word): (usize, &u32)| {
        let is_changed = before.get(at).copied().unwrap_or(0) != word;
        let text = format!("{word}");
        [if is_changed { Span::styled(text, style) } else { Span::raw(text) }, Span::raw(" ")]
    };
    let line: Line<'_> = words.iter().take(MOST).enumerate().flat_map(span).collect();
    Paragraph::new(Text::from(line)).wrap(Wrap { trim: true }).render(area, buffer);
}

/// The VM that left the mailbox and the one that gets it next, for example ` VM 1 → VM 2 `.
pub(super) fn way(scene: &Scene<'_>) -> String {
    let (log, turn) = (scene.log, scene.turn());
    let from = turn.checked_sub(1).and_then(|last| log.turns().get(last)).map(|turn| turn.vm);
    let failed = log.crash().filter(|crash| crash.turn.is_some()).map(|crash| crash.vm);
    match (from, log.turns().get(turn).map(|turn| turn.vm).or(failed)) {
        (Some(from), Some(to)) => format!(" VM {from} → VM {to} "),
        (Some(from), None) => format!(" from VM {from} "),
        (None, Some(to)) => format!(" to VM {to} "),
        (None, None) => String::new(),
    }
}

fn words_before<'a>(scene: &Scene<'a>) -> &'a [u32] {
    scene.turn().checked_sub(1).map_or(&[], |turn| words(scene, turn))
}

fn words<'a>(scene: &Scene<'a>, turn: usize) -> &'a [u32] {
    match turn.checked_sub(1).and_then(|last| scene.log.turns().get(last)) {
        Some(Turn { action: Action::Left(words), .. }) => words,
        _ => &[],
    }
}
