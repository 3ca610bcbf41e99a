//! A picture of the terminal's view, as SVG: a terminal with a dark background, the same for the same buffer.

use std::fmt::Write;

use anstyle::{AnsiColor, RgbColor, Style};
use anstyle_svg::{Palette, Term};
use ratatui::{
    buffer::{Buffer, Cell},
    style::Color,
};

/// The sixteen colors, all bright enough for small letters on the first.
const COLORS: [u32; 16] = [
    0x0d1117, 0xff7b72, 0x56d364, 0xe3b341, 0x79c0ff, 0xd2a8ff, 0x56d4dd, 0xe6edf3, 0x8b949e, 0xffa657,
    0x7ee787, 0xf2cc60, 0xa5d6ff, 0xff9bce, 0xb3f0ff, 0xffffff,
];

/// Returns the picture of a buffer.
pub fn svg(buffer: &Buffer) -> String {
    let palette = COLORS.map(|color| {
        let [_, red, green, blue] = color.to_be_bytes();
        RgbColor(red, green, blue)
    });
    Term::new().palette(Palette(palette)).min_width_px(0).render_svg(&ansi(buffer))
}

/// Returns the buffer as text with escape sequences.
fn ansi(buffer: &Buffer) -> String {
    let rows = buffer.content.chunks(usize::from(buffer.area.width).max(1));
    rows.map(row).collect::<Vec<_>>().join("\n")
}

fn row(cells: &[Cell]) -> String {
    // Cells of one style are one piece: the picture has an element for each.
    let pieces = cells.chunk_by(|one, next| style(one) == style(next));
    pieces.fold(String::new(), |mut row, piece| {
        let text: String = piece.iter().map(Cell::symbol).collect();
        let style = style(&piece[0]);
        let _ = write!(row, "{style}{text}{style:#}");
        row
    })
}

fn style(cell: &Cell) -> Style {
    Style::new().fg_color(color(cell.fg)).bg_color(color(cell.bg)).effects(cell.modifier.into())
}

/// Returns one of a terminal's sixteen colors; `None` for the terminal's own.
fn color(color: Color) -> Option<anstyle::Color> {
    AnsiColor::try_from(color).ok().map(Into::into)
}
