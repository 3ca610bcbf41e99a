//! The fuzz targets of `host/fuzz`: built for libFuzzer, run for a while each, their corpus kept small.
//!
//! The folder has the layout of cargo-fuzz, but that is not needed: the flags are in this file. The sanitizer is not
//! yet stable in Rust, so that the pinned compiler is told to allow it.

mod corpus;
mod outcome;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) use outcome::Outcome;

use crate::base::output::{self, short};
use crate::base::process;
use crate::cargo;
use crate::error::Error;
use crate::workspace::Workspace;

/// The target that the flags below are for. It is named to cargo so that they do not reach build scripts.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// What libFuzzer wants of each crate (LLVM, "SanitizerCoverage"), the checks of a debug build, and the address
/// sanitizer.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address -Cforce-frame-pointers";

/// What every run of a target is told: no input may take longer than this many seconds, or more than this much
/// memory in MiB.
const LIMITS: [&str; 3] = ["-timeout=20", "-rss_limit_mb=2048", "-detect_leaks=0"];

/// The fuzz targets, and where their files are.
#[derive(Debug)]
pub(crate) struct Fuzzers {
    /// The names of the targets.
    names: Vec<String>,
    /// `host/fuzz`, which has the corpus.
    source: PathBuf,
    /// `fuzz` in cargo's target directory, for all that is made.
    target: PathBuf,
}

impl Fuzzers {
    /// Finds the targets, all or those of these names.
    pub(crate) fn find(workspace: &Workspace, wanted: &[String]) -> Result<Fuzzers, Error> {
        let source = workspace.root.join("host/fuzz");
        let packages = Workspace::of(&source)?.packages;
        let targets = packages.into_iter().flat_map(|package| package.targets);
        let all: Vec<String> = targets
            .filter(|target| target.kind.iter().any(|kind| kind == "bin"))
            .map(|target| target.name)
            .collect();
        match wanted.iter().find(|name| !all.contains(name)) {
            Some(name) => Err(Error::bad_input(format_args!(
                "there is no fuzz target `{name}`; there are {}",
                all.join(", ")
            ))),
            None => {
                let names = if wanted.is_empty() { all } else { wanted.to_vec() };
                Ok(Fuzzers { names, source, target: workspace.target.join("fuzz") })
            }
        }
    }

    /// The names of the targets.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Builds the targets.
    pub(crate) fn build(&self) -> Result<(), Error> {
        if !has_cpp_compiler() {
            return Err(Error::cannot_run(
                "fuzzing needs a C++ compiler, for libFuzzer, and there is none on PATH\n\
                 install one (Debian: `apt-get install g++`), or name it in CXX",
            ));
        }
        let mut build = cargo::for_host(&self.source);
        build.args(["build", "--locked", "--release", "--target", TRIPLE, "--target-dir"]).arg(&self.target);
        build.args(self.names.iter().flat_map(|name| ["--bin", name]));
        build.env("RUSTFLAGS", FLAGS).env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTC_BOOTSTRAP", "1");
        match process::status(&mut build)?.is_success() {
            true => Ok(()),
            false => Err(Error::cannot_run(
                "the fuzz targets could not be built\n\
                 cargo says why above; they need the network once, a C++ compiler, and the pinned toolchain with its sanitizers",
            )),
        }
    }

    /// Runs a target for so many seconds. What it finds new goes to the corpus in the target directory.
    pub(crate) fn run(&self, name: &str, seconds: u32) -> Result<Outcome, Error> {
        let (found, artifacts) = (self.found(name), self.target.join("artifacts").join(name));
        let log = self.target.join("logs").join(name).with_extension("log");
        for folder in [&found, &artifacts, &self.target.join("logs")] {
            fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
        }
        let mut run = self.command(name);
        run.arg(format!("-max_total_time={seconds}")).arg("-print_final_stats=1");
        run.arg(format!("-artifact_prefix={}/", artifacts.display())).arg(found).arg(self.corpus(name));
        let file = File::create(&log).map_err(Error::file("create", &log))?;
        let status = process::status(run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file))?;
        let text = fs::read(&log).map_err(Error::file("read", &log))?;
        Ok(Outcome::of(&String::from_utf8_lossy(&text), status, log))
    }

    /// Runs a target on one file; its own words are shown. Whether it took it.
    pub(crate) fn repeat(&self, name: &str, file: &Path) -> Result<bool, Error> {
        if !file.is_file() {
            return Err(Error::bad_input(format_args!("there is no file {}", short(file))));
        }
        Ok(process::status(self.command(name).arg(file))?.is_success())
    }

    /// Takes what was found into the corpus of the repository: of the least that has the same coverage as much as
    /// there is room for.
    pub(crate) fn keep(&self, name: &str) -> Result<(), Error> {
        let merged = self.target.join("merged").join(name);
        let _ = fs::remove_dir_all(&merged);
        fs::create_dir_all(&merged).map_err(Error::file("create", &merged))?;
        let mut merge = self.command(name);
        merge.arg("-set_cover_merge=1").args([&merged, &self.corpus(name), &self.found(name)]);
        process::output(&mut merge)?;
        let kept = corpus::replace(&self.corpus(name), &merged)?;
        output::line(format_args!("{name}: {kept} files are the corpus now"));
        Ok(())
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.target.join(TRIPLE).join("release").join(name));
        command.args(LIMITS);
        command
    }

    /// The corpus under version control.
    fn corpus(&self, name: &str) -> PathBuf {
        self.source.join("corpus").join(name)
    }

    /// The corpus that was found here.
    fn found(&self, name: &str) -> PathBuf {
        self.target.join("corpus").join(name)
    }
}

/// libFuzzer is C++, and is compiled with what the cc crate finds.
fn has_cpp_compiler() -> bool {
    std::env::var_os("CXX").is_some() || process::on_path("c++").or_else(|| process::on_path("g++")).is_some()
}
