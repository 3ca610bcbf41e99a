//! Numbers, formatted for people and for figures.

/// A count as a floating-point number.
#[expect(clippy::cast_precision_loss, reason = "a picture has no use for more than 53 bits")]
pub(super) fn float(count: usize) -> f64 {
    count as f64
}

/// For example `1,667`.
pub(super) fn grouped(number: u64) -> String {
    thousands(&number.to_string())
}

/// The digits of a whole number, in groups of three.
pub(super) fn thousands(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// For example `1 turn`, or `40 turns`.
pub(super) fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A number with two decimals, in as few characters as possible: figures have many of them.
pub(super) fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text.strip_prefix("0.") {
        Some(fraction) => format!(".{fraction}"),
        None if text == "-0" => "0".into(),
        None => text.into(),
    }
}

/// A time in microseconds, formatted in the unit that suits it.
pub(super) fn time(microseconds: f64) -> String {
    match microseconds {
        us if us < 1e3 => format!("{us:.1} µs"),
        us if us < 1e6 => format!("{:.2} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

/// Numbers with spaces between them.
pub(super) fn list<T: ToString>(numbers: impl IntoIterator<Item = T>) -> String {
    numbers.into_iter().map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_readable() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([counted(1, "turn"), counted(0, "item")], ["1 turn", "0 items"]);
        assert_eq!([0.0, 0.5, 12.0, 1.239, 100.0, -0.001].map(short), ["0", ".5", "12", "1.24", "100", "0"]);
        assert_eq!([1.26, 1260.0, 2e6].map(time), ["1.3 µs", "1.26 ms", "2.00 s"]);
    }
}
