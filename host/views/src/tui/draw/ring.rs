//! The ring: as a ring where there is room, otherwise as rows of slots; with both pointers.

use guest_abi::{ring::Pointers, transition::Role};
use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect, Size},
    style::{Color, Modifier, Style},
};

use crate::tui::{
    draw::oval::Oval,
    draw::scene::Scene,
    theme::{self, FAINT, FOLLOWED, STRONG},
};

/// A slot as it is to be drawn.
struct Slot {
    text: String,
    style: Style,
}

/// Draws the ring into the inside of its frame.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, scene: &Scene<'_>, pointers: Pointers) {
    let digits = scene.log.items().largest().to_string().len().max(2);
    let (slots, width) = (slots(scene, digits), u16::try_from(digits).unwrap_or(u16::MAX));
    let tiles = [Size::new(width + 4, 3), Size::new(width + 2, 1), Size::new(width, 1)];
    let oval = tiles.into_iter().find_map(|tile| Oval::fit(area, slots.len(), tile));
    match oval {
        Some(oval) => draw_oval(buffer, area, &slots, &oval, pointers),
        None => draw_rows(buffer, area, &slots, width, pointers),
    }
}

/// The slots: what is in them, and what the turn took out. Items have so many digits at most, from turn to turn.
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

fn draw_oval(buffer: &mut Buffer, area: Rect, slots: &[Slot], oval: &Oval, pointers: Pointers) {
    // Numbers without brackets would run into it.
    let is_bare = oval.cells.iter().zip(slots).any(|(cell, slot)| usize::from(cell.width) <= slot.text.len());
    for &position in oval.track.iter().filter(|_| !is_bare) {
        buffer[position].set_symbol("·").set_style(FAINT);
    }
    for (number, (slot, &cell)) in slots.iter().zip(&oval.cells).enumerate() {
        match cell.height {
            1 => draw_cell(buffer, cell, slot),
            _ => draw_tile(buffer, cell, number, slot),
        }
    }
    let mut labels = Labels { area, taken: oval.cells.clone() };
    let count = format!("{} of {}", pointers.count, pointers.capacity);
    labels.put(
        buffer,
        &[centred(&count, area.x + area.width / 2, area.y + area.height / 2)],
        FAINT,
        &[&count],
    );
    let Pointers { prod_p, cons_p, .. } = pointers;
    let names = match prod_p == cons_p {
        true => vec![(prod_p, "cons_p = prod_p")],
        false => vec![(cons_p, "cons_p"), (prod_p, "prod_p")],
    };
    for (slot, name) in names {
        if let Some(&cell) = oval.cells.get(slot as usize) {
            labels.point(buffer, cell, name);
        }
    }
}

/// A slot in one row, for example `[55]`, or without brackets where there is no room for them.
fn draw_cell(buffer: &mut Buffer, cell: Rect, slot: &Slot) {
    let Slot { text, style } = slot;
    match text.chars().count() < usize::from(cell.width) {
        true => buffer.set_string(cell.x, cell.y, format!("[{text}]"), *style),
        false => buffer.set_string(cell.x, cell.y, text, *style),
    }
}

/// A slot as a box with its number.
fn draw_tile(buffer: &mut Buffer, cell: Rect, number: usize, slot: &Slot) {
    let inside = cell.width as usize - 2;
    let frame = Style::new().fg(slot.style.bg.unwrap_or(Color::DarkGray));
    buffer.set_string(cell.x, cell.y, format!("┌{number:─<inside$}┐"), frame);
    buffer.set_string(cell.x, cell.y + 1, "│", frame);
    buffer.set_string(cell.x + 1, cell.y + 1, format!("{:^inside$}", slot.text), slot.style);
    buffer.set_string(cell.right() - 1, cell.y + 1, "│", frame);
    buffer.set_string(cell.x, cell.y + 2, format!("└{:─<inside$}┘", ""), frame);
}

/// Texts between the slots, none above another.
struct Labels {
    area: Rect,
    taken: Vec<Rect>,
}

impl Labels {
    /// Writes texts at their places, if all of those are free.
    fn put(&mut self, buffer: &mut Buffer, places: &[Rect], style: Style, texts: &[&str]) -> bool {
        let free = |place: &Rect| {
            place.intersection(self.area) == *place
                && !self.taken.iter().any(|taken| taken.intersects(*place))
        };
        let all = places.iter().all(free);
        for (place, text) in places.iter().zip(texts).filter(|_| all) {
            buffer.set_string(place.x, place.y, text, style);
            self.taken.push(*place);
        }
        all
    }

    /// Points at a slot from inside, wherever there is room.
    fn point(&mut self, buffer: &mut Buffer, cell: Rect, name: &str) {
        let Rect { x, y, width, height } = self.area;
        let (middle, row) = (cell.x + cell.width / 2, cell.y + cell.height / 2);
        let is_above = 2 * (row - y) < height;
        let is_left = 2 * (middle - x) < width;
        let length = u16::try_from(name.len()).unwrap_or(u16::MAX) + 2;
        let beside = match is_left {
            true => (Rect::new(cell.right() + 1, row, length, 1), format!("◀ {name}")),
            false => (Rect::new(cell.x.saturating_sub(length + 1), row, length, 1), format!("{name} ▶")),
        };
        let beside =
            |labels: &mut Self, buffer: &mut Buffer| labels.put(buffer, &[beside.0], STRONG, &[&beside.1]);
        let inwards = |rows: u16| match is_above {
            true => cell.bottom() + rows,
            false => cell.y.saturating_sub(rows + 1),
        };
        let arrow = if is_above { "▲" } else { "▼" };
        let over = |labels: &mut Self, buffer: &mut Buffer| {
            (1..=2).any(|rows| {
                let places = [Rect::new(middle, inwards(0), 1, 1), centred(name, middle, inwards(rows))];
                labels.put(buffer, &places, STRONG, &[arrow, name])
            })
        };
        // The side of the oval on which the slot is, as seen from the middle.
        let (across, down) = ((2 * (middle - x)).abs_diff(width), (2 * (row - y)).abs_diff(height));
        let is_beside = u32::from(across) * u32::from(height) > u32::from(down) * u32::from(width);
        let _is_drawn = match is_beside {
            true => beside(self, buffer) || over(self, buffer),
            false => over(self, buffer) || beside(self, buffer),
        };
    }
}

fn centred(text: &str, middle: u16, row: u16) -> Rect {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    Rect::new(middle.saturating_sub(length / 2), row, length, 1)
}

/// Rows of slots, each with a row below it for the pointers, where there is room.
fn draw_rows(buffer: &mut Buffer, area: Rect, slots: &[Slot], width: u16, pointers: Pointers) {
    let grid = |pitch: u16, rows: u16| Grid { area, pitch, rows };
    let grids = [grid(width + 3, 2), grid(width + 3, 1), grid(2, 2), grid(2, 1)];
    let fits = |grid: &Grid| grid.height(slots.len()) <= area.height;
    let grid = grids.into_iter().find(fits).unwrap_or(Grid { area, pitch: 2, rows: 1 });
    for (number, slot) in slots.iter().enumerate() {
        let Some(Position { x, y }) = grid.place(number) else { return };
        match (grid.pitch, slot.style == FAINT) {
            (2, true) => buffer.set_string(x, y, "·", FAINT),
            (2, false) => buffer.set_string(x, y, " ", slot.style),
            (pitch, _) => draw_cell(buffer, Rect::new(x, y, pitch - 1, 1), slot),
        }
        let at = |pointer: u32| pointer as usize == number;
        let mark = match (at(pointers.cons_p), at(pointers.prod_p)) {
            (true, true) => "=",
            (true, false) => "c",
            (false, true) => "p",
            (false, false) => continue,
        };
        // Below the slot, or in place of its bracket.
        match grid.rows {
            2 => buffer.set_string(x + grid.pitch / 2 - 1, y + 1, mark, STRONG),
            _ => buffer.set_string(x, y, mark, STRONG),
        }
    }
}

/// Where slots are in rows.
struct Grid {
    area: Rect,
    /// The columns from a slot to the next.
    pitch: u16,
    /// The rows from a row of slots to the next.
    rows: u16,
}

impl Grid {
    fn columns(&self) -> usize {
        // The last slot of a row needs no space after it.
        usize::from((self.area.width + 1) / self.pitch).max(1)
    }

    fn height(&self, slots: usize) -> u16 {
        u16::try_from(slots.div_ceil(self.columns())).map_or(u16::MAX, |rows| rows.saturating_mul(self.rows))
    }

    /// The place of a slot, where that is in the area.
    fn place(&self, slot: usize) -> Option<Position> {
        let number = |number: usize| u16::try_from(number).ok();
        let x = number(slot % self.columns())?.checked_mul(self.pitch)?.checked_add(self.area.x)?;
        let y = number(slot / self.columns())?.checked_mul(self.rows)?.checked_add(self.area.y)?;
        let (right, bottom) = (x.checked_add(self.pitch - 1)?, y.checked_add(self.rows)?);
        (right <= self.area.right() && bottom <= self.area.bottom()).then_some(Position { x, y })
    }
}
