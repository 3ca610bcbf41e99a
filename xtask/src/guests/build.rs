//! Builds of guests: one call of cargo for all guests of one mode.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::catalog::{Guest, Part};
use super::image::Image;
use super::library::Library;
use super::mode::Mode;
use crate::base::files;
use crate::cargo::{self, Verbosity};
use crate::workspace::{Artifact, Workspace};
use crate::{error::Error, toolchain::Toolchain};

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
        let library = Library::obtain(self.toolchain, self.mode)?;
        // Cargo gives the guests of both modes of a target the same file names.
        files::create_folder(&self.folder())?;
        let _lock = files::lock(&self.folder().join("lock"), "guests")?;
        let mut built = HashMap::new();
        for group in by_features(guests) {
            self.build(&group, &library, &mut built)?;
        }
        guests.iter().map(|guest| self.place(guest, &built)).collect()
    }

    /// Builds guests by one call of cargo, and adds their files to `built`, by source.
    fn build(
        &self,
        guests: &[&Guest],
        library: &Library,
        built: &mut HashMap<PathBuf, PathBuf>,
    ) -> Result<(), Error> {
        let mut command = self.command_with(guests, library);
        command.args(["--message-format", "json-render-diagnostics"]);
        let mut has_library = false;
        let status = cargo::run(&mut command, self.verbosity, |line| {
            let Some(artifact) = Artifact::parse(line) else { return };
            has_library |= is_for(&artifact, self.mode.target());
            built.extend(artifact.executable.map(|file| (artifact.target.src_path, file)));
        })?;
        if status.is_success() {
            return Ok(());
        }
        // A library that rustc cannot read fails the first crate.
        let hint = if has_library { String::new() } else { library.if_damaged() };
        Err(Error::bad_input(format_args!(
            "the guests do not compile for `{}` mode; cargo says why above{hint}",
            self.mode.name()
        )))
    }

    /// Returns the call of cargo that builds these guests.
    pub(crate) fn command(&self, guests: &[&Guest]) -> Result<Command, Error> {
        Ok(self.command_with(guests, &Library::obtain(self.toolchain, self.mode)?))
    }

    fn command_with(&self, guests: &[&Guest], library: &Library) -> Command {
        let mut command = cargo::for_guests(&self.workspace.root);
        command.arg("build");
        self.use_library(&mut command, library);
        command.args(self.optimization.arguments(guests)).args(selection(guests));
        command
    }

    /// Returns the file that cargo makes of a guest's program.
    pub(crate) fn executable(&self, guest: &Guest) -> PathBuf {
        let (Part::Binary(name) | Part::Example(name) | Part::Test(name)) = &guest.part;
        self.folder().join(self.mode.target()).join("guest").join(name)
    }

    /// Makes a cargo command, which builds or checks, do so for guests.
    pub(crate) fn configure(&self, command: &mut Command) -> Result<(), Error> {
        self.use_library(command, &Library::obtain(self.toolchain, self.mode)?);
        Ok(())
    }

    fn use_library(&self, command: &mut Command, library: &Library) {
        command.arg("--config").arg(Mode::configuration());
        // A target in JSON is not stable yet.
        command.args(["-Zjson-target-spec", "--profile", "guest", "--target"]).arg(self.mode.target_file());
        command.args(self.mode.feature().into_iter().flat_map(|feature| ["--features", feature]));
        command.arg("--target-dir").arg(self.folder());
        command.env("CARGO_ENCODED_RUSTFLAGS", flags(&library.sysroot));
        self.toolchain.prepare(command, self.mode.target());
    }

    /// The guests' own target directory, which shares no lock with the host's build.
    fn folder(&self) -> PathBuf {
        self.workspace.target.join("guests/build")
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

/// The flags of guest code: its library, and its linker script, which guest-rt's build script puts on the search path.
/// They replace those of a configuration file. They are the same for both modes of a target and in every workspace:
/// other flags would make cargo build all libraries again.
fn flags(sysroot: &Path) -> String {
    ["--sysroot", &sysroot.display().to_string(), "-Clink-arg=-Tguest.ld"].join(FLAG_SEPARATOR)
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

/// Returns true for a crate that was built for this target, and thus with the library.
fn is_for(artifact: &Artifact, target: &str) -> bool {
    artifact.filenames.iter().any(|file| file.components().any(|part| part.as_os_str() == target))
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
    fn a_crate_of_the_target_is_told_from_one_of_the_host() {
        let artifact = |file: &str| {
            let target = r#"{"name":"log","kind":["lib"],"src_path":"/l/src/lib.rs"}"#;
            let line = format!(
                r#"{{"manifest_path":"/m","target":{target},"profile":{{"test":false}},"filenames":["{file}"],"executable":null}}"#
            );
            Artifact::parse(&line).unwrap()
        };
        let is_for = |file: &str| is_for(&artifact(file), "i386-guestlab-none");
        assert!(is_for("/w/i386-guestlab-none/guest/deps/liblog-1.rlib"));
        assert!(!is_for("/w/guest/deps/liblog-1.rlib"));
        assert!(!is_for("/w/i386-guestlab-none-code16/guest/deps/liblog-1.rlib"));
        assert!(Artifact::parse(r#"{"reason":"build-finished","success":true}"#).is_none());
    }

    #[test]
    fn flags_do_not_depend_on_mode_or_workspace() {
        assert_eq!(flags(Path::new("/l")), "--sysroot\u{1f}/l\u{1f}-Clink-arg=-Tguest.ld");
    }
}
