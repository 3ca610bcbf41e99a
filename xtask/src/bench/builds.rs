//! The builds of guests: their times, and the sizes of images.

use std::time::{Instant, SystemTime};
use std::{fs::File, path::Path, process::Command};

use super::catalog::{BUILDS, Engine, Target};
use super::results::Row;
use super::statistics::Summary;
use crate::base::{files, process};
use crate::guests::{Build, Catalog, Mode};
use crate::{error::Error, toolchain, workspace::Workspace};

/// Measures builds in a folder of their own, so that the user's builds stay: from nothing (unless `is_quick`), with
/// nothing to do, and after a change of one guest.
pub(crate) fn measure(workspace: &Workspace, rounds: usize, is_quick: bool) -> Result<Vec<Row>, Error> {
    let folder = workspace.bench().join("builds");
    if !is_quick {
        files::remove_folder(&folder)?;
    }
    let first = build(&folder)?;
    let source = workspace.root.join("guest-producer/src/main.rs");
    let mut rows = Vec::new();
    if !is_quick {
        rows.extend(row("build-guests, from nothing", "s", [first], None));
    }
    let warm = (0..rounds).map(|_| build(&folder)).collect::<Result<Vec<_>, _>>()?;
    rows.extend(row("build-guests, nothing to do", "s", warm, Some(Target::Below(1.0))));
    let touched = (0..rounds.min(3)).map(|_| touch(&source).and_then(|()| build(&folder)));
    let touched = touched.collect::<Result<Vec<_>, _>>()?;
    rows.extend(row("build-guests, one guest touched", "s", touched, Some(Target::Below(5.0))));
    rows.extend(sizes(workspace)?);
    Ok(rows)
}

fn build(folder: &Path) -> Result<f64, Error> {
    let own = std::env::current_exe().map_err(Error::file("find", Path::new("xtask")))?;
    let mut command = Command::new(own);
    command.arg("build-guests").env("CARGO_TARGET_DIR", folder);
    let began = Instant::now();
    process::output(&mut command)?;
    Ok(began.elapsed().as_secs_f64())
}

fn touch(path: &Path) -> Result<(), Error> {
    let file = File::options().append(true).open(path);
    file.and_then(|file| file.set_modified(SystemTime::now())).map_err(Error::file("touch", path))
}

fn sizes(workspace: &Workspace) -> Result<Vec<Row>, Error> {
    let toolchain = toolchain::find(&workspace.root)?;
    let names = ["guest-producer", "guest-consumer"].map(String::from);
    let guests = Catalog::of(workspace).select(&names)?;
    let images = Build::new(workspace, &toolchain, Mode::Protected).run(&guests)?;
    let rows = guests.iter().zip(&images).filter_map(|(guest, image)| {
        let kib = image.size.loaded as f64 / 1024.0;
        row(&format!("loaded bytes of {}", guest.name), "KiB", [kib], Some(Target::Below(8.0)))
    });
    Ok(rows.collect())
}

fn row(name: &str, unit: &str, values: impl IntoIterator<Item = f64>, target: Option<Target>) -> Option<Row> {
    Some(Row {
        group: BUILDS.into(),
        engine: Engine::None,
        name: name.into(),
        unit: unit.into(),
        less_is_better: true,
        ours: Summary::of(values)?,
        beside: None,
        ratio: None,
        target,
    })
}
