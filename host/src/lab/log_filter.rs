//! The filter of guests' log records (`--log`).

use std::{fmt, str::FromStr};

use env_filter::{Builder, Filter};
use log::{Level, Metadata};

/// A filter of log records by level and target, written as in `RUST_LOG`: a level, `TARGET=LEVEL`, or `TARGET` for
/// all of its records; several with commas between them. A target includes all targets that begin with it. If only
/// targets are named, records of others are not shown.
#[derive(Clone)]
pub struct LogFilter {
    text: String,
    filter: Filter,
}

impl LogFilter {
    /// The default filter.
    const DEFAULT: &str = "info";

    /// Returns true if a record is shown.
    pub fn lets_through(&self, level: Level, target: &str) -> bool {
        self.filter.enabled(&Metadata::builder().level(level).target(target).build())
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let filter = match Builder::new().try_parse(text) {
            // What stands behind a slash would be a filter of messages, which this is not.
            Ok(builder) if !text.trim().is_empty() && !text.contains('/') => builder.build(),
            _ => {
                return Err(
                    "a level (error, warn, info, debug, trace, off) or TARGET=LEVEL, with commas between"
                        .into(),
                );
            }
        };
        Ok(Self { text: text.into(), filter })
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self::DEFAULT.parse().expect("it is a level")
    }
}

impl PartialEq for LogFilter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for LogFilter {}

impl fmt::Debug for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogFilter({:?})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> LogFilter {
        text.parse().expect(text)
    }

    #[test]
    fn a_level_is_a_limit_for_all_targets() {
        let filter = filter("warn");
        assert!(filter.lets_through(Level::Error, "a") && filter.lets_through(Level::Warn, "b::c"));
        assert!(!filter.lets_through(Level::Info, "a"));
        assert!(LogFilter::default().lets_through(Level::Info, "a"));
        assert!(!LogFilter::default().lets_through(Level::Debug, "a"));
    }

    #[test]
    fn a_target_has_a_limit_of_its_own() {
        let filter = filter("error,net=trace,net::quiet=off");
        assert!(filter.lets_through(Level::Trace, "net::socket"));
        assert!(!filter.lets_through(Level::Error, "net::quiet"));
        assert!(!filter.lets_through(Level::Warn, "disk"));
    }

    #[test]
    fn where_only_targets_are_named_others_are_not_shown() {
        let filter = filter("net");
        assert!(filter.lets_through(Level::Trace, "net") && !filter.lets_through(Level::Error, "disk"));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in ["", " ", "net=loud", "a=b=c", "info/secret"] {
            assert!(text.parse::<LogFilter>().is_err(), "{text}");
        }
    }
}
