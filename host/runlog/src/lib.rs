//! The log of a run: events as JSON lines, recordings, and a run that was read back.
//!
//! [`event`] has the events of a run, and [`sink`] the trait of whatever takes them. [`recording`] reads a recording,
//! [`story`] indexes a run so that views can show it at any turn. [`ring_check`] and [`conduct`] check what guests did with
//! the ring. This crate opens no file and prints nothing.

pub mod command_line;
pub mod conduct;
pub mod error;
pub mod event;
pub mod items;
pub mod json;
pub mod jsonl;
pub mod line;
pub mod lines;
pub mod live;
pub mod recording;
pub mod ring_check;
pub mod sink;
pub mod status;
pub mod story;
pub mod tally;
pub mod text;
