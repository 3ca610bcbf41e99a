//! A run as a page: one HTML file without other files. It can be read without a network and without scripts.
//!
//! A page is made of a run's log only; the page about a class, of the rows of its grades; the page about
//! coverage, of its report and of source files. The host draws every figure as inline SVG, whose elements carry the numbers
//! that they show. The script only selects turns.

mod arrows;
mod choices;
mod class;
mod columns;
mod coverage;
mod crash;
mod exits;
mod figure;
mod number;
mod page;
mod ring;
mod shell;
mod summary;
#[cfg(test)]
mod tests;
mod transcript;
mod turns;

pub use class::class_page;
pub use coverage::coverage_page;
pub use page::page;
