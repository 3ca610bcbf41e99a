//! The fuzz targets of `host/fuzz`, built for libFuzzer. The folder has the layout of cargo-fuzz, which is not needed.

mod corpus;
mod outcome;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) use outcome::Outcome;

use crate::base::output::{self, short};
use crate::base::{files, process};
use crate::{cargo, error::Error, workspace::Workspace};

/// The target of the flags below. With a named target, cargo does not use them for build scripts.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// libFuzzer's flags for each crate (LLVM, "SanitizerCoverage"), the checks of a debug build, and the address
/// sanitizer, which is not stable in Rust yet.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address -Cforce-frame-pointers";

/// The limits of an input: seconds, and memory in MiB.
const LIMITS: [&str; 3] = ["-timeout=20", "-rss_limit_mb=2048", "-detect_leaks=0"];

#[derive(Debug)]
pub(crate) struct Fuzzers {
    pub(crate) names: Vec<String>,
    source: PathBuf,
    /// `fuzz` in cargo's target directory, for all results.
    target: PathBuf,
}

impl Fuzzers {
    /// Finds the targets of these names, or all.
    pub(crate) fn find(workspace: &Workspace, wanted: &[String]) -> Result<Fuzzers, Error> {
        let source = workspace.root.join("host/fuzz");
        let targets = Workspace::of(&source)?.packages.into_iter().flat_map(|package| package.targets);
        let binaries = targets.filter(|target| target.kind.iter().any(|kind| kind == "bin"));
        let all: Vec<String> = binaries.map(|target| target.name).collect();
        if let Some(name) = wanted.iter().find(|name| !all.contains(name)) {
            let all = all.join(", ");
            return Err(Error::bad_input(format_args!("there is no fuzz target `{name}`; there are {all}")));
        }
        let names = if wanted.is_empty() { all } else { wanted.to_vec() };
        Ok(Fuzzers { names, source, target: workspace.target.join("fuzz") })
    }

    pub(crate) fn build(&self) -> Result<(), Error> {
        if std::env::var_os("CXX").is_none() {
            process::require(&["c++", "g++"], "compiles libFuzzer; CXX may name another compiler", "g++")?;
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

    /// Runs a target for some seconds. New inputs go to the corpus in the target directory.
    pub(crate) fn run(&self, name: &str, seconds: u32) -> Result<Outcome, Error> {
        let (found, artifacts) = (self.found(name), self.target.join("artifacts").join(name));
        let log = self.target.join("logs").join(name).with_extension("log");
        for folder in [&found, &artifacts, &self.target.join("logs")] {
            files::create_folder(folder)?;
        }
        let mut run = self.command(name);
        run.arg(format!("-max_total_time={seconds}")).arg("-print_final_stats=1");
        run.arg(format!("-artifact_prefix={}/", artifacts.display())).arg(found).arg(self.corpus(name));
        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(files::create(&log)?);
        let status = process::status(&mut run)?;
        let text = fs::read(&log).map_err(Error::file("read", &log))?;
        Ok(Outcome::of(&String::from_utf8_lossy(&text), status, log))
    }

    /// Runs a target on one file, shows its output, and returns true if it passed.
    pub(crate) fn repeat(&self, name: &str, file: &Path) -> Result<bool, Error> {
        if !file.is_file() {
            return Err(Error::bad_input(format_args!("there is no file {}", short(file))));
        }
        Ok(process::status(self.command(name).arg(file))?.is_success())
    }

    /// Takes new inputs into the corpus of the repository: the fewest that have the same coverage, within its limits.
    pub(crate) fn keep(&self, name: &str) -> Result<(), Error> {
        let merged = self.target.join("merged").join(name);
        files::remove_folder(&merged)?;
        files::create_folder(&merged)?;
        let mut merge = self.command(name);
        merge.arg("-set_cover_merge=1").args([&merged, &self.corpus(name), &self.found(name)]);
        process::output(&mut merge)?;
        let kept = corpus::replace(&self.corpus(name), &merged)?;
        output::line(format_args!("{name}: the corpus has {kept} files now"));
        Ok(())
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.target.join(TRIPLE).join("release").join(name));
        command.args(LIMITS);
        command
    }

    fn corpus(&self, name: &str) -> PathBuf {
        self.source.join("corpus").join(name)
    }

    fn found(&self, name: &str) -> PathBuf {
        self.target.join("corpus").join(name)
    }
}
