//! The configuration of `test`.

use std::path::PathBuf;

use super::select::Selection;
use crate::lab::limits::Limits;

/// The configuration of `test`.
#[derive(Clone, Debug)]
pub struct TestConfig {
    /// The images with the tests.
    pub images: Vec<PathBuf>,
    /// The selection of their tests.
    pub selection: Selection,
    /// The memory of each VM in bytes.
    pub memory: u32,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The limits of each test.
    pub limits: Limits,
}
