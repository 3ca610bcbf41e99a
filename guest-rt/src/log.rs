//! A log: records with a level and a target, written with the macros of the [`log`](https://docs.rs/log) crate.
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
//! The host shows a record with its level and target if `--log` allows it: `--log debug`, or `--log
//! info,disk=trace`. Log details that are only sometimes of interest, and [print](crate::console)
//! the guest's results. Crates that a guest uses may log, too: they use the same `log`.
//!
//! Each record costs one exit, shown or not: the guest does not know the filter, so its run never
//! depends on the reader. To save the exit, leave records out at compile time with the `log`
//! crate's features (`max_level_info`), or at run time with [`set_max_level`]. Before [`init`] is
//! called, records go nowhere and cost nothing. A message of more than 512 bytes is cut off.

use core::fmt::Write;

pub use log::{
    Level, LevelFilter, Metadata, Record, debug, error, info, log, log_enabled, max_level, set_max_level,
    trace, warn,
};

use crate::{hypercall, message::Message};

/// Sends this guest's records to the host from now on. Call it once, at
/// the beginning of `main`. A logger that is already set stays. No exit.
pub fn init() {
    if log::set_logger(&Host).is_ok() {
        set_max_level(LevelFilter::Trace);
    }
}

/// The logger that sends records to the host.
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
        // If a value's own formatting fails, the text up to there is kept.
        let _ = message.write_fmt(*record.args());
        hypercall::log(level, target, message.as_bytes());
    }

    fn flush(&self) {}
}
