//! A run as a page: one HTML file that needs nothing else, neither the network nor scripts to be read.
//!
//! A page is made of a [`RunLog`] and of nothing else. The host draws every figure (inline SVG, whose
//! elements carry the numbers that they show); the script only picks turns out of them.

mod choices;
mod columns;
mod crash;
mod exits;
mod figure;
mod number;
mod page;
mod ring;
mod summary;
#[cfg(test)]
mod tests;
mod transcript;
mod turns;

pub use page::page;
