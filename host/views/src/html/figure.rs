//! The elements of figures. Figures are stretched to the width of the page. So texts stand beside them, and lines keep
//! their width.

use maud::{Markup, html};

use super::number::{float, short};

/// The `d` attribute of a path.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape(String);

impl Shape {
    /// Adds a bar: its corner, its width, and its height, which may go up (negative) or down.
    pub(super) fn bar(&mut self, x: f64, y: f64, width: f64, height: f64) {
        let [x, y, width, height] = [x, y, width, height].map(short);
        self.0.push_str(&format!("M{x} {y}h{width}v{height}h-{width}z"));
    }

    /// Moves to a point, with a line except at the beginning.
    pub(super) fn to(&mut self, x: f64, y: f64) {
        let command = if self.0.is_empty() { 'M' } else { 'L' };
        self.0.push_str(&format!("{command}{} {}", short(x), short(y)));
    }

    /// Moves up or down, then to the right: a step of a staircase.
    pub(super) fn step(&mut self, x: f64, y: f64) {
        self.0.push_str(&format!("V{}H{}", short(y), short(x)));
    }

    /// The path's data.
    pub(super) fn data(&self) -> &str {
        &self.0
    }
}

/// A drawing with this number of columns and this height, stretched to its place. Its label is for people who cannot
/// see it.
pub(super) fn drawing(class: &str, columns: usize, height: f64, title: &str, content: Markup) -> Markup {
    html! {
        svg class=(class) viewBox=(format!("0 0 {} {}", short(float(columns)), short(height)))
            preserveAspectRatio="none" role="img" aria-label=(title) { (content) }
    }
}

/// The labels of a vertical axis: at its top and at its bottom.
pub(super) fn axis(name: &str, top: &str, bottom: &str) -> Markup {
    html! {
        div.axis { span { (top) } span.name { (name) } span { (bottom) } }
    }
}

/// A swatch of a legend. Its class has the colour, and classes differ in form, too.
pub(super) fn key(class: &str, text: &str) -> Markup {
    html! { span.key { i class=(class) {} " " (text) } }
}
