//! Guests from elsewhere: `--manifest-path PATH`, among arguments that are otherwise `guestlab`'s.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::base::output::short;
use crate::error::Error;
use crate::guests::Catalog;
use crate::workspace::Workspace;

/// The option, as cargo has it.
const OPTION: &str = "--manifest-path";

/// The workspace of this manifest, which must have a guest.
pub(super) fn workspace(manifest: &Path) -> Result<Workspace, Error> {
    let workspace = Workspace::of(manifest)?;
    if Catalog::of(&workspace).all().is_empty() {
        return Err(Error::bad_input(format_args!(
            "there is no guest in {}: a guest is a package with a binary that depends on guest-rt",
            short(&workspace.root)
        )));
    }
    Ok(workspace)
}

/// Parts the manifest, where one is named before a `--`, from the arguments that are `guestlab`'s.
pub(super) fn split(arguments: &[OsString]) -> Result<(Option<PathBuf>, Vec<OsString>), Error> {
    let end = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    let (before, after) = arguments.split_at(end);
    let Some(at) = before.iter().position(is_option) else { return Ok((None, arguments.to_vec())) };
    let mut others = before[..at].to_vec();
    let (value, rest) = match before[at].to_string_lossy().strip_prefix(OPTION) {
        Some("") => (before.get(at + 1).map(PathBuf::from), at + 2),
        value => (value.map(|value| PathBuf::from(value.trim_start_matches('='))), at + 1),
    };
    others.extend(before.iter().skip(rest).chain(after).cloned());
    match value.filter(|value| !value.as_os_str().is_empty()) {
        Some(manifest) => Ok((Some(manifest), others)),
        None => Err(Error::bad_input("--manifest-path wants the path of a Cargo.toml")),
    }
}

fn is_option(argument: &OsString) -> bool {
    let rest = argument.to_str().and_then(|it| it.strip_prefix(OPTION));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn the_manifest_is_parted_from_the_rest_wherever_it_stands() {
        for line in ["--manifest-path a/Cargo.toml demo -- x", "demo --manifest-path=a/Cargo.toml -- x"] {
            let (manifest, others) = split(&words(line)).unwrap();
            assert_eq!(manifest, Some("a/Cargo.toml".into()), "{line}");
            assert_eq!(others, words("demo -- x"), "{line}");
        }
    }

    #[test]
    fn what_is_the_guests_is_left_alone() {
        let line = words("demo --manifest-paths -- --manifest-path a");
        assert_eq!(split(&line).unwrap(), (None, line));
    }

    #[test]
    fn without_a_path_it_is_refused() {
        for line in ["demo --manifest-path", "--manifest-path= demo", "--manifest-path -- a"] {
            assert_eq!(split(&words(line)).unwrap_err().status(), crate::error::Status::BAD_INPUT, "{line}");
        }
    }
}
