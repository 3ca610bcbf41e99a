//! `ci`: all that must hold before a change is taken. Every check runs, whatever the others say,
//! and all failures are listed together.

use std::path::Path;
use std::process::Command;

use crate::base::environment;
use crate::base::output;
use crate::base::process;
use crate::cargo;
use crate::cli;
use crate::error::{Error, Status};
use crate::guests::{self, Catalog, Mode};
use crate::toolchain;
use crate::workspace::Workspace;

/// One check: what it is called, and how it ended.
type Check = (&'static str, fn(&Workspace) -> Result<Status, Error>);

/// A target without an operating system: code that compiles for it calls none.
const WITHOUT_SYSTEM: &str = "wasm32-unknown-unknown";

/// The crates that must compile for it, each with the parts of the library that it may use.
const PORTABLE: [(&str, &str); 3] = [
    ("guestlab-cpu", "-Zbuild-std=core,alloc"),
    ("guestlab-soft", "-Zbuild-std=core,alloc"),
    ("guestlab-vmm", "-Zbuild-std=std,panic_abort"),
];

/// In the order of what they cost.
const CHECKS: [Check; 7] = [
    ("format", format),
    ("lints of the host", lint_host),
    ("lints of the guests, as in an editor", lint_guests_for_host),
    ("lints of the guests", lint_guests),
    ("crates without a system", check_without_system),
    ("documentation", document),
    ("tests", test),
];

/// Runs all checks; the status is 1 if one of them failed.
pub(crate) fn run() -> Result<Status, Error> {
    let workspace = Workspace::load()?;
    let outcomes = CHECKS.map(|(name, check)| (name, check(&workspace).unwrap_or_else(told)));
    output::line("\nSummary");
    for (name, status) in outcomes {
        match status.is_success() {
            true => output::line(format_args!("ok    {name}")),
            false => output::line(format_args!("FAIL  {name}: status {status}")),
        }
    }
    let passed = outcomes.iter().all(|(_, status)| status.is_success());
    Ok(if passed { Status::SUCCESS } else { Status::FAILED_CHECK })
}

/// An error ends its check, not the others.
fn told(error: Error) -> Status {
    output::error(&error);
    error.status()
}

fn format(workspace: &Workspace) -> Result<Status, Error> {
    let mut fmt = cargo::for_host(&workspace.root);
    announced(fmt.args(["fmt", "--all", "--check"]))
}

fn lint_host(workspace: &Workspace) -> Result<Status, Error> {
    let mut clippy = cargo::for_host(&workspace.root);
    announced(clippy.args(["clippy", "--keep-going", "--all-targets", "--", "-D", "warnings"]))
}

/// Without the host's packages: with them, dependencies that both have get the features that the host wants,
/// and `std` comes with these. An editor checks one guest alone when its file is saved.
fn lint_guests_for_host(workspace: &Workspace) -> Result<Status, Error> {
    let mut clippy = cargo::for_host(&workspace.root);
    clippy.arg("clippy").args(selection(&Catalog::of(workspace)));
    announced(clippy.args(["--keep-going", "--all-targets", "--", "-D", "warnings"]))
}

fn lint_guests(workspace: &Workspace) -> Result<Status, Error> {
    let toolchain = toolchain::find(&workspace.root)?;
    let catalog = Catalog::of(workspace);
    for mode in Mode::WRITTEN {
        let mut clippy = toolchain.clippy()?;
        environment::scrub_for_guests(clippy.current_dir(&workspace.root));
        guests::configure(&mut clippy, workspace, &toolchain, *mode)?;
        clippy.args(selection(&catalog));
        let status = announced(clippy.args([
            "--keep-going",
            "--lib",
            "--bins",
            "--examples",
            "--tests",
            "--",
            "-D",
            "warnings",
        ]))?;
        if !status.is_success() {
            return Ok(status);
        }
    }
    Ok(Status::SUCCESS)
}

/// Compiles with the guests' toolchain, which has the library's source.
fn check_without_system(workspace: &Workspace) -> Result<Status, Error> {
    let toolchain = toolchain::find(&workspace.root)?;
    let has = |name: &str| workspace.packages.iter().any(|package| package.name == name);
    for (package, library) in PORTABLE.into_iter().filter(|(name, _)| has(name)) {
        let mut check = cargo::for_guests(&workspace.root);
        check.args(["check", "--package", package, "--target", WITHOUT_SYSTEM, library]);
        check.arg("--target-dir").arg(workspace.target.join("without-system"));
        toolchain.equip(&mut check, WITHOUT_SYSTEM);
        let status = announced(&mut check)?;
        if !status.is_success() {
            return Ok(status);
        }
    }
    Ok(Status::SUCCESS)
}

/// Cargo's arguments that name the packages of guests.
fn selection(catalog: &Catalog) -> Vec<&str> {
    catalog.packages().into_iter().flat_map(|package| ["--package", package]).collect()
}

fn document(workspace: &Workspace) -> Result<Status, Error> {
    let mut doc = super::docs::reference(&workspace.root);
    announced(doc.args(["--package", "xtask"]).env("RUSTDOCFLAGS", "-D warnings"))
}

fn test(_: &Workspace) -> Result<Status, Error> {
    header("cargo xtask test");
    super::test::run(&cli::Test::default(), true)
}

fn announced(command: &mut Command) -> Result<Status, Error> {
    let typed = process::shown(command);
    // Nobody types the folder of cargo.
    let folder = Path::new(command.get_program()).parent().map(|it| it.join(""));
    header(typed.strip_prefix(&*folder.unwrap_or_default().to_string_lossy()).unwrap_or(&typed));
    process::status(command)
}

fn header(what: &str) {
    output::line(format_args!("\n== {what}"));
}
