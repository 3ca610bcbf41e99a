//! Which names a new guest can have: those that cargo, the workspace and `cargo xtask run` can tell
//! from all others.

use std::fs;
use std::path::Path;

use crate::error::Error;
use crate::guests::{Catalog, EXPERIMENTS};
use crate::workspace::Workspace;

/// The longest name, in bytes: it becomes that of files.
const LONGEST: usize = 64;

/// Rust's keywords of lower case, the reserved ones included (Rust reference, "Keywords").
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static",
    "struct", "super", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual",
    "where", "while", "yield",
];

/// The rest of the keywords, and the libraries that every compiler brings.
const LIBRARIES: &[&str] =
    &["alloc", "compiler_builtins", "core", "panic_abort", "panic_unwind", "proc_macro", "std", "test"];

/// Folders of cargo's in which a binary of that name would lie, or which it makes itself.
const CARGOS: &[&str] = &["build", "deps", "examples", "incremental", "target"];

/// Refuses a name that does not do, with the reason and a better one.
pub(super) fn check(workspace: &Workspace, name: &str) -> Result<(), Error> {
    let taken = Taken::in_the(workspace)?;
    taken.allows(name).map_err(|refusal| {
        let better = better(name).filter(|better| taken.allows(better).is_ok());
        let problem = match refusal {
            Refusal::Bad(why) => format!("{name:?} cannot be the name of a guest: {why}"),
            Refusal::Taken(by) => format!("the name `{name}` is taken: {by}"),
        };
        let better = better.as_deref().unwrap_or("NAME");
        Error::bad_input(format_args!(
            "{problem}\nnothing was written; choose another: cargo xtask new {better}"
        ))
    })
}

/// Why a name does not do.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    Bad(&'static str),
    Taken(String),
}

/// The names that others have.
struct Taken<'a> {
    root: &'a Path,
    packages: Vec<&'a str>,
    guests: Catalog,
    dependencies: Vec<String>,
}

impl Taken<'_> {
    fn in_the(workspace: &Workspace) -> Result<Taken<'_>, Error> {
        let lock = workspace.root.join("Cargo.lock");
        let locked = match fs::read_to_string(&lock) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(Error::file("read", &lock)),
        }?;
        Ok(Taken {
            root: &workspace.root,
            packages: workspace.packages.iter().map(|package| package.name.as_str()).collect(),
            guests: Catalog::of(workspace),
            dependencies: dependencies(&locked),
        })
    }

    fn allows(&self, name: &str) -> Result<(), Refusal> {
        check_spelling(name).map_err(Refusal::Bad)?;
        let clashes = |other: &str| crate_name(other) == crate_name(name);
        if let Some(guest) = self.guests.all().iter().find(|guest| clashes(&guest.name)) {
            return Err(Refusal::Taken(format!("it is a guest's, in the package {}", guest.package)));
        }
        if self.packages.iter().any(|package| clashes(package)) {
            return Err(Refusal::Taken("a package of the workspace has it".into()));
        }
        if self.dependencies.iter().any(|dependency| clashes(dependency)) {
            return Err(Refusal::Taken("a package that Guestlab depends on has it".into()));
        }
        let path = self.root.join(name);
        if path.symlink_metadata().is_ok() {
            return Err(Refusal::Taken(format!("{} is there already", path.display())));
        }
        Ok(())
    }
}

fn check_spelling(name: &str) -> Result<(), &'static str> {
    if name.contains(['/', '\\']) {
        return Err("it is a path; guests are made at the root of the workspace");
    }
    if !name.starts_with(|letter: char| letter.is_ascii_lowercase()) {
        return Err("it does not begin with a letter from a to z");
    }
    if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_') {
        return Err("a name has lower case letters, digits, `-` and `_` only");
    }
    if name.len() > LONGEST {
        return Err("it is longer than 64 letters");
    }
    let word = crate_name(name);
    let is_one_of = |words: &[&str]| words.contains(&word.as_str());
    if is_one_of(KEYWORDS) {
        return Err("it is a keyword of Rust's");
    }
    if is_one_of(LIBRARIES) {
        return Err("it is a library that comes with Rust");
    }
    if is_one_of(CARGOS) {
        return Err("it is a folder of cargo's");
    }
    if is_one_of(&EXPERIMENTS) {
        return Err("`cargo xtask run` knows an experiment of this name");
    }
    Ok(())
}

/// What code calls a package; cargo takes no two that agree in this.
fn crate_name(name: &str) -> String {
    name.replace('-', "_")
}

/// A name as close as can be that is spelled as names are, and unlike any that is reserved.
fn better(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).find(|part| !part.is_empty())?;
    let spelled: String = last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let spelled = spelled.to_ascii_lowercase();
    let trimmed = spelled.trim_matches('-').trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
    let same = trimmed == name || check_spelling(trimmed).is_err();
    (!trimmed.is_empty()).then(|| if same { format!("my-{trimmed}") } else { trimmed.to_owned() })
}

/// The packages of a lock file that come from elsewhere. One without a source is, or was, a member.
fn dependencies(lock: &str) -> Vec<String> {
    let foreign = lock.split("[[package]]").filter(|package| package.contains("\nsource = "));
    let names = foreign.filter_map(|package| package.lines().find_map(|line| line.strip_prefix("name = ")));
    names.map(|name| name.trim_matches('"').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_packages_do() {
        for name in ["demo", "a", "guest-2", "my_guest", "primes"] {
            assert_eq!(check_spelling(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_that_mean_something_else_do_not() {
        for name in [
            "",
            "-x",
            "_x",
            "9lives",
            "Demo",
            "café",
            "a b",
            "a.b",
            "../x",
            "a/b",
            "a\\b",
            "match",
            "gen",
            "yield",
            "core",
            "proc-macro",
            "target",
            "deps",
            "prodcons",
            &"x".repeat(65),
        ] {
            assert!(check_spelling(name).is_err(), "{name:?}");
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
    fn of_a_lock_file_only_what_is_fetched_counts() {
        let lock = "version = 4\n\n[[package]]\nname = \"demo\"\nversion = \"0.1.0\"\n\n\
                    [[package]]\nname = \"spin\"\nversion = \"0.12.0\"\nsource = \"registry\"\n";
        assert_eq!(dependencies(lock), ["spin"]);
    }
}
