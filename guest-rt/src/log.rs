//! A log: records with a level and a target, by the [`log`](https://docs.rs/log) crate's own macros.
//!
//! ```ignore
//! use guest_rt::log::{self, debug, info};
//!
//! fn main() {
//!     log::init();
//!     info!("up, with {} bytes of memory", guest_rt::boot::info().memory);
//!     debug!(target: "disk", "sector {}", 7);
//! }
//! ```
//!
//! The host shows a record with its level and target, and only those that its `--log` lets through:
//! `--log debug`, or `--log info,disk=trace`. Use it for what one wants to see sometimes; what is the guest's
//! result is [printed](crate::console). Crates that a guest uses may log, too: it is the same `log`.
//!
//! One exit a record, shown or not: the guest does not know what is shown, so that what it does never
//! depends on who reads along. A record that is not to cost even that is left out at compile time, by the
//! `log` crate's features (`max_level_info`), or at run time by [`set_max_level`]. Until [`init`] is called,
//! records go nowhere, and cost nothing. A message of more than 512 bytes is cut off.

use core::fmt::Write;

pub use log::{
    Level, LevelFilter, Metadata, Record, debug, error, info, log, log_enabled, max_level, set_max_level,
    trace, warn,
};

use crate::{hypercall, message::Message};

/// Sends this guest's records to the host from now on. Call it once, at the beginning of `main`; whatever
/// else was set to take them stays. No exit.
pub fn init() {
    if log::set_logger(&Host).is_ok() {
        set_max_level(LevelFilter::Trace);
    }
}

/// Takes records to the host.
struct Host;

impl log::Log for Host {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let (level, target) = (record.level(), record.target());
        if let Some(message) = record.args().as_str() {
            return hypercall::log(level, target, message.as_bytes());
        }
        let mut message = Message::new();
        // A value whose own formatting fails leaves what it had written by then.
        let _ = message.write_fmt(*record.args());
        hypercall::log(level, target, message.as_bytes());
    }

    fn flush(&self) {}
}
