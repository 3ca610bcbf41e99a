//! Commands of `guestlab` that need guests: everything is built first, then xtask becomes it.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::elsewhere;
use crate::base::output;
use crate::cargo::Talk;
use crate::error::{Error, Status};
use crate::guests::{self, Catalog, EXPERIMENTS, Effort, Guest, Mode};
use crate::host::{Host, Need};
use crate::toolchain;
use crate::workspace::{self, Workspace};

/// The option for guests that are not optimized.
const UNOPTIMIZED: &str = "--unoptimized";

/// What `--help` says of the options that xtask takes itself.
const OWN_OPTIONS: &str = "\
Options of `cargo xtask`, which builds the guests first:
      --manifest-path <PATH>
          Take guests from the workspace of this Cargo.toml first; where it has one guest, that one goes
          without saying

      --unoptimized
          Do not optimize the guests' own code, so that gdb has every variable and every function of it";

/// Runs `guestlab COMMAND ARGUMENTS...`; returns only if that does not come about.
pub(crate) fn run(command: &str, arguments: &[OsString], verbose: bool) -> Result<Status, Error> {
    let (manifest, options) = elsewhere::split(arguments)?;
    let (effort, options) = split_effort(options);
    let mut own = Workspace::load()?;
    let elsewhere = manifest.map(|manifest| elsewhere::workspace(&manifest)).transpose()?;
    if let Some(elsewhere) = &elsewhere {
        // The host looks for all images in one folder.
        own.images.clone_from(&elsewhere.images);
    }
    let host = Host::build(&own)?;
    if let Some(flag) = help_flag(&options) {
        return help(&host, command, flag);
    }
    let default = elsewhere.as_ref().filter(|_| command == "run").and_then(default_guest);
    let arguments: Vec<OsString> =
        [command.into()].into_iter().chain(default.into_iter().flatten()).chain(options).collect();
    match host.needs(&arguments)? {
        Err(refused) => return Ok(refused),
        Ok(needs) if needs.is_empty() => {}
        Ok(needs) => build(&elsewhere.into_iter().chain([own]).collect::<Vec<_>>(), &needs, effort, verbose)?,
    }
    Err(host.become_it(&arguments))
}

/// The option that says which guest of a workspace goes without saying, if one does.
fn default_guest(workspace: &Workspace) -> Option<[OsString; 2]> {
    let catalog = Catalog::of(workspace);
    Some(["--default-guest".into(), catalog.only()?.name.clone().into()])
}

/// Parts the wish for guests that are not optimized, where it stands before a `--`, from the rest.
fn split_effort(mut arguments: Vec<OsString>) -> (Effort, Vec<OsString>) {
    let mut own = arguments.iter().take_while(|argument| *argument != "--");
    match own.position(|argument| argument == UNOPTIMIZED) {
        Some(at) => {
            arguments.remove(at);
            (Effort::Unoptimized, arguments)
        }
        None => (Effort::Optimized, arguments),
    }
}

/// Shows `guestlab`'s help; the long one is followed by what xtask adds where guests are built.
fn help(host: &Host, command: &str, flag: &OsString) -> Result<Status, Error> {
    let status = host.status(&[command.into(), flag.clone()])?;
    if ["run", "explore"].contains(&command) && flag == "--help" {
        output::line(format_args!("\n{OWN_OPTIONS}"));
    }
    Ok(status)
}

/// The option that asks for help, if there is one.
fn help_flag(arguments: &[OsString]) -> Option<&OsString> {
    let mut own = arguments.iter().take_while(|argument| *argument != "--");
    own.find(|argument| *argument == "-h" || *argument == "--help")
}

/// Builds the needed guests, each of the first workspace that has it, with one call of cargo for a
/// workspace and mode.
fn build(workspaces: &[Workspace], needs: &[Need], effort: Effort, verbose: bool) -> Result<(), Error> {
    let catalogs: Vec<Catalog> = workspaces.iter().map(Catalog::of).collect();
    let mut calls: BTreeMap<(usize, Mode), Vec<Guest>> = BTreeMap::new();
    for need in needs {
        guests::check_mode(need.mode)?;
        let found =
            catalogs.iter().enumerate().find_map(|(at, catalog)| Some((at, catalog.get(&need.name)?)));
        let (at, guest) = found.ok_or_else(|| catalogs[0].unknown(&need.name, &EXPERIMENTS))?;
        calls.entry((at, need.mode)).or_default().push(guest.clone());
    }
    let toolchain = toolchain::find(&workspace::root())?;
    if toolchain.fetched || verbose {
        output::note(format_args!("guest toolchain: {toolchain}"));
    }
    for ((at, mode), guests) in &calls {
        guests::build_with(effort, &workspaces[*at], &toolchain, guests, *mode, Talk::IfWorking)?;
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
    fn what_is_not_to_be_optimized_is_said_before_a_double_dash() {
        let split = |line| split_effort(words(line));
        assert_eq!(split("demo --unoptimized -- x"), (Effort::Unoptimized, words("demo -- x")));
        assert_eq!(split("demo -- --unoptimized"), (Effort::Optimized, words("demo -- --unoptimized")));
    }

    #[test]
    fn help_is_asked_for_anywhere_before_a_double_dash() {
        let flag = |line| help_flag(&words(line)).cloned();
        assert_eq!(flag("prodcons --turns 3 -h"), Some("-h".into()));
        assert_eq!(flag("--help"), Some("--help".into()));
        assert_eq!(flag("prodcons -- --help"), None);
        assert_eq!(flag("help --helper"), None);
    }
}
