//! Building guests: one call of cargo for all guests of one mode.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use super::catalog::{Guest, Part};
use super::image::Image;
use super::mode::Mode;
use crate::cargo::{self, Talk};
use crate::error::Error;
use crate::toolchain::Toolchain;
use crate::workspace::{self, Target, Workspace};

/// `core` and `alloc` have no ready-made build for our targets, and a target in JSON is not stable yet.
const BUILD_STD: [&str; 3] = [
    "-Zbuild-std=core,alloc,compiler_builtins",
    "-Zbuild-std-features=compiler-builtins-mem",
    "-Zjson-target-spec",
];

/// Separates flags in `CARGO_ENCODED_RUSTFLAGS`, where a space may be part of a flag.
const FLAG_SEPARATOR: &str = "\x1f";

/// How much the compiler makes of a guest's own code. The runtime and the libraries are always optimized.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effort {
    /// As the profile says.
    Optimized,
    /// Every variable is in memory and every function is called, for a debugger.
    Unoptimized,
}

/// Builds these guests for one mode and puts their images where the host looks for them.
pub(crate) fn build(
    workspace: &Workspace,
    toolchain: &Toolchain,
    guests: &[Guest],
    mode: Mode,
    talk: Talk,
) -> Result<Vec<Image>, Error> {
    build_with(Effort::Optimized, workspace, toolchain, guests, mode, talk)
}

/// Builds as [`build`] does, with an effort of the caller's.
pub(crate) fn build_with(
    effort: Effort,
    workspace: &Workspace,
    toolchain: &Toolchain,
    guests: &[Guest],
    mode: Mode,
    talk: Talk,
) -> Result<Vec<Image>, Error> {
    let mut built = HashMap::new();
    for group in by_features(guests) {
        let mut command = cargo::for_guests(&workspace.root);
        command.args(["build", "--message-format", "json-render-diagnostics"]);
        configure(&mut command, workspace, toolchain, mode)?;
        command.args(effort.arguments(&group)).args(selection(&group));
        let mut has_core = false;
        let status = cargo::run(&mut command, talk, |line| {
            has_core |= is_core(line);
            built.extend(artifact(line));
        })?;
        if !status.is_success() {
            // Without it no guest's own source has been compiled.
            let hint = if has_core { String::new() } else { toolchain.if_core_is_damaged() };
            return Err(Error::bad_input(format_args!(
                "the guests do not compile for `{}` mode; cargo says why above{hint}",
                mode.name()
            )));
        }
    }
    guests.iter().map(|guest| place(workspace, guest, mode, &built)).collect()
}

impl Effort {
    /// Cargo's arguments that ask for it, for the packages of these guests.
    fn arguments(self, guests: &[&Guest]) -> Vec<String> {
        let packages: BTreeSet<&str> = guests.iter().map(|guest| guest.package.as_str()).collect();
        let level = |package| format!("profile.guest.package.{package:?}.opt-level=0");
        match self {
            Effort::Optimized => Vec::new(),
            Effort::Unoptimized => {
                packages.into_iter().flat_map(|package| ["--config".into(), level(package)]).collect()
            }
        }
    }
}

/// The guests that may be built by one call of cargo: it gives all of them every feature that one of them
/// wants of the runtime, and an image is not to depend on its company.
fn by_features(guests: &[Guest]) -> Vec<Vec<&Guest>> {
    let mut groups = BTreeMap::<_, Vec<&Guest>>::new();
    for guest in guests {
        groups.entry(&guest.features).or_default().push(guest);
    }
    groups.into_values().collect()
}

/// Refuses a mode that guest-rt cannot boot into.
pub(crate) fn check_mode(mode: Mode) -> Result<(), Error> {
    if Mode::WRITTEN.contains(&mode) {
        return Ok(());
    }
    let written: Vec<_> = Mode::WRITTEN.iter().map(|mode| mode.name()).collect();
    Err(Error::bad_input(format_args!(
        "guests cannot be built for `{}` mode yet; modes that work: {}",
        mode.name(),
        written.join(", ")
    )))
}

/// Gives a cargo command everything that makes it build guests of this mode.
pub(crate) fn configure(
    command: &mut Command,
    workspace: &Workspace,
    toolchain: &Toolchain,
    mode: Mode,
) -> Result<(), Error> {
    check_mode(mode)?;
    for file in mode.configuration() {
        command.arg("--config").arg(file);
    }
    command.args(BUILD_STD).args(["--profile", "guest", "--target"]).arg(mode.target_file());
    command.arg("--target-dir").arg(build_folder(workspace, mode));
    command.env("CARGO_ENCODED_RUSTFLAGS", flags(mode, &renamed_folders(workspace, toolchain)));
    toolchain.equip(command, mode.target());
    Ok(())
}

/// Where guests of a mode are built. Protected and paged mode share a target, and cargo does not tell
/// their builds apart by their flags: in one folder each would undo the other's.
fn build_folder(workspace: &Workspace, mode: Mode) -> PathBuf {
    let folder = workspace.guest_build();
    if mode == Mode::Paged { folder.join(mode.name()) } else { folder }
}

/// The flags of guest code: its linker script, which guest-rt's build script puts on the search
/// path, and its mode. They win over whatever a configuration file says.
fn flags(mode: Mode, renamed: &[(PathBuf, &str)]) -> String {
    let mode = format!("guestlab_mode=\"{}\"", mode.name());
    let renamed = renamed.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    let flags = ["-Clink-arg=-Tguest.ld".into(), "--cfg".into(), mode];
    flags.into_iter().chain(renamed).collect::<Vec<String>>().join(FLAG_SEPARATOR)
}

/// Folders that have other names in images, so that an image is the same wherever it is built. Of two
/// that fit a path the last wins: a workspace may be in Guestlab's folder.
fn renamed_folders(workspace: &Workspace, toolchain: &Toolchain) -> Vec<(PathBuf, &'static str)> {
    let home = std::env::home_dir().unwrap_or_default();
    let cargo_home = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    let mut renamed = vec![(cargo_home, "/cargo"), (toolchain.sysroot.path().into(), "/rust")];
    if !workspace.is_own() {
        renamed.push((workspace::root(), "/guestlab"));
    }
    renamed.push((workspace.root.clone(), "."));
    renamed
}

/// Cargo's arguments that name these guests and nothing else.
fn selection<'a>(guests: &[&'a Guest]) -> Vec<&'a str> {
    let mut arguments = Vec::new();
    for guest in guests {
        let (kind, name) = match &guest.part {
            Part::Binary(name) => ("--bin", name),
            Part::Example(name) => ("--example", name),
            Part::Test(name) => ("--test", name),
        };
        arguments.extend(["--package", guest.package.as_str(), kind, name.as_str()]);
    }
    arguments
}

/// A message of cargo's; of the many kinds, only artifacts have these fields.
#[derive(Deserialize)]
struct Message {
    target: Target,
    executable: Option<PathBuf>,
}

/// The source and the path of what cargo says it has built, if it can be run.
fn artifact(line: &str) -> Option<(PathBuf, PathBuf)> {
    let message: Message = serde_json::from_str(line).ok()?;
    Some((message.target.src_path, message.executable?))
}

/// Whether cargo says that it has built `core`, or had it.
fn is_core(line: &str) -> bool {
    let message: Option<Message> = serde_json::from_str(line).ok();
    message.is_some_and(|message| message.target.src_path.ends_with("library/core/src/lib.rs"))
}

fn place(
    workspace: &Workspace,
    guest: &Guest,
    mode: Mode,
    built: &HashMap<PathBuf, PathBuf>,
) -> Result<Image, Error> {
    let from = built
        .get(&guest.source)
        .ok_or_else(|| Error::bug(format_args!("cargo built no image for the guest `{}`", guest.name)))?;
    let folder = match guest.part {
        Part::Binary(_) | Part::Example(_) => workspace.images.clone(),
        Part::Test(_) => workspace.test_images(),
    };
    Image::place(from, folder.join(mode.image_name(&guest.name)), mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(name: &str, package: &str, part: fn(String) -> Part, features: &[&str]) -> Guest {
        Guest {
            name: name.into(),
            package: package.into(),
            part: part(name.into()),
            source: name.into(),
            features: features.iter().copied().map(String::from).collect(),
        }
    }

    #[test]
    fn every_guest_is_selected_by_package_and_part() {
        let guests = [
            &guest("a", "a", Part::Binary, &[]),
            &guest("hello", "guest-rt", Part::Example, &[]),
            &guest("heap", "guest-rt", Part::Test, &[]),
        ];
        let expected =
            "--package a --bin a --package guest-rt --example hello --package guest-rt --test heap";
        assert_eq!(selection(&guests).join(" "), expected);
    }

    #[test]
    fn an_effort_is_that_for_the_guests_packages_only() {
        let guests = ["a", "b"].map(|name| guest(name, "mine", Part::Binary, &[]));
        let guests: Vec<&Guest> = guests.iter().collect();
        assert!(Effort::Optimized.arguments(&guests).is_empty());
        let expected = ["--config", r#"profile.guest.package."mine".opt-level=0"#];
        assert_eq!(Effort::Unoptimized.arguments(&guests), expected);
    }

    #[test]
    fn guests_that_want_other_features_are_built_apart() {
        let guests = [
            guest("a", "a", Part::Binary, &[]),
            guest("hello", "guest-rt", Part::Example, &["heap"]),
            guest("b", "b", Part::Binary, &[]),
        ];
        let groups = by_features(&guests);
        let names: Vec<Vec<&str>> =
            groups.iter().map(|group| group.iter().map(|guest| guest.name.as_str()).collect()).collect();
        assert_eq!(names, [vec!["a", "b"], vec!["hello"]]);
    }

    #[test]
    fn only_what_can_be_run_is_an_artifact_of_interest() {
        let bin = r#"{"reason":"compiler-artifact","target":{"name":"a","kind":["bin"],"src_path":"/a.rs"},"executable":"/x/a"}"#;
        assert_eq!(artifact(bin), Some(("/a.rs".into(), "/x/a".into())));
        let lib = r#"{"reason":"compiler-artifact","target":{"name":"a","kind":["lib"],"src_path":"/a.rs"},"executable":null}"#;
        assert_eq!(artifact(lib), None);
        assert_eq!(artifact(r#"{"reason":"build-finished","success":true}"#), None);
        assert!(is_core(&lib.replace("/a.rs", "/usr/lib/rustlib/src/rust/library/core/src/lib.rs")));
        assert!(!is_core(lib) && !is_core(r#"{"reason":"build-finished","success":true}"#));
    }

    #[test]
    fn the_guest_is_told_its_mode() {
        assert!(flags(Mode::Long, &[]).ends_with("--cfg\u{1f}guestlab_mode=\"long\""));
    }

    #[test]
    fn folders_have_other_names_in_images() {
        let flags = flags(Mode::Long, &[("/home/me/guestlab".into(), ".")]);
        assert!(flags.ends_with("\u{1f}--remap-path-prefix=/home/me/guestlab=."), "{flags}");
    }
}
