//! Commands of `guestlab` that need guests: xtask builds these, then `guestlab` replaces it.

use std::path::{Path, PathBuf};
use std::{collections::BTreeMap, ffi::OsString};

use super::first_run;
use crate::base::output::{self, short};
use crate::error::{Error, Status};
use crate::guests::{Build, Catalog, EXPERIMENTS, Guest, Mode, Optimization};
use crate::host::{Host, Need, Profile};
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;

const UNOPTIMIZED: &str = "--unoptimized";
const MANIFEST_PATH: &str = "--manifest-path";

const OWN_OPTIONS: &str = "\
Options of `cargo xtask`, which builds the guests first:
      --manifest-path <PATH>
          Take guests from the workspace of this Cargo.toml first. If it has one guest, the guest's name may be
          left out

      --unoptimized
          Do not optimize the guests' own code, so that gdb has every variable and every function of it";

/// Runs `guestlab COMMAND ARGUMENTS...` in place of xtask.
pub(crate) fn run(command: &str, arguments: &[OsString], verbose: bool) -> Result<Status, Error> {
    let (manifest, options) = split_manifest(arguments)?;
    let (optimization, options) = split_optimization(options);
    let mut own = Workspace::load()?;
    let other = manifest.as_deref().map(workspace).transpose()?;
    if let Some(other) = &other {
        // The host looks for all images in one folder.
        own.images.clone_from(&other.images);
    }
    if let Some(flag) = help_flag(&options) {
        return help(&Host::build(&own, Profile::Dev)?, command, flag);
    }
    let default = other.as_ref().filter(|_| command == "run").and_then(default_guest);
    let mut built = first_run::build(&own, &options, default.is_some())?;
    let arguments: Vec<OsString> =
        [command.into()].into_iter().chain(default.into_iter().flatten()).chain(options).collect();
    match built.host.needs(&arguments)? {
        Err(refused) => return Ok(refused),
        Ok(needs) if needs.is_empty() => {}
        Ok(needs) => {
            let toolchain = built.toolchain()?;
            toolchain.report(verbose);
            let workspaces: Vec<Workspace> = other.into_iter().chain([own]).collect();
            build(&workspaces, &needs, optimization, &toolchain)?;
        }
    }
    Err(built.host.exec(&arguments))
}

/// Reads the workspace of this manifest, which must have a guest.
pub(super) fn workspace(manifest: &Path) -> Result<Workspace, Error> {
    let workspace = Workspace::of(manifest)?;
    if Catalog::of(&workspace).guests.is_empty() {
        return Err(Error::bad_input(format_args!(
            "there is no guest in {}: a guest is a package with a binary that depends on guest-rt",
            short(&workspace.root)
        )));
    }
    Ok(workspace)
}

fn default_guest(workspace: &Workspace) -> Option<[OsString; 2]> {
    Some(["--default-guest".into(), Catalog::of(workspace).only()?.name.clone().into()])
}

fn before_dashes(arguments: &[OsString]) -> &[OsString] {
    arguments.split(|argument| argument == "--").next().unwrap_or_default()
}

/// Separates the option for a manifest from the options of `guestlab`.
fn split_manifest(arguments: &[OsString]) -> Result<(Option<PathBuf>, Vec<OsString>), Error> {
    let own = before_dashes(arguments);
    let values = own.iter().map(|argument| argument.to_str()?.strip_prefix(MANIFEST_PATH));
    let mut values = values.enumerate().filter_map(|(at, value)| Some((at, value?)));
    let Some((at, value)) = values.find(|(_, value)| value.is_empty() || value.starts_with('=')) else {
        return Ok((None, arguments.to_vec()));
    };
    let (value, len) = match value.strip_prefix('=') {
        Some(value) => (Some(value.into()), 1),
        None => (own.get(at + 1).map(PathBuf::from), 2),
    };
    let value = value.filter(|value| !value.as_os_str().is_empty());
    let manifest = value.ok_or_else(|| Error::bad_input("--manifest-path needs the path of a Cargo.toml"))?;
    Ok((Some(manifest), [&arguments[..at], &arguments[at + len..]].concat()))
}

/// Separates the option for unoptimized guests from the options of `guestlab`.
fn split_optimization(mut arguments: Vec<OsString>) -> (Optimization, Vec<OsString>) {
    match before_dashes(&arguments).iter().position(|argument| argument == UNOPTIMIZED) {
        Some(at) => {
            arguments.remove(at);
            (Optimization::Off, arguments)
        }
        None => (Optimization::On, arguments),
    }
}

/// Shows `guestlab`'s help. xtask's own options follow the long one.
fn help(host: &Host, command: &str, flag: &OsString) -> Result<Status, Error> {
    let status = host.status(&[command.into(), flag.clone()])?;
    if ["run", "explore"].contains(&command) && flag == "--help" {
        output::line(format_args!("\n{OWN_OPTIONS}"));
    }
    Ok(status)
}

fn help_flag(arguments: &[OsString]) -> Option<&OsString> {
    before_dashes(arguments).iter().find(|argument| *argument == "-h" || *argument == "--help")
}

/// Builds the guests, each of the first workspace that has it, with one build for a workspace and mode.
fn build(
    workspaces: &[Workspace],
    needs: &[Need],
    optimization: Optimization,
    toolchain: &Toolchain,
) -> Result<(), Error> {
    let catalogs: Vec<Catalog> = workspaces.iter().map(Catalog::of).collect();
    let mut builds: BTreeMap<(usize, Mode), Vec<Guest>> = BTreeMap::new();
    for need in needs {
        let found =
            catalogs.iter().enumerate().find_map(|(at, catalog)| Some((at, catalog.get(&need.name)?)));
        let (at, guest) = found.ok_or_else(|| catalogs[0].unknown(&need.name, &EXPERIMENTS))?;
        builds.entry((at, need.mode)).or_default().push(guest.clone());
    }
    for ((at, mode), guests) in builds {
        Build { optimization, ..Build::new(&workspaces[at], toolchain, mode) }.run(&guests)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn an_option_of_xtask_counts_before_a_double_dash() {
        let split = |line| split_optimization(words(line));
        assert_eq!(split("demo --unoptimized -- x"), (Optimization::Off, words("demo -- x")));
        assert_eq!(split("demo -- --unoptimized"), (Optimization::On, words("demo -- --unoptimized")));
    }

    #[test]
    fn help_is_asked_for_anywhere_before_a_double_dash() {
        let flag = |line| help_flag(&words(line)).cloned();
        assert_eq!(flag("prodcons --turns 3 -h"), Some("-h".into()));
        assert_eq!(flag("--help"), Some("--help".into()));
        assert_eq!(flag("prodcons -- --help"), None);
        assert_eq!(flag("help --helper"), None);
    }

    #[test]
    fn the_manifest_is_parted_from_the_rest_wherever_it_stands() {
        for line in ["--manifest-path a/Cargo.toml demo -- x", "demo --manifest-path=a/Cargo.toml -- x"] {
            let (manifest, others) = split_manifest(&words(line)).unwrap();
            assert_eq!(manifest, Some("a/Cargo.toml".into()), "{line}");
            assert_eq!(others, words("demo -- x"), "{line}");
        }
    }

    #[test]
    fn arguments_of_a_guest_are_left_alone() {
        let line = words("demo --manifest-paths -- --manifest-path a");
        assert_eq!(split_manifest(&line).unwrap(), (None, line));
    }

    #[test]
    fn without_a_path_it_is_refused() {
        for line in ["demo --manifest-path", "--manifest-path= demo", "--manifest-path -- a"] {
            assert_eq!(split_manifest(&words(line)).unwrap_err().status(), Status::BAD_INPUT, "{line}");
        }
    }
}
