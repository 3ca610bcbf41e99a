//! Parsers of values in options and in files.

use std::time::Duration;

use guest_abi::{
    layout::DEFAULT_MEMORY,
    mailbox::Quota,
    mode::CpuMode,
    ring::{Capacity, MAX_CAPACITY},
};

pub use crate::runlog::header::is_guest_name;
use crate::{lab::ram::check_size, runlog::header::mode_of, views::tui::Size};

/// Parses a ring's capacity in items.
///
/// # Errors
///
/// The text is not valid; the error says what is.
pub fn parse_capacity(text: &str) -> Result<Capacity, String> {
    text.parse().ok().and_then(Capacity::new).ok_or_else(|| format!("a ring holds 1 to {MAX_CAPACITY} items"))
}

/// Parses a quota: the number of items in a turn, or `random`.
///
/// # Errors
///
/// The text is not valid; the error says what is.
pub fn parse_quota(text: &str) -> Result<Quota, String> {
    match text.parse() {
        _ if text == "random" => Ok(Quota::Random),
        Ok(items @ 0..=MAX_CAPACITY) => Ok(Quota::Items(items)),
        _ => Err(format!("a turn moves `random` or 0 to {MAX_CAPACITY} items")),
    }
}

/// Parses the size of a guest's memory.
///
/// # Errors
///
/// The text is not valid; the error says what is.
pub fn parse_memory(text: &str) -> Result<u32, String> {
    let size = parse_size(text)?;
    check_size(size).map_err(|error| error.to_string())
}

/// Parses a size in bytes, with K, M or G for powers of 1024.
///
/// # Errors
///
/// The text is not valid; the error says what is.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 10),
        Some((at, 'M' | 'm')) => (&text[..at], 20),
        Some((at, 'G' | 'g')) => (&text[..at], 30),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift)).ok_or_else(|| {
        format!("a size is a number of bytes, or a number with K, M or G, as in {}K", DEFAULT_MEMORY >> 10)
    })
}

/// Parses the size of a screen, in columns and rows.
///
/// # Errors
///
/// The text is not valid; the error says what is.
pub fn parse_screen(text: &str) -> Result<Size, String> {
    let size = text
        .split_once('x')
        .and_then(|(columns, rows)| Some(Size::new(columns.parse().ok()?, rows.parse().ok()?)));
    let is_sound = |size: &Size| (1..=1000).contains(&size.width) && (1..=1000).contains(&size.height);
    size.filter(is_sound)
        .ok_or_else(|| "a screen's size is COLUMNSxROWS, each 1 to 1000, as in 100x30".into())
}

/// Parses a guest-physical address, in decimal or with 0x.
///
/// # Errors
///
/// The text is not valid; the error says what is.
pub fn parse_address(text: &str) -> Result<u32, String> {
    let address = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    address.map_err(|_| "an address is a number below 4 GiB, as in 0x8000".into())
}

/// Parses the name of a CPU mode.
///
/// # Errors
///
/// The text is not valid; the error says what is.
pub fn parse_mode(text: &str) -> Result<CpuMode, String> {
    mode_of(text)
        .ok_or_else(|| format!("a CPU mode is one of {}", CpuMode::ALL.map(CpuMode::name).join(", ")))
}

/// Parses a time in seconds.
///
/// # Errors
///
/// The text is not valid; the error says what is.
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "a time is a number of seconds, as in 2.5".into())
}

/// Parses a positive time in seconds.
///
/// # Errors
///
/// The text is not valid; the error says what is.
pub fn parse_timeout(text: &str) -> Result<Duration, String> {
    parse_seconds(text)
        .ok()
        .filter(|timeout| !timeout.is_zero())
        .ok_or_else(|| "a deadline is a number of seconds above 0, as in 2.5".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_suffixes() {
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_size("16K"), Ok(16 << 10));
        assert_eq!(parse_size("3g"), Ok(3 << 30));
        assert_eq!(parse_size("4G"), Ok(4 << 30));
        assert!(parse_memory("4G").is_err() && parse_size("99999999999999999999").is_err());
        assert!(parse_size("é").is_err());
    }
}
