//! runlog

pub mod command_line;
pub mod conduct;
pub mod error;
pub mod event;
pub mod items;
pub mod json;
pub mod jsonl;
pub mod line;
pub mod live;
pub mod recording;
pub mod ring_check;
pub mod story;
pub mod tally;
pub mod text;
