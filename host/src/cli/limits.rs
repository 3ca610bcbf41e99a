//! The options for limits of a run.

use std::time::Duration;

use clap::Args;

use crate::{
    cli::values::{parse_size, parse_timeout},
    lab::{limits::Limits, log_filter::LogFilter},
};

/// The limits of a run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArgs {
    /// The deadline of the run; after it the status is 4 [default: 60].
    #[arg(long, value_name = "SECONDS", value_parser = parse_timeout, allow_negative_numbers = true)]
    timeout: Option<Duration>,
    /// The time limit of a turn; a longer one ends the run with status 4. The start of a guest counts as a
    /// turn, and so does the whole run of a guest that runs alone [default: only --timeout].
    #[arg(long, hide_short_help = true, value_name = "SECONDS", value_parser = parse_timeout, allow_negative_numbers = true)]
    turn_timeout: Option<Duration>,
    /// The number of exits that a VM may cause; one more ends the run with status 4 [default: no limit].
    #[arg(long, hide_short_help = true, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    max_exits: Option<u64>,
    /// The amount of output of a guest, in bytes or with K, M, G. The run goes on after it, without the rest of
    /// the output, and reports at the end how much was dropped [default: 16M].
    #[arg(long, hide_short_help = true, value_name = "SIZE", value_parser = parse_size, allow_negative_numbers = true)]
    max_output: Option<u64>,
    /// The filter of guests' log records, as in RUST_LOG: a level (error, warn, info, debug, trace, off) or
    /// TARGET=LEVEL, several with commas between them [default: info].
    #[arg(long, hide_short_help = true, value_name = "FILTER")]
    log: Option<LogFilter>,
}

impl LimitArgs {
    /// Returns the limits. `timeout` is the deadline of an experiment's file, `quiet` the option of that name.
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
