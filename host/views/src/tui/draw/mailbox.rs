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

fn words_before<'a>(scene: &Scene<'a>) -> &'a [u32] {
    scene.turn().checked_sub(1).map_or(&[], |turn| words(scene, turn))
}

fn words<'a>(scene: &Scene<'a>, turn: usize) -> &'a [u32] {
    match turn.checked_sub(1).and_then(|last| scene.log.turns().get(last)) {
        Some(Turn { action: Action::Left(words), .. }) => words,
        _ => &[],
    }
}
