//! The configuration of `test`.

use std::path::PathBuf;

use super::select::Selection;
use crate::lab::limits::Limits;

/// The configuration of `test`.
#[derive(Clone, Debug)]
pub struct TestConfig {
    /// The images with the tests.
    pub images: Vec<PathBuf>,
    /// Which of their tests.
    pub selection: Selection,
    /// The memory of each VM in bytes.
    pub memory: u32,
    /// The seed of all chance.
    pub seed: u64,
    /// What each test may take.
    pub limits: Limits,
}
