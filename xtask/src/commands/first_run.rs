//! What a first run builds, side by side: the guests' toolchain and library are made while the host is compiled.

use std::ffi::OsString;

use clap::ValueEnum;

use crate::base::output;
use crate::error::Error;
use crate::guests::{Catalog, EXPERIMENTS, Library, Mode};
use crate::host::{Host, Profile};
use crate::toolchain::{self, Toolchain};
use crate::workspace::{self, Workspace};

/// The host, and the guests' toolchain if it was looked for.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) host: Host,
    toolchain: Option<Result<Toolchain, Error>>,
    is_first: bool,
}

/// Builds the host. If these arguments seem to need a guest, its toolchain and library are made at the same time: the
/// host, which reads the arguments, is not there yet to say so.
pub(super) fn build(own: &Workspace, arguments: &[OsString], default: bool) -> Result<Built, Error> {
    let mode = likely_mode(arguments, &Catalog::of(own), default);
    let is_first = !Host::is_built(own, Profile::Dev);
    if is_first {
        announce(mode);
    }
    std::thread::scope(|scope| {
        let guests = mode.map(|mode| scope.spawn(move || prepare(mode)));
        let host = Host::build(own, Profile::Dev);
        let toolchain = guests.map(|thread| thread.join().expect("a panic here is a bug of xtask"));
        Ok(Built { host: host?, toolchain, is_first })
    })
}

impl Built {
    /// Returns the guests' toolchain, which is looked for now if it was not before.
    pub(super) fn toolchain(&mut self) -> Result<Toolchain, Error> {
        if self.is_first {
            output::note("building once: the guests");
        }
        self.toolchain.take().unwrap_or_else(|| toolchain::find(&workspace::root()))
    }
}

fn announce(mode: Option<Mode>) {
    let is_ready = mode.is_none_or(Library::is_there);
    output::note(if is_ready {
        "building once, about a minute on 2 cores: the host, then the guests"
    } else {
        "building once, about 1.5 minutes on 2 cores: the host and, at the same time, the guests' toolchain and \
         library; then the guests"
    });
}

fn prepare(mode: Mode) -> Result<Toolchain, Error> {
    let toolchain = toolchain::find(&workspace::root())?;
    Library::obtain(&toolchain, mode)?;
    Ok(toolchain)
}

/// Guesses the mode of the guest that `guestlab` will ask for; none if no argument names a guest or an experiment. A
/// wrong guess costs time only.
fn likely_mode(arguments: &[OsString], catalog: &Catalog, default: bool) -> Option<Mode> {
    let words = || arguments.iter().map_while(|word| word.to_str().filter(|word| *word != "--"));
    let is_guest = |word: &str| EXPERIMENTS.contains(&word) || catalog.get(word).is_some();
    if !default && !words().any(is_guest) {
        return None;
    }
    let after = words().skip_while(|word| *word != "--mode").nth(1);
    let mode = after.or_else(|| words().find_map(|word| word.strip_prefix("--mode=")));
    Some(mode.and_then(|mode| Mode::from_str(mode, false).ok()).unwrap_or(Mode::Protected))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(line: &str) -> Option<Mode> {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        likely_mode(&words, &Catalog { guests: Vec::new(), tests: Vec::new() }, false)
    }

    #[test]
    fn an_argument_that_names_an_experiment_needs_guests() {
        assert_eq!(guess("prodcons --turns 3"), Some(Mode::Protected));
        assert_eq!(guess("--mode long prodcons"), Some(Mode::Long));
        assert_eq!(guess("prodcons --mode=real"), Some(Mode::Real));
        assert_eq!(guess("prodcons --mode virtual"), Some(Mode::Protected));
    }

    #[test]
    fn others_need_none() {
        for line in ["", "recording.jsonl", "--image a.elf -- prodcons"] {
            assert_eq!(guess(line), None, "{line}");
        }
    }
}
