//! `build-guests`: builds guests, and says where their images are and how big they are.

use super::elsewhere;
use crate::base::output;
use crate::cargo::Talk;
use crate::cli::BuildGuests;
use crate::error::{Error, Status};
use crate::guests::{self, Catalog, Effort, Image};
use crate::toolchain;
use crate::workspace::{self, Workspace};

/// Builds what was asked for and prints a line an image.
pub(crate) fn run(wish: &BuildGuests) -> Result<Status, Error> {
    let workspace = match &wish.manifest_path {
        Some(manifest) => elsewhere::workspace(manifest)?,
        None => Workspace::load()?,
    };
    let catalog = Catalog::of(&workspace);
    let guests = if wish.shipped { catalog.shipped() } else { catalog.select(&wish.names)? };
    guests::check_mode(wish.mode)?;
    let toolchain = toolchain::find(&workspace::root())?;
    output::note(format_args!("guest toolchain: {toolchain}"));
    let effort = if wish.unoptimized { Effort::Unoptimized } else { Effort::Optimized };
    let images = guests::build_with(effort, &workspace, &toolchain, &guests, wish.mode, Talk::Always)?;
    print(&images);
    Ok(Status::SUCCESS)
}

fn print(images: &[Image]) {
    let paths: Vec<String> = images.iter().map(|image| output::short(&image.path)).collect();
    let width = paths.iter().map(String::len).max().unwrap_or(0);
    for (image, path) in images.iter().zip(&paths) {
        output::line(format_args!("{path:width$}  {:9}  {}", image.mode.name(), image.size));
    }
}
