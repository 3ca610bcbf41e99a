//! `ci`: all checks of a change. Every check runs, and a summary lists all failures.

use std::path::Path;
use std::process::Command;

use clap::ValueEnum;

use super::test::until_failure;
use crate::base::{environment, output, process};
use crate::error::{Error, Status};
use crate::guests::{Build, Catalog, Mode};
use crate::{cargo, cli, toolchain, workspace::Workspace};

type Check = (&'static str, fn(&Workspace) -> Result<Status, Error>);

const CHECKS: [Check; 8] = [
    ("format", format),
    ("lints of the host", lint_host),
    ("lints of the guests, as in an editor", lint_guests_for_host),
    ("lints of the guests", lint_guests),
    ("crates without a system", check_without_system),
    ("other systems", check_other_systems),
    ("documentation", document),
    ("tests", test),
];

const WITHOUT_SYSTEM: &str = "wasm32-unknown-unknown";

/// The crates that must compile for it, each with the parts of the library that it may use.
const PORTABLE: [(&str, &str); 3] = [
    ("guestlab-cpu", "-Zbuild-std=core,alloc"),
    ("guestlab-soft", "-Zbuild-std=core,alloc"),
    ("guestlab-vmm", "-Zbuild-std=std,panic_abort"),
];

/// The systems for which the host and xtask must compile. Linux on x86-64 has the other checks.
const OTHER_SYSTEMS: [&str; 3] =
    ["aarch64-unknown-linux-gnu", "x86_64-pc-windows-gnu", "aarch64-apple-darwin"];

/// Settings of cargo that compile the library of each system quickly: nothing runs it.
const UNOPTIMIZED: [&str; 6] = [
    "profile.dev.debug=0",
    "profile.dev.package.addr2line.opt-level=0",
    "profile.dev.package.gimli.opt-level=0",
    "profile.dev.package.memchr.opt-level=0",
    "profile.dev.package.object.opt-level=0",
    "profile.dev.package.rustc-demangle.opt-level=0",
];

const DENY_WARNINGS: [&str; 3] = ["--", "-D", "warnings"];

/// Runs all checks, or those with this in their name; the status is 1 if one of them failed.
pub(crate) fn run(filter: Option<&str>) -> Result<Status, Error> {
    let workspace = Workspace::load()?;
    let checks = CHECKS.into_iter().filter(|(name, _)| filter.is_none_or(|filter| name.contains(filter)));
    let outcomes: Vec<_> = checks
        .map(|(name, check)| {
            let outcome = check(&workspace).inspect_err(|error| output::error(error));
            (name, outcome.unwrap_or_else(|error| error.status()))
        })
        .collect();
    if outcomes.is_empty() {
        let names = CHECKS.map(|(name, _)| name).join(", ");
        return Err(Error::bad_input(format_args!("there is no check of that name; there are: {names}")));
    }
    output::line("\nSummary");
    for (name, status) in &outcomes {
        match status.is_success() {
            true => output::line(format_args!("ok    {name}")),
            false => output::line(format_args!("FAIL  {name}: status {status}")),
        }
    }
    let passed = outcomes.iter().all(|(_, status)| status.is_success());
    Ok(if passed { Status::SUCCESS } else { Status::FAILED_CHECK })
}

fn format(workspace: &Workspace) -> Result<Status, Error> {
    run_with_header(cargo::for_host(&workspace.root).args(["fmt", "--all", "--check"]))
}

fn lint_host(workspace: &Workspace) -> Result<Status, Error> {
    let mut clippy = cargo::for_host(&workspace.root);
    run_with_header(clippy.args(["clippy", "--keep-going", "--all-targets"]).args(DENY_WARNINGS))
}

/// Lints the guests as an editor does, without the host's packages: with them, shared dependencies get the host's
/// features, and with these `std`.
fn lint_guests_for_host(workspace: &Workspace) -> Result<Status, Error> {
    let mut clippy = cargo::for_host(&workspace.root);
    clippy.arg("clippy").args(selection(&Catalog::of(workspace)));
    run_with_header(clippy.args(["--keep-going", "--all-targets"]).args(DENY_WARNINGS))
}

fn lint_guests(workspace: &Workspace) -> Result<Status, Error> {
    let toolchain = toolchain::find(&workspace.root)?;
    let catalog = Catalog::of(workspace);
    until_failure(Mode::value_variants().iter().map(|mode| {
        let mut clippy = toolchain.clippy()?;
        environment::scrub_for_guests(clippy.current_dir(&workspace.root));
        Build::new(workspace, &toolchain, *mode).configure(&mut clippy)?;
        clippy.args(selection(&catalog)).args(["--keep-going", "--lib", "--bins", "--examples", "--tests"]);
        run_with_header(clippy.args(DENY_WARNINGS))
    }))
}

/// Compiles with the guests' toolchain, which has the library's source.
fn check_without_system(workspace: &Workspace) -> Result<Status, Error> {
    let toolchain = toolchain::find(&workspace.root)?;
    let exists = |name: &str| workspace.packages.iter().any(|package| package.name == name);
    until_failure(PORTABLE.iter().filter(|(name, _)| exists(name)).map(|(package, library)| {
        let mut check = cargo::for_guests(&workspace.root);
        check.args(["check", "--package", package, "--target", WITHOUT_SYSTEM, library]);
        elsewhere(&mut check, workspace);
        toolchain.prepare(&mut check, WITHOUT_SYSTEM);
        run_with_header(&mut check)
    }))
}

/// Compiles with the guests' toolchain, too: no other toolchain is needed, and nothing is linked.
fn check_other_systems(workspace: &Workspace) -> Result<Status, Error> {
    let toolchain = toolchain::find(&workspace.root)?;
    let mut check = cargo::for_guests(&workspace.root);
    check.args(["check", "--package", "guestlab", "--package", "xtask", "-Zbuild-std=std,panic_abort"]);
    check.args(OTHER_SYSTEMS.into_iter().flat_map(|system| ["--target", system]));
    elsewhere(&mut check, workspace);
    toolchain.prepare(&mut check, OTHER_SYSTEMS[0]);
    run_with_header(&mut check)
}

/// Sets the target folder and the profile of checks for other systems, which share the macros that run here.
fn elsewhere(check: &mut Command, workspace: &Workspace) {
    check.args(UNOPTIMIZED.into_iter().flat_map(|setting| ["--config", setting]));
    check.arg("--target-dir").arg(workspace.target.join("elsewhere"));
}

fn selection(catalog: &Catalog) -> Vec<&str> {
    catalog.packages().into_iter().flat_map(|package| ["--package", package]).collect()
}

fn document(workspace: &Workspace) -> Result<Status, Error> {
    let mut doc = super::docs::reference(workspace);
    run_with_header(doc.args(["--package", "xtask"]).env("RUSTDOCFLAGS", "-D warnings"))
}

fn test(_: &Workspace) -> Result<Status, Error> {
    header("cargo xtask test");
    super::test::run(&cli::Test::default(), true)
}

fn run_with_header(command: &mut Command) -> Result<Status, Error> {
    let shown = process::shown(command);
    let folder = Path::new(command.get_program()).parent().map(|it| it.join(""));
    header(shown.strip_prefix(&*folder.unwrap_or_default().to_string_lossy()).unwrap_or(&shown));
    process::status(command)
}

fn header(text: &str) {
    output::line(format_args!("\n== {text}"));
}
