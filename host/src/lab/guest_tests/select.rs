//! The selection of tests, and their names.

use crate::vmm::{Image, Test};

/// A selection of tests, with cargo's options.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// A name contains one of these. If there is none, all names match.
    pub filters: Vec<String>,
    /// A name contains none of these.
    pub skip: Vec<String>,
    /// True if a name must equal a filter, not only contain it.
    pub exact: bool,
    /// True if tests that are marked `#[ignore]` are selected.
    pub marked: bool,
    /// True if the other tests are selected.
    pub unmarked: bool,
}

/// A test of an image.
pub(super) struct Case<'a> {
    /// The name in the report.
    pub(super) name: String,
    /// The index of its image.
    pub(super) image: usize,
    /// The test in the image.
    pub(super) test: &'a Test,
}

/// Returns the selected tests, and the number of the others.
pub(super) fn cases<'a>(images: &'a [Image], selection: &Selection) -> (Vec<Case<'a>>, usize) {
    let mut all = Vec::new();
    for (image, at) in images.iter().zip(0..) {
        let prefix = prefix(images, image);
        let mut cases: Vec<Case<'_>> = image
            .tests()
            .iter()
            .map(|test| Case { name: prefix.clone() + &test.name, image: at, test })
            .collect();
        // cargo sorts tests, too. The linker puts them in any order.
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        all.extend(cases);
    }
    let total = all.len();
    all.retain(|case| selection.wants(&case.name, case.test.ignored.is_some()));
    let filtered_out = total - all.len();
    (all, filtered_out)
}

/// Returns the beginning of names: empty for one image, otherwise for example `long::guest-rt-heap::`.
fn prefix(images: &[Image], image: &Image) -> String {
    match images {
        [_] => String::new(),
        _ => format!("{}::{}::", image.start().mode().name(), image.name()),
    }
}

impl Selection {
    fn wants(&self, name: &str, marked: bool) -> bool {
        let fits = |filter: &String| if self.exact { name == filter } else { name.contains(filter) };
        (self.unmarked || marked)
            && (self.filters.is_empty() || self.filters.iter().any(fits))
            && !self.skip.iter().any(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(filters: &[&str], skip: &[&str], exact: bool) -> Selection {
        let owned = |texts: &[&str]| texts.iter().copied().map(String::from).collect();
        Selection { filters: owned(filters), skip: owned(skip), exact, marked: false, unmarked: true }
    }

    #[test]
    fn names_are_chosen_by_what_they_contain() {
        assert!(selection(&[], &[], false).wants("heap::grows", false));
        assert!(selection(&["x", "grow"], &[], false).wants("heap::grows", false));
        assert!(!selection(&["shrink"], &[], false).wants("heap::grows", false));
        assert!(!selection(&["grow"], &["heap"], false).wants("heap::grows", false));
        assert!(selection(&["heap::grows"], &["heap"], true).wants("heap::grows", false));
        assert!(!selection(&["grows"], &[], true).wants("heap::grows", false));
    }

    #[test]
    fn only_the_marked_ones_can_be_asked_for() {
        let only = Selection { marked: true, ..Selection::default() };
        assert!(only.wants("slow", true) && !only.wants("quick", false));
    }
}
