//! Statistics of many measurements.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Summary {
    /// Returns the summary of these values; `None` if there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Summary> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let quartile = |number| quantile(&sorted, number, 4);
        Some(Summary { low: quartile(1)?, median: quartile(2)?, high: quartile(3)? })
    }

    /// Returns true if the ranges between the quartiles overlap.
    pub(crate) fn overlaps(&self, other: &Summary) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

/// Returns number `number` of the `of`-quantiles of sorted values, interpolated (the definition "R-7", which most
/// statistics programs use).
fn quantile(sorted: &[f64], number: usize, of: usize) -> Option<f64> {
    let steps = sorted.len().checked_sub(1)? * number;
    let (below, part) = (steps / of, (steps % of) as f64 / of as f64);
    let lower = *sorted.get(below)?;
    let upper = *sorted.get(below + 1).unwrap_or(&lower);
    Some(lower + (upper - lower) * part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_those_of_any_statistics_program() {
        let summary = Summary::of([7.0, 1.0, 3.0, 4.0]).unwrap();
        assert_eq!(summary, Summary { low: 2.5, median: 3.5, high: 4.75 });
        let summary = Summary::of([5.0, 1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(summary, Summary { low: 2.0, median: 3.0, high: 4.0 });
        assert_eq!(Summary::of([6.0]).unwrap(), Summary { low: 6.0, median: 6.0, high: 6.0 });
        assert_eq!(Summary::of([]), None);
    }

    #[test]
    fn summaries_overlap_or_lie_apart() {
        let summary = |low, high| Summary { low, median: low, high };
        assert!(summary(1.0, 3.0).overlaps(&summary(2.0, 4.0)));
        assert!(summary(2.0, 4.0).overlaps(&summary(1.0, 2.0)));
        assert!(!summary(1.0, 2.0).overlaps(&summary(2.5, 4.0)));
        assert!(!summary(2.5, 4.0).overlaps(&summary(1.0, 2.0)));
    }
}
