//! The views of a run: a transcript, a page, a view in the terminal, and a comparison of two runs.
//!
//! Each view is made of the run's log or of the report of its coverage, and of nothing else (see [`guestlab_runlog`]). This crate opens no file.

pub mod compare;
pub mod coverage;
pub mod flame;
pub mod html;
pub mod transcript;
pub mod tui;
