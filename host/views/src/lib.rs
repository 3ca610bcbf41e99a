//! views

pub mod afterwards;
pub mod compare;
pub mod html;
pub mod transcript;
pub mod tui;
