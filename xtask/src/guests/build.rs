//! Builds of guests: one call of cargo for all guests of one mode.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::{path::PathBuf, process::Command};

use super::catalog::{Guest, Part};
use super::image::Image;
use super::mode::Mode;
use crate::cargo::{self, Verbosity};
use crate::workspace::{self, Artifact, Workspace};
use crate::{error::Error, toolchain::Toolchain};

/// `core` and `alloc` are not prebuilt for our targets, and a target in JSON is not stable yet.
const BUILD_STD: [&str; 3] = [
    "-Zbuild-std=core,alloc,compiler_builtins",
    "-Zbuild-std-features=compiler-builtins-mem",
    "-Zjson-target-spec",
];

/// Separates flags in `CARGO_ENCODED_RUSTFLAGS`, where a space may be part of a flag.
const FLAG_SEPARATOR: &str = "\x1f";

/// The optimization of a guest's own code. The runtime and the libraries are always optimized.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Optimization {
    /// As in the profile.
    On,
    /// Every variable is in memory and every function is called, for a debugger.
    Off,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Build<'a> {
    pub(crate) workspace: &'a Workspace,
    pub(crate) toolchain: &'a Toolchain,
    pub(crate) mode: Mode,
    pub(crate) optimization: Optimization,
    pub(crate) verbosity: Verbosity,
}

impl<'a> Build<'a> {
    pub(crate) fn new(workspace: &'a Workspace, toolchain: &'a Toolchain, mode: Mode) -> Build<'a> {
        Build { workspace, toolchain, mode, optimization: Optimization::On, verbosity: Verbosity::Quiet }
    }

    /// Builds these guests and puts their images into the folder of the host's images.
    pub(crate) fn run(&self, guests: &[Guest]) -> Result<Vec<Image>, Error> {
        let mut built = HashMap::new();
        for group in by_features(guests) {
            let mut command = cargo::for_guests(&self.workspace.root);
            command.args(["build", "--message-format", "json-render-diagnostics"]);
            self.configure(&mut command);
            command.args(self.optimization.arguments(&group)).args(selection(&group));
            let mut has_core = false;
            let status = cargo::run(&mut command, self.verbosity, |line| {
                let Some(artifact) = Artifact::parse(line) else { return };
                has_core |= is_core(&artifact);
                built.extend(artifact.executable.map(|file| (artifact.target.src_path, file)));
            })?;
            if !status.is_success() {
                // Without `core` no guest's own source has been compiled.
                let hint = if has_core { String::new() } else { self.toolchain.if_core_is_damaged() };
                return Err(Error::bad_input(format_args!(
                    "the guests do not compile for `{}` mode; cargo says why above{hint}",
                    self.mode.name()
                )));
            }
        }
        guests.iter().map(|guest| self.place(guest, &built)).collect()
    }

    pub(crate) fn configure(&self, command: &mut Command) {
        for file in self.mode.configuration() {
            command.arg("--config").arg(file);
        }
        command.args(BUILD_STD).args(["--profile", "guest", "--target"]).arg(self.mode.target_file());
        command.arg("--target-dir").arg(self.folder());
        command.env("CARGO_ENCODED_RUSTFLAGS", flags(self.mode, &self.renamed_folders()));
        self.toolchain.prepare(command, self.mode.target());
    }

    /// The guests' own target directory, which shares no lock with the host's build. Protected and paged mode share a target, and differ in flags only: in one folder each
    /// build would replace the other's.
    fn folder(&self) -> PathBuf {
        let folder = self.workspace.target.join("guests/build");
        if self.mode == Mode::Paged { folder.join(self.mode.name()) } else { folder }
    }

    /// Folders that have other names in images, so that an image is the same wherever it is built. If two of them
    /// contain a path, the last one counts: a workspace may be in Guestlab's folder.
    fn renamed_folders(&self) -> Vec<(PathBuf, &'static str)> {
        let home = std::env::home_dir().unwrap_or_default();
        let cargo_home = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
        let mut renamed = vec![(cargo_home, "/cargo"), (self.toolchain.sysroot.path().into(), "/rust")];
        if self.workspace.root != workspace::root() {
            renamed.push((workspace::root(), "/guestlab"));
        }
        renamed.push((self.workspace.root.clone(), "."));
        renamed
    }

    fn place(&self, guest: &Guest, built: &HashMap<PathBuf, PathBuf>) -> Result<Image, Error> {
        let from = built
            .get(&guest.source)
            .ok_or_else(|| Error::bug(format_args!("cargo built no image for the guest `{}`", guest.name)))?;
        let folder = match guest.part {
            Part::Binary(_) | Part::Example(_) => self.workspace.images.clone(),
            Part::Test(_) => self.workspace.test_images(),
        };
        Image::place(from, folder.join(self.mode.image_name(&guest.name)), self.mode)
    }
}

impl Optimization {
    fn arguments(self, guests: &[&Guest]) -> Vec<String> {
        let packages: BTreeSet<&str> = guests.iter().map(|guest| guest.package.as_str()).collect();
        let level = |package| format!("profile.guest.package.{package:?}.opt-level=0");
        match self {
            Optimization::On => Vec::new(),
            Optimization::Off => {
                packages.into_iter().flat_map(|package| ["--config".into(), level(package)]).collect()
            }
        }
    }
}

/// Groups the guests that one call of cargo may build. Cargo gives all of them every feature of the runtime that one
/// of them asks for, and an image must not depend on the other guests.
fn by_features(guests: &[Guest]) -> Vec<Vec<&Guest>> {
    let mut groups = BTreeMap::<_, Vec<&Guest>>::new();
    for guest in guests {
        groups.entry(&guest.features).or_default().push(guest);
    }
    groups.into_values().collect()
}

/// The flags of guest code: its linker script, which guest-rt's build script puts on the search path, and its mode.
/// They replace those of a configuration file.
fn flags(mode: Mode, renamed: &[(PathBuf, &str)]) -> String {
    let mode = format!("guestlab_mode=\"{}\"", mode.name());
    let renamed = renamed.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    let flags = ["-Clink-arg=-Tguest.ld".into(), "--cfg".into(), mode];
    flags.into_iter().chain(renamed).collect::<Vec<String>>().join(FLAG_SEPARATOR)
}

fn selection<'a>(guests: &[&'a Guest]) -> Vec<&'a str> {
    let arguments = guests.iter().flat_map(|guest| {
        let (kind, name) = match &guest.part {
            Part::Binary(name) => ("--bin", name),
            Part::Example(name) => ("--example", name),
            Part::Test(name) => ("--test", name),
        };
        ["--package", guest.package.as_str(), kind, name.as_str()]
    });
    arguments.collect()
}

fn is_core(artifact: &Artifact) -> bool {
    artifact.target.src_path.ends_with("library/core/src/lib.rs")
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
    fn only_the_guests_packages_are_not_optimized() {
        let guests = ["a", "b"].map(|name| guest(name, "mine", Part::Binary, &[]));
        let guests: Vec<&Guest> = guests.iter().collect();
        assert!(Optimization::On.arguments(&guests).is_empty());
        let expected = ["--config", r#"profile.guest.package."mine".opt-level=0"#];
        assert_eq!(Optimization::Off.arguments(&guests), expected);
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
    fn the_library_is_known_by_its_path() {
        let artifact = |source: &str| {
            let target = format!(r#"{{"name":"core","kind":["lib"],"src_path":"{source}"}}"#);
            let line = format!(
                r#"{{"manifest_path":"/m","target":{target},"profile":{{"test":false}},"executable":null}}"#
            );
            Artifact::parse(&line).unwrap()
        };
        assert!(is_core(&artifact("/usr/lib/rustlib/src/rust/library/core/src/lib.rs")));
        assert!(!is_core(&artifact("/a.rs")));
        assert!(Artifact::parse(r#"{"reason":"build-finished","success":true}"#).is_none());
    }

    #[test]
    fn the_guests_mode_is_a_flag() {
        assert!(flags(Mode::Long, &[]).ends_with("--cfg\u{1f}guestlab_mode=\"long\""));
    }

    #[test]
    fn folders_have_other_names_in_images() {
        let flags = flags(Mode::Long, &[("/home/me/guestlab".into(), ".")]);
        assert!(flags.ends_with("\u{1f}--remap-path-prefix=/home/me/guestlab=."), "{flags}");
    }
}
