//! An instruction as a line of a trace, for example
//! `00007002  _start+0x2            31c0            xor ax, ax                  eax=0 efl=46`.

use std::fmt::{self, Write as _};

use guestlab_cpu::{CpuState, Delivery, instruction};

use crate::{crash_report::Piece, step::Before};

/// Returns the text for a delivery between two instructions.
pub(super) fn delivery(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Interrupt => "an interrupt comes",
        Delivery::DebugException => "a debug exception comes",
    }
}

/// The widths of columns, so that most lines have 100 characters at most.
const SYMBOL: usize = 24;
const BYTES: usize = 16;
const TEXT: usize = 30;

/// An instruction that was executed.
pub(super) struct Line<'a> {
    pub(super) before: &'a Before,
    /// The registers after it, unless the run ended before it was complete.
    pub(super) after: Option<&'a CpuState>,
    /// The piece of code that contains it.
    pub(super) piece: Option<&'a Piece>,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, after, piece } = self;
        let address = before.address();
        let symbol = piece.map_or(String::new(), |piece| symbol(&piece.name, address - piece.start));
        let bytes = before.bytes().iter().fold(String::new(), |mut all, byte| {
            write!(all, "{byte:02x}").expect("a String takes all text");
            all
        });
        let changed = after.map_or(Vec::new(), |after| after.changed_since(&before.registers));
        let changed: Vec<String> = changed.iter().map(|(name, value)| format!("{name}={value:x}")).collect();
        let text = instruction::text(&before.linear_instruction());
        let line = format!(
            "{address:08x}  {symbol:<SYMBOL$}  {bytes:<BYTES$}  {text:<TEXT$}  {}",
            changed.join(" ")
        );
        f.write_str(line.trim_end())
    }
}

/// Returns a function and an offset in it. A long name is shortened to its end, which says more than its beginning.
fn symbol(name: &str, offset: u64) -> String {
    let offset = format!("+{offset:#x}");
    let room = SYMBOL.saturating_sub(offset.len());
    let mut shown = name;
    while let Some((_, rest)) = shown.split_once("::").filter(|_| shown.chars().count() > room) {
        shown = rest;
    }
    let too_much = shown.chars().count().saturating_sub(room);
    shown.chars().skip(too_much).collect::<String>() + &offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_at_its_beginning() {
        assert_eq!(symbol("_start", 2), "_start+0x2");
        assert_eq!(symbol("guest_rt::boot::start::rust_entry", 0x123), "start::rust_entry+0x123");
        assert_eq!(symbol("<&str as core::fmt::Display>::fmt", 0), "fmt::Display>::fmt+0x0");
        assert_eq!(symbol(&"x".repeat(100), 0).len(), SYMBOL);
    }
}
