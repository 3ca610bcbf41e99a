//! The programs that measure.

use std::path::{Path, PathBuf};
use std::{collections::BTreeMap, fs, process::Command};

use super::catalog::{Engine, Program};
use crate::base::{files, process};
use crate::cargo::{self, Verbosity};
use crate::guests::{Build, Catalog, Mode};
use crate::host::{Host, Profile};
use crate::workspace::{Artifact, Workspace};
use crate::{error::Error, toolchain};

pub(crate) type Values = BTreeMap<String, f64>;

/// The images of a producer and a consumer.
type Pair = [PathBuf; 2];

#[derive(Debug)]
pub(crate) struct Programs {
    measure: PathBuf,
    guestlab: Host,
    baseline: PathBuf,
    ours: Pair,
    plain: Pair,
    same_work: Pair,
    same_boot: Pair,
    folder: PathBuf,
}

impl Programs {
    /// Builds all: ours in release, the baseline by gcc -O2.
    pub(crate) fn build(workspace: &Workspace) -> Result<Programs, Error> {
        process::require(&["gcc"], "compiles the C baseline that everything is measured beside", "gcc")?;
        let folder = workspace.bench();
        files::create_folder(&folder)?;
        let sources = workspace.root.join("host/benches/baseline");
        Ok(Programs {
            baseline: compile_baseline(&sources, &folder)?,
            plain: compile_guests(&sources, &folder, "plain", &[])?,
            same_work: compile_guests(&sources, &folder, "same-work", &["-DSAME_WORK"])?,
            same_boot: compile_guests(&sources, &folder, "same-boot", &["-DSAME_WORK", "-DFROM_REAL_MODE"])?,
            ours: build_guests(workspace)?,
            measure: build_measure(workspace)?,
            guestlab: Host::build(workspace, Profile::Release)?,
            folder,
        })
    }

    pub(crate) fn run(&self, program: Program, engine: Engine, words: &[&str]) -> Result<Values, Error> {
        let (mut process, pair) = match program {
            Program::Measure => (Command::new(&self.measure), &self.ours),
            Program::Guestlab => (self.guestlab.command(&[]), &self.ours),
            Program::Plain => (Command::new(&self.baseline), &self.plain),
            Program::SameWork => (Command::new(&self.baseline), &self.same_work),
            Program::SameBoot => (Command::new(&self.baseline), &self.same_boot),
        };
        process.env("GUESTLAB_ENGINE", engine.name());
        for word in words {
            process.arg(match *word {
                "@producer" => pair[0].clone(),
                "@consumer" => pair[1].clone(),
                "@text" => self.folder.join("text"),
                "@recording" => self.folder.join("recording.jsonl"),
                word => PathBuf::from(word),
            });
        }
        let printed = process::output(&mut process)?;
        read_values(&printed).ok_or_else(|| {
            let command = process::shown(&process);
            Error::bug(format_args!("`{command}` printed no numbers where a JSON object was expected"))
        })
    }
}

/// The numbers of a JSON object, and a number that follows from them.
fn read_values(json: &str) -> Option<Values> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).ok()?;
    let mut values: Values =
        object.iter().filter_map(|(key, value)| Some((key.clone(), value.as_f64()?))).collect();
    if let (Some(guest), Some(all)) = (values.get("guest_seconds"), values.get("seconds")) {
        let threads = values.get("threads").unwrap_or(&1.0);
        let outside = 100.0 * (1.0 - guest / (all * threads));
        values.insert("outside_percent".into(), outside);
    }
    Some(values)
}

fn compile_baseline(sources: &Path, folder: &Path) -> Result<PathBuf, Error> {
    let program = folder.join("baseline");
    let entries = fs::read_dir(sources).map_err(Error::file("read", sources))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "c"));
    let mut gcc = Command::new("gcc");
    process::output(gcc.args(["-O2", "-Wall", "-Wextra", "-o"]).arg(&program).args(files))?;
    Ok(program)
}

fn compile_guests(sources: &Path, folder: &Path, name: &str, flags: &[&str]) -> Result<Pair, Error> {
    let guests = sources.join("guests");
    let compile = |guest: &str| -> Result<PathBuf, Error> {
        let image = folder.join(format!("{guest}.{name}.bin"));
        let mut gcc = Command::new("gcc");
        gcc.arg(format!("@{}", guests.join("flags").display())).args(flags).arg("-o").arg(&image);
        process::output(gcc.arg(guests.join(guest).with_extension("c")))?;
        Ok(image)
    };
    Ok([compile("producer")?, compile("consumer")?])
}

fn build_guests(workspace: &Workspace) -> Result<Pair, Error> {
    let toolchain = toolchain::find(&workspace.root)?;
    let guests = Catalog::of(workspace).select(&["guest-producer".into(), "guest-consumer".into()])?;
    let images = Build::new(workspace, &toolchain, Mode::Protected).run(&guests)?;
    Ok([images[0].path.clone(), images[1].path.clone()])
}

fn build_measure(workspace: &Workspace) -> Result<PathBuf, Error> {
    let mut build = cargo::for_host(&workspace.root);
    build.args(["build", "--release", "--package", "guestlab", "--bench", "measure"]);
    build.args(["--message-format", "json-render-diagnostics", "--target-dir"]).arg(&workspace.target);
    let mut built = None;
    let status = cargo::run(&mut build, Verbosity::Quiet, |line| {
        let artifact = Artifact::parse(line).filter(|artifact| artifact.target.name == "measure");
        built = built.take().or(artifact.and_then(|artifact| artifact.executable));
    })?;
    let refused = || Error::bad_input("the measuring program does not compile; cargo says why above");
    built.filter(|_| status.is_success()).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_the_rest_is_left() {
        let values = read_values(
            r#"{"event":"verdict","seconds":2.0,"threads":2,"guest_seconds":3.0,"runs":7,"failure":null}"#,
        );
        let expected = [
            ("guest_seconds", 3.0),
            ("outside_percent", 25.0),
            ("runs", 7.0),
            ("seconds", 2.0),
            ("threads", 2.0),
        ];
        assert_eq!(values.unwrap(), expected.map(|(key, value)| (key.to_owned(), value)).into());
        assert_eq!(read_values("sorry"), None);
    }
}
