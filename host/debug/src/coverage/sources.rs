//! The source files that coverage is about.

use std::collections::BTreeMap;

use crate::crash_report::{below_workspace, is_of_a_library, is_of_dependency};

/// The choice of source files. Files of Rust's library and of crates from a registry never count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Sources of guests: all that are neither guest-rt's nor guest-abi's.
    Guests,
    /// Sources that tests are about: all of the workspace that are not in a folder `tests`.
    Tested,
}

impl Selection {
    fn has(self, path: &str) -> bool {
        let folders = || path.split(['/', '\\']);
        !is_of_dependency(path)
            && match self {
                Self::Guests => !is_of_a_library(below_workspace(path)),
                Self::Tested => !folders().any(|folder| folder == "tests"),
            }
    }
}

/// The selected files of an image, in the order in which they were found.
pub(super) struct Sources {
    selection: Selection,
    indices: BTreeMap<String, usize>,
    pub(super) paths: Vec<String>,
}

impl Sources {
    pub(super) fn new(selection: Selection) -> Self {
        Self { selection, indices: BTreeMap::new(), paths: Vec::new() }
    }

    /// Returns the index of a file, if it is selected.
    pub(super) fn index(&mut self, path: &str) -> Option<usize> {
        if !self.selection.has(path) {
            return None;
        }
        let path = below_workspace(path);
        if let Some(index) = self.indices.get(path) {
            return Some(*index);
        }
        self.indices.insert(path.into(), self.paths.len());
        self.paths.push(path.into());
        Some(self.paths.len() - 1)
    }
}
