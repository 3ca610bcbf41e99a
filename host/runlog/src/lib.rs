//! The log of a run: events as JSON lines, recordings, and a run that was read back.
//!
//! [`event`] has the events of a run, and [`sink`] the trait of whatever takes them. [`recording`] reads a recording,
//! [`run_log`] indexes a run so that views can show it at any turn. [`ring_check`] and [`conduct`] check what guests did with
//! the ring. This crate opens no file and prints nothing.

mod characters;
pub mod command_line;
pub mod conduct;
pub mod counters;
pub mod coverage;
mod encoding;
pub mod error;
pub mod event;
pub mod grade;
pub mod header;
pub mod items;
pub mod json;
pub mod jsonl;
mod lines;
pub mod live;
pub mod recording;
pub mod ring_check;
pub mod run_log;
pub mod sink;
pub mod status;
pub mod text;
pub mod verdict;
