//! The options that limit what a run takes.

use std::time::Duration;

use clap::Args;

use crate::{
    cli::values::{parse_size, parse_timeout},
    lab::{limits::Limits, log_filter::LogFilter},
};

/// What a run may take.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArgs {
    /// The time after which the run ends with status 4 [default: 60].
    #[arg(long, value_name = "SECONDS", value_parser = parse_timeout, allow_negative_numbers = true)]
    timeout: Option<Duration>,
    /// The time that a turn may take: a longer one ends the run with status 4. The start of a guest
    /// counts as a turn, and so does all of a guest that runs alone [default: none but --timeout].
    #[arg(long, hide_short_help = true, value_name = "SECONDS", value_parser = parse_timeout, allow_negative_numbers = true)]
    turn_timeout: Option<Duration>,
    /// The number of exits that a VM may cause: one more ends the run with status 4 [default: no limit].
    #[arg(long, hide_short_help = true, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    max_exits: Option<u64>,
    /// How much a guest may print, in bytes or with K, M, G: the run goes on, what is more is dropped, and
    /// at the end it is said how much that was [default: 16M].
    #[arg(long, hide_short_help = true, value_name = "SIZE", value_parser = parse_size, allow_negative_numbers = true)]
    max_output: Option<u64>,
    /// Which records of guests' logs are shown, as in RUST_LOG: a level (error, warn, info, debug, trace,
    /// off), or TARGET=LEVEL, with commas between [default: info].
    #[arg(long, hide_short_help = true, value_name = "FILTER")]
    log: Option<LogFilter>,
}

impl LimitArgs {
    /// The limits; `timeout` is the deadline that an experiment's file has, `quiet` the option of that name.
    pub(super) fn limits(&self, timeout: Option<Duration>, quiet: bool) -> Limits {
        Limits {
            timeout: self.timeout.or(timeout).unwrap_or(Limits::DEFAULT_TIMEOUT),
            turn_timeout: self.turn_timeout,
            max_exits: self.max_exits,
            max_output: self.max_output.unwrap_or(Limits::DEFAULT_MAX_OUTPUT),
            log: self.log.clone().unwrap_or_default(),
            quiet,
        }
    }
}
