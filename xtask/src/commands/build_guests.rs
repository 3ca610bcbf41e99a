//! `build-guests`: builds guests, and prints the path, mode and size of their images.

use super::passthrough;
use crate::error::{Error, Status};
use crate::guests::{self, Build, Catalog, Image, Optimization};
use crate::workspace::{self, Workspace};
use crate::{base::output, cargo::Verbosity, cli::BuildGuests, toolchain};

pub(crate) fn run(options: &BuildGuests) -> Result<Status, Error> {
    let workspace = options.manifest_path.as_deref().map_or_else(Workspace::load, passthrough::workspace)?;
    let catalog = Catalog::of(&workspace);
    let guests = match options.shipped {
        true => [guests::shipped(&catalog.guests), guests::shipped(&catalog.tests)].concat(),
        false => catalog.select(&options.names)?,
    };
    let toolchain = toolchain::find(&workspace::root())?;
    toolchain.report(true);
    let build = Build {
        optimization: if options.unoptimized { Optimization::Off } else { Optimization::On },
        verbosity: Verbosity::Normal,
        ..Build::new(&workspace, &toolchain, options.mode)
    };
    print(&build.run(&guests)?);
    Ok(Status::SUCCESS)
}

fn print(images: &[Image]) {
    let paths: Vec<String> = images.iter().map(|image| output::short(&image.path)).collect();
    let width = paths.iter().map(String::len).max().unwrap_or(0);
    for (image, path) in images.iter().zip(&paths) {
        output::line(format_args!("{path:width$}  {:9}  {}", image.mode.name(), image.size));
    }
}
