//! The names of new guests. Cargo has rules for all packages; the others are here.

use std::{fs, path::Path};

use super::{place::Place, template::CRATES};
use crate::base::{files, process};
use crate::guests::{Catalog, EXPERIMENTS};
use crate::{cargo, error::Error, workspace::Workspace};

const LONGEST: usize = 64;

/// Refuses a bad name, with the reason and a better name.
pub(super) fn check(workspace: &Workspace, place: &Place) -> Result<(), Error> {
    let Some(problem) = problem(workspace, place)? else { return Ok(()) };
    let better = better(&place.name).map(|name| place.renamed(&name));
    let better = better.filter(|better| matches!(self::problem(workspace, better), Ok(None)));
    let better = better.unwrap_or_else(|| place.renamed("NAME"));
    Err(Error::bad_input(format_args!(
        "{:?} cannot be the name of a package: {problem}\n\
         nothing was written; choose another: cargo xtask new {}",
        place.name,
        better.shown()
    )))
}

fn problem(workspace: &Workspace, place: &Place) -> Result<Option<String>, Error> {
    if let Some(misspelled) = misspelled(&place.name) {
        return Ok(Some(misspelled.into()));
    }
    match refused_by_cargo(&place.name)? {
        None => taken(workspace, place),
        refused => Ok(refused),
    }
}

fn misspelled(name: &str) -> Option<&'static str> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let rules = [
        (!name.starts_with(|c: char| c.is_ascii_lowercase()), "it does not begin with a letter from a to z"),
        (!name.chars().all(is_plain), "a name has lower case letters, digits, `-` and `_` only"),
        (name.len() > LONGEST, "it is longer than 64 letters"),
        (name == "target", "cargo uses a folder of this name"),
        (EXPERIMENTS.contains(&name), "an experiment of `cargo xtask run` has this name"),
    ];
    rules.into_iter().find(|(is_broken, _)| *is_broken).map(|(_, rule)| rule)
}

/// Lets cargo make a package of this name elsewhere, and returns its error or warning.
fn refused_by_cargo(name: &str) -> Result<Option<String>, Error> {
    let (process, thread) = (std::process::id(), std::thread::current().id());
    let folder = std::env::temp_dir().join(format!("guestlab-new-{process}-{thread:?}"));
    let mut new = cargo::for_host(&std::env::temp_dir());
    let output = process::capture(new.args(["new", "--vcs", "none", "--name", name]).arg(&folder));
    files::remove_folder(&folder)?;
    let messages = String::from_utf8_lossy(&output?.stderr).into_owned();
    // Other messages are about the folder.
    let about_name = messages.lines().find(|line| line.contains("package name"));
    let refusal = about_name.and_then(|line| line.split_once(": "));
    Ok(refusal.map(|(_, refusal)| refusal.to_owned()))
}

/// Returns the owner of a name: a guest, a package, a dependency, or a file. A package outside of the workspace shares it
/// with the crates only that it may depend on.
fn taken(workspace: &Workspace, place: &Place) -> Result<Option<String>, Error> {
    // Cargo takes no two packages whose crate names are equal.
    let clashes = |other: &str| other.replace('-', "_") == place.name.replace('-', "_");
    let is_member = place.elsewhere.is_none();
    if let Some(guest) = Catalog::of(workspace).guests.iter().find(|it| is_member && clashes(&it.name)) {
        return Ok(Some(format!("a guest of the package {} has it", guest.package)));
    }
    if workspace.packages.iter().any(|package| is_member && clashes(&package.name)) {
        return Ok(Some("a package of the workspace has it".into()));
    }
    if let Some((name, _)) = CRATES.iter().find(|(name, _)| clashes(name)) {
        return Ok(Some(format!("it is the crate {name}, which packages may depend on")));
    }
    if dependencies(&workspace.root)?.iter().any(|dependency| clashes(dependency)) {
        return Ok(Some("a package that Guestlab depends on has it".into()));
    }
    let path = place.parent.join(&place.name);
    Ok(path.symlink_metadata().is_ok().then(|| format!("{} exists already", path.display())))
}

fn better(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).find(|part| !part.is_empty())?;
    let spelled: String = last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let spelled = spelled.to_ascii_lowercase();
    let trimmed = spelled.trim_matches('-').trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
    let same = trimmed == name || misspelled(trimmed).is_some();
    (!trimmed.is_empty()).then(|| if same { format!("my-{trimmed}") } else { trimmed.to_owned() })
}

/// Reads the packages from elsewhere in the lock file. A package without a source is, or was, a member.
fn dependencies(root: &Path) -> Result<Vec<String>, Error> {
    let path = root.join("Cargo.lock");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let lock = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    let foreign = lock.split("[[package]]").filter(|package| package.contains("\nsource = "));
    let names = foreign.filter_map(|package| package.lines().find_map(|line| line.strip_prefix("name = ")));
    Ok(names.map(|name| name.trim_matches('"').to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(name: &str) -> Option<String> {
        misspelled(name).map(String::from).or_else(|| refused_by_cargo(name).unwrap())
    }

    #[test]
    fn names_of_packages_are_accepted() {
        for name in ["demo", "a", "guest-2", "my_guest", "primes"] {
            assert_eq!(refusal(name), None, "{name}");
        }
    }

    #[test]
    fn names_with_another_meaning_are_refused() {
        let long = "x".repeat(65);
        let misspelled =
            ["", "-x", "_x", "9lives", "Demo", "café", "a b", "a.b", "../x", "a/b", "a\\b", &long];
        for name in misspelled.into_iter().chain(["match", "yield", "core", "target", "deps", "prodcons"]) {
            assert!(refusal(name).is_some(), "{name:?}");
        }
    }

    #[test]
    fn a_better_name_is_close() {
        for (name, expected) in [
            ("Demo", Some("demo")),
            ("my guest!", Some("my-guest")),
            ("../demo", Some("demo")),
            ("9lives", Some("lives")),
            ("match", Some("my-match")),
            ("hello", Some("my-hello")),
            ("...", None),
        ] {
            assert_eq!(better(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn only_fetched_packages_of_a_lock_file_are_dependencies() {
        let lock = "version = 4\n\n[[package]]\nname = \"demo\"\nversion = \"0.1.0\"\n\n\
                    [[package]]\nname = \"spin\"\nversion = \"0.12.0\"\nsource = \"registry\"\n";
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Cargo.lock"), lock).unwrap();
        assert_eq!(dependencies(folder.path()).unwrap(), ["spin"]);
    }
}
