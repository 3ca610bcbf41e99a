//! Where the slots of a ring are drawn: on an oval, clockwise from its top, each as a cell of characters.

use std::f64::consts::TAU;

use ratatui::layout::{Position, Rect, Size};

/// The exponents of the curves that are tried: 2 is an ellipse, and the larger it is the more the curve is
/// a rectangle with round corners, which has room for more cells.
const EXPONENTS: [f64; 5] = [2.0, 2.5, 3.5, 6.0, 40.0];

/// Of how many lines a curve is made.
const POINTS: u32 = 1024;

/// The room that there must be inside: for the pointers' names, and for how much is in the ring.
const INSIDE: Size = Size::new(20, 4);

/// An oval of cells.
pub(super) struct Oval {
    /// The cells, in the order of their slots.
    pub(super) cells: Vec<Rect>,
    /// Points of the curve, in order.
    pub(super) track: Vec<Position>,
}

impl Oval {
    /// The oval of so many cells of this size in an area, if there is room.
    pub(super) fn fit(area: Rect, slots: usize, cell: Size) -> Option<Self> {
        let least = Size::new(2 * cell.width + INSIDE.width, 2 * cell.height + INSIDE.height);
        if area.width < least.width || area.height < least.height {
            return None;
        }
        EXPONENTS.iter().map(|&exponent| Self::of(area, slots, cell, exponent)).find(Self::is_apart)
    }

    fn of(area: Rect, slots: usize, cell: Size, exponent: f64) -> Self {
        let curve = Curve { area, cell, exponent };
        let line = Line::along(&curve);
        let cells = (0..slots).map(|slot| curve.cell(line.at(fraction(slot, slots)))).collect();
        // More than the curve has characters.
        let points = usize::from(area.width + area.height) * 8;
        let track = (0..points).map(|point| curve.middle(line.at(fraction(point, points)))).collect();
        Self { cells, track }
    }

    /// Whether each cell is apart from all others: a column between them where they are in one row.
    fn is_apart(&self) -> bool {
        let apart = |one: &Rect, other: &Rect| {
            !Rect { width: one.width + 1, ..*one }.intersects(*other)
                && !Rect { width: other.width + 1, ..*other }.intersects(*one)
        };
        (1..self.cells.len()).all(|at| self.cells[..at].iter().all(|other| apart(other, &self.cells[at])))
    }
}

fn fraction(part: usize, whole: usize) -> f64 {
    let number = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    number(part) / number(whole)
}

/// The curve on which the top left corners of the cells are.
struct Curve {
    area: Rect,
    cell: Size,
    exponent: f64,
}

impl Curve {
    /// A point, from 0 at the top, clockwise, to 1.
    fn at(&self, part: f64) -> (f64, f64) {
        let bend = |value: f64| value.signum() * value.abs().powf(2.0 / self.exponent);
        let (sin, cos) = (part * TAU).sin_cos();
        let half = |area: u16, cell: u16| f64::from(area - cell) / 2.0;
        let (a, b) = (half(self.area.width, self.cell.width), half(self.area.height, self.cell.height));
        (a + a * bend(sin), b - b * bend(cos))
    }

    fn cell(&self, (x, y): (f64, f64)) -> Rect {
        let (x, y) = (self.area.x + rounded(x), self.area.y + rounded(y));
        Rect::new(x, y, self.cell.width, self.cell.height)
    }

    fn middle(&self, point: (f64, f64)) -> Position {
        let Rect { x, y, width, height } = self.cell(point);
        Position::new(x + width / 2, y + height / 2)
    }
}

/// A curve as many short lines, measured.
struct Line {
    points: Vec<(f64, f64)>,
    /// How far each point is from the first, in cells and the columns between them.
    way: Vec<f64>,
}

impl Line {
    fn along(curve: &Curve) -> Self {
        let point = |point| curve.at(f64::from(point) / f64::from(POINTS));
        let points: Vec<(f64, f64)> = (0..=POINTS).map(point).collect();
        let (wide, high) = (f64::from(curve.cell.width) + 1.0, f64::from(curve.cell.height));
        let mut way = vec![0.0];
        for pair in points.windows(2) {
            let (x, y) = (pair[1].0 - pair[0].0, pair[1].1 - pair[0].1);
            way.push(way[way.len() - 1] + (x / wide).hypot(y / high));
        }
        Self { points, way }
    }

    /// The point after this part of the way.
    fn at(&self, part: f64) -> (f64, f64) {
        let way = part * self.way[self.way.len() - 1];
        let next = self.way.partition_point(|&other| other < way).clamp(1, self.way.len() - 1);
        let (from, to) = (self.points[next - 1], self.points[next]);
        let length = self.way[next] - self.way[next - 1];
        let share = if length > 0.0 { (way - self.way[next - 1]) / length } else { 0.0 };
        (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within an area")]
fn rounded(value: f64) -> u16 {
    value.round() as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_ring_of_six_is_round() {
        let oval = Oval::fit(Rect::new(0, 0, 40, 9), 6, Size::new(4, 1)).expect("room");
        let at: Vec<(u16, u16)> = oval.cells.iter().map(|cell| (cell.x, cell.y)).collect();
        assert_eq!(at[0], (18, 0));
        assert_eq!(at[3], (18, 8));
        assert!(at[1].0 > 30 && at[1].1 > 0 && at[5].0 < 6 && at[4].1 < 8, "{at:?}");
    }

    #[test]
    fn the_largest_ring_fits_into_a_large_terminal_and_not_into_a_small_one() {
        assert!(Oval::fit(Rect::new(0, 0, 70, 20), 64, Size::new(2, 1)).is_some());
        assert!(Oval::fit(Rect::new(0, 0, 40, 9), 64, Size::new(4, 1)).is_none());
    }

    proptest! {
        #[test]
        fn cells_are_in_the_area_and_apart(
            width in 0u16..200, height in 0u16..80, slots in 1usize..=64, cell in 1u16..12, high in 1u16..4,
        ) {
            let area = Rect::new(7, 3, width, height);
            if let Some(oval) = Oval::fit(area, slots, Size::new(cell, high)) {
                prop_assert_eq!(oval.cells.len(), slots);
                for (at, cell) in oval.cells.iter().enumerate() {
                    prop_assert_eq!(cell.intersection(area), *cell);
                    prop_assert!(oval.cells[..at].iter().all(|other| !other.intersects(*cell)));
                }
                prop_assert!(oval.track.iter().all(|&position| area.contains(position)));
            }
        }
    }
}
