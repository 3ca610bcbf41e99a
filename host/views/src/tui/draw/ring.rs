//! The ring: its slots around a rectangle, or in rows if there is no room for that, with both pointers.

use guest_abi::{ring::Pointers, transition::Role};
use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect, Size},
    style::{Color, Modifier, Style},
};

use crate::tui::{
    draw::scene::Scene,
    theme::{self, FAINT, FOLLOWED, STRONG},
};

/// A slot's text and its style.
struct Slot {
    text: String,
    style: Style,
}

/// Draws the ring into the inside of its frame.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, scene: &Scene<'_>, pointers: Pointers) {
    let digits = scene.log.items().largest().to_string().len().max(2);
    let slots = slots(scene, digits);
    let grid = Grid::fit(area, slots.len(), u16::try_from(digits).unwrap_or(u16::MAX));
    for (number, slot) in slots.iter().enumerate() {
        let Some(place) = grid.place(number) else { return };
        let cell = Rect::from((place, grid.cell()));
        draw_slot(buffer, cell, number, slot);
        draw_pointers(buffer, cell, grid.pitch.height > 1, number, pointers);
    }
}

/// The slots with their items, and with the items that the turn took out. All texts have the width of the largest item.
fn slots(scene: &Scene<'_>, digits: usize) -> Vec<Slot> {
    let Scene { log, view, .. } = scene;
    let (items, moved) = (log.items(), log.moved(scene.turn()));
    let ring = log.ring(scene.turn());
    let role = scene.this_turn().and_then(|turn| turn.action.role());
    let taken = if role == Some(Role::Consumer) { moved.clone() } else { 0..0 };
    let slot = |(slot, item): (usize, &Option<usize>)| {
        let gone = || taken.clone().rfind(|item| item % ring.len() == slot);
        let (number, is_gone) = match item.or_else(gone) {
            None => return Slot { text: format!("{:>digits$}", "·"), style: FAINT },
            Some(number) => (number, item.is_none()),
        };
        let style = match (view.trace(), is_gone) {
            (Some(trace), false) if trace.item == number => FOLLOWED,
            (_, true) => {
                theme::vm(items.item(number).maker).add_modifier(Modifier::DIM | Modifier::CROSSED_OUT)
            }
            (_, false) => theme::filled(items.item(number).maker),
        };
        let is_new = role == Some(Role::Producer) && moved.contains(&number);
        let style = if is_new { style.add_modifier(Modifier::BOLD) } else { style };
        Slot { text: format!("{:>digits$}", items.values()[number]), style }
    };
    ring.iter().enumerate().map(slot).collect()
}

/// Draws a slot as a box, in brackets, or as a mere blank of its color, as its cell has room.
fn draw_slot(buffer: &mut Buffer, cell: Rect, number: usize, slot: &Slot) {
    let Slot { text, style } = slot;
    match (cell.width, cell.height) {
        (1, _) if *style == FAINT => buffer.set_string(cell.x, cell.y, "·", FAINT),
        (1, _) => buffer.set_string(cell.x, cell.y, " ", *style),
        (_, 1) => buffer.set_string(cell.x, cell.y, format!("[{text}]"), *style),
        _ => draw_box(buffer, cell, number, slot),
    }
}

/// Draws a slot as a box with its number.
fn draw_box(buffer: &mut Buffer, cell: Rect, number: usize, slot: &Slot) {
    let inside = cell.width as usize - 2;
    let frame = Style::new().fg(slot.style.bg.unwrap_or(Color::DarkGray));
    buffer.set_string(cell.x, cell.y, format!("┌{number:─<inside$}┐"), frame);
    buffer.set_string(cell.x, cell.y + 1, "│", frame);
    buffer.set_string(cell.x + 1, cell.y + 1, format!("{:^inside$}", slot.text), slot.style);
    buffer.set_string(cell.right() - 1, cell.y + 1, "│", frame);
    buffer.set_string(cell.x, cell.y + 2, format!("└{:─<inside$}┘", ""), frame);
}

/// Marks a slot that a pointer points to: below it, or in place of its bracket.
fn draw_pointers(buffer: &mut Buffer, cell: Rect, is_below: bool, number: usize, pointers: Pointers) {
    let at = |pointer: u32| pointer as usize == number;
    let (name, letter) = match (at(pointers.cons_p), at(pointers.prod_p)) {
        (true, true) => ("c = p", "="),
        (true, false) => ("cons_p", "c"),
        (false, true) => ("prod_p", "p"),
        (false, false) => return,
    };
    let width = usize::from(cell.width);
    let mark = if name.len() <= width { name } else { letter };
    match is_below {
        true => buffer.set_string(cell.x, cell.bottom(), format!("{mark:^width$}"), STRONG),
        false => buffer.set_string(cell.x, cell.y, letter, STRONG),
    };
}

/// The places of the slots.
struct Grid {
    area: Rect,
    /// The columns and rows from one slot to the next. The row below a slot is for the pointers.
    pitch: Size,
    columns: usize,
    rows: usize,
    /// True if the slots are around the edge of the grid.
    is_ring: bool,
}

impl Grid {
    /// The first of all grids that has room in the area, for items of so many digits.
    fn fit(area: Rect, slots: usize, digits: u16) -> Self {
        let (boxed, bracketed) = (digits + 5, digits + 3);
        let rings = [(boxed, 5), (boxed, 4), (bracketed, 3), (bracketed, 2)]
            .map(|pitch| Self::ring(area, pitch.into(), slots));
        let rows =
            [(bracketed, 2), (bracketed, 1), (2, 2)].map(|pitch| Self::rows(area, pitch.into(), slots));
        let grids = rings.into_iter().chain(rows);
        grids.into_iter().find(Self::has_room).unwrap_or(Self::rows(area, Size::new(2, 1), slots))
    }

    /// Slots around a rectangle, clockwise from its top left corner.
    fn ring(area: Rect, pitch: Size, slots: usize) -> Self {
        let columns = most_columns(area, pitch).min(slots.div_ceil(2)).max(1);
        let rows = (slots.div_ceil(2) + 2).saturating_sub(columns).max(2);
        let size = |count: usize, pitch: u16| {
            u16::try_from(count).map_or(u16::MAX, |count| count.saturating_mul(pitch))
        };
        let (width, height) = (size(columns, pitch.width), size(rows, pitch.height));
        let (x, y) = (area.width.saturating_sub(width) / 2, area.height.saturating_sub(height) / 2);
        let area = Rect::new(area.x + x, area.y + y, area.width - x, area.height - y);
        Self { area, pitch, columns, rows, is_ring: true }
    }

    fn rows(area: Rect, pitch: Size, slots: usize) -> Self {
        let columns = most_columns(area, pitch);
        Self { area, pitch, columns, rows: slots.div_ceil(columns), is_ring: false }
    }

    fn has_room(&self) -> bool {
        let is_high = self.rows * usize::from(self.pitch.height) <= usize::from(self.area.height);
        is_high && (self.columns > 1 || !self.is_ring)
    }

    /// The size of a slot, without the column after it and the rows below it.
    fn cell(&self) -> Size {
        Size::new(self.pitch.width - 1, if self.pitch.height < 4 { 1 } else { 3 })
    }

    /// The place of a slot, if it is in the area.
    fn place(&self, slot: usize) -> Option<Position> {
        let (column, row) = self.column_and_row(slot);
        let number = |number: usize| u16::try_from(number).ok();
        let x = number(column)?.checked_mul(self.pitch.width)?.checked_add(self.area.x)?;
        let y = number(row)?.checked_mul(self.pitch.height)?.checked_add(self.area.y)?;
        let (right, bottom) = (x.checked_add(self.pitch.width - 1)?, y.checked_add(self.pitch.height)?);
        (right <= self.area.right() && bottom <= self.area.bottom()).then_some(Position { x, y })
    }

    fn column_and_row(&self, slot: usize) -> (usize, usize) {
        if !self.is_ring {
            return (slot % self.columns, slot / self.columns);
        }
        let (right, bottom) = (self.columns - 1, self.rows - 1);
        match slot {
            _ if slot <= right => (slot, 0),
            _ if slot <= right + bottom => (right, slot - right),
            _ if slot <= 2 * right + bottom => (2 * right + bottom - slot, bottom),
            _ => (0, 2 * (right + bottom) - slot),
        }
    }
}

/// The columns of slots in an area. The last slot of a row needs no space after it.
fn most_columns(area: Rect, pitch: Size) -> usize {
    usize::from((area.width + 1) / pitch.width).max(1)
}
