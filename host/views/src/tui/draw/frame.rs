//! Frames around the parts of a view.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Color,
    text::Span,
    widgets::{Block, BorderType, Widget},
};

use crate::tui::theme::{FAINT, STRONG};

/// A frame with a title.
pub(super) fn block(title: &str) -> Block<'_> {
    let title = Span::styled(title, STRONG.fg(Color::Reset));
    Block::bordered().border_type(BorderType::Rounded).border_style(FAINT).title(title)
}

/// Draws a frame and its content.
pub(super) fn within(
    buffer: &mut Buffer,
    area: Rect,
    block: Block<'_>,
    draw: impl FnOnce(&mut Buffer, Rect),
) {
    let inside = block.inner(area);
    block.render(area, buffer);
    draw(buffer, inside);
}
