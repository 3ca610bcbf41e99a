//! The guests: which there are, how they are built, and the images that come of it.

mod build;
mod catalog;
mod image;
mod mode;

pub(crate) use build::{Effort, build, build_with, check_mode, configure};
pub(crate) use catalog::{Catalog, EXPERIMENTS, Guest};
pub(crate) use image::Image;
pub(crate) use mode::Mode;
