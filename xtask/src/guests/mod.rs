//! The guests: their catalog, their builds and their images.

mod boot_library;
mod build;
mod catalog;
mod image;
pub(crate) mod library;
mod mode;

pub(crate) use boot_library::BootLibrary;
pub(crate) use build::{Build, Optimization};
pub(crate) use catalog::{Catalog, EXPERIMENTS, Guest, shipped};
pub(crate) use image::Image;
pub(crate) use library::Library;
pub(crate) use mode::Mode;
