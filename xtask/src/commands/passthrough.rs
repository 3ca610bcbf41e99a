//! Commands of `guestlab` that need guests: everything is built first, then xtask becomes it.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::cargo::Talk;
use crate::error::Error;
use crate::guests::{self, Catalog, Guest, Mode};
use crate::host::{Host, Need};
use crate::output;
use crate::status::Status;
use crate::toolchain;
use crate::workspace::Workspace;

/// Names that `guestlab` knows without their being guests; they are worth suggesting.
const EXPERIMENTS: [&str; 1] = ["prodcons"];

/// Runs `guestlab COMMAND ARGUMENTS...`; returns only if that does not come about.
pub(crate) fn run(command: &str, arguments: &[OsString], verbose: bool) -> Result<Status, Error> {
    let workspace = Workspace::load()?;
    let host = Host::build(&workspace)?;
    if asks_for_help(arguments) {
        return Err(host.become_it(&[command.into(), "--help".into()]).into());
    }
    let arguments: Vec<OsString> = [command.into()].into_iter().chain(arguments.iter().cloned()).collect();
    match host.needs(&arguments)? {
        Err(refused) => return Ok(refused),
        Ok(needs) if needs.is_empty() => {}
        Ok(needs) => build(&workspace, &needs, verbose)?,
    }
    Err(host.become_it(&arguments).into())
}

fn asks_for_help(arguments: &[OsString]) -> bool {
    let own = arguments.iter().take_while(|argument| *argument != "--");
    own.into_iter().any(|argument| argument == "-h" || argument == "--help")
}

/// Builds the needed guests, with one call of cargo a mode.
fn build(workspace: &Workspace, needs: &[Need], verbose: bool) -> Result<(), Error> {
    let catalog = Catalog::of(workspace);
    let mut by_mode: BTreeMap<Mode, Vec<Guest>> = BTreeMap::new();
    for need in needs {
        guests::check_mode(need.mode)?;
        by_mode.entry(need.mode).or_default().push(catalog.find(&need.name, &EXPERIMENTS)?.clone());
    }
    let toolchain = toolchain::find(&workspace.root)?;
    if toolchain.fetched || verbose {
        output::note(format_args!("guest toolchain: {toolchain}"));
    }
    for (mode, guests) in &by_mode {
        guests::build(workspace, &toolchain, guests, *mode, Talk::IfWorking)?;
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
    fn help_is_asked_for_anywhere_before_a_double_dash() {
        assert!(asks_for_help(&words("prodcons --turns 3 -h")));
        assert!(asks_for_help(&words("--help")));
        assert!(!asks_for_help(&words("prodcons -- --help")));
        assert!(!asks_for_help(&words("help --helper")));
    }
}
