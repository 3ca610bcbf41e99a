//! The builds of guests: how long they take, and how big the images are.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Instant, SystemTime};

use super::catalog::{BUILDS, Target};
use super::results::Row;
use super::statistics::Summary;
use crate::base::process;
use crate::cargo::Talk;
use crate::error::Error;
use crate::guests::{self, Catalog, Mode};
use crate::toolchain;
use crate::workspace::Workspace;

/// The folder below the benches' own that all is built in, so that the user's builds stay as they are.
const FOLDER: &str = "builds";

/// Builds in a folder of its own: from nothing (unless it is to be quick), with nothing to do, and after
/// one guest's source was touched.
pub(crate) fn measure(workspace: &Workspace, rounds: usize, is_quick: bool) -> Result<Vec<Row>, Error> {
    let folder = workspace.bench().join(FOLDER);
    if !is_quick && folder.exists() {
        fs::remove_dir_all(&folder).map_err(Error::file("remove", &folder))?;
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

/// Runs `build-guests`, in seconds.
fn build(folder: &Path) -> Result<f64, Error> {
    let own = std::env::current_exe().map_err(Error::file("find", Path::new("xtask")))?;
    let mut command = Command::new(own);
    command.arg("build-guests").env("CARGO_TARGET_DIR", folder);
    let began = Instant::now();
    process::output(&mut command)?;
    Ok(began.elapsed().as_secs_f64())
}

/// Makes a file look changed.
fn touch(path: &Path) -> Result<(), Error> {
    let touched =
        File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
    touched.map_err(Error::file("touch", path))
}

/// The bytes that are loaded of the exchange's images.
fn sizes(workspace: &Workspace) -> Result<Vec<Row>, Error> {
    let toolchain = toolchain::find(&workspace.root)?;
    let names = ["guest-producer", "guest-consumer"];
    let guests = Catalog::of(workspace).select(&names.map(String::from))?;
    let images = guests::build(workspace, &toolchain, &guests, Mode::Protected, Talk::IfWorking)?;
    let kib = |bytes: u64| bytes as f64 / 1024.0;
    let rows = guests.iter().zip(&images).flat_map(|(guest, image)| {
        row(
            &format!("loaded bytes of {}", guest.name),
            "KiB",
            [kib(image.size.loaded)],
            Some(Target::Below(8.0)),
        )
    });
    Ok(rows.collect())
}

fn row(name: &str, unit: &str, values: impl IntoIterator<Item = f64>, target: Option<Target>) -> Option<Row> {
    Some(Row {
        group: BUILDS.into(),
        name: name.into(),
        unit: unit.into(),
        less_is_better: true,
        ours: Summary::of(values)?,
        beside: None,
        ratio: None,
        target,
    })
}
