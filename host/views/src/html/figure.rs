//! What figures are made of. Their width is stretched to the page's, so that whatever is to be read
//! stands beside them as text, and lines keep their width.

use maud::{Markup, html};

use super::number::{float, short};

/// What the `d` of a path says.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape(String);

impl Shape {
    /// Adds a bar: its corner, its width, and its height, which may go up (negative) or down.
    pub(super) fn bar(&mut self, x: f64, y: f64, width: f64, height: f64) {
        let [x, y, width, height] = [x, y, width, height].map(short);
        self.0.push_str(&format!("M{x} {y}h{width}v{height}h-{width}z"));
    }

    /// Goes to a point, with a line or, at the beginning, without.
    pub(super) fn to(&mut self, x: f64, y: f64) {
        let command = if self.0.is_empty() { 'M' } else { 'L' };
        self.0.push_str(&format!("{command}{} {}", short(x), short(y)));
    }

    /// Goes up or down, then to the right: a step of a staircase.
    pub(super) fn step(&mut self, x: f64, y: f64) {
        self.0.push_str(&format!("V{}H{}", short(y), short(x)));
    }

    /// The path's data.
    pub(super) fn data(&self) -> &str {
        &self.0
    }
}

/// A drawing of so many columns and of a height of its own, stretched to where it stands. What it is
/// called is said to those who do not see it.
pub(super) fn drawing(class: &str, columns: usize, height: f64, title: &str, content: Markup) -> Markup {
    html! {
        svg class=(class) viewBox=(format!("0 0 {} {}", short(float(columns)), short(height)))
            preserveAspectRatio="none" role="img" aria-label=(title) { (content) }
    }
}

/// The labels of an axis that goes up: what stands at its top, and at its bottom.
pub(super) fn axis(name: &str, top: &str, bottom: &str) -> Markup {
    html! {
        div.axis { span { (top) } span.name { (name) } span { (bottom) } }
    }
}

/// A swatch of a legend: its class has the colour, and its form differs, too.
pub(super) fn key(class: &str, text: &str) -> Markup {
    html! { span.key { i class=(class) {} " " (text) } }
}
