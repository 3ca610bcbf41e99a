//! The submissions in a folder. Nothing of them is run here, and no symbolic link is followed.

use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::error::Error;

/// The depth of folders in a submission in which guests are looked for.
const DEPTH: usize = 3;

/// Folders of tools, which no student wrote.
const PASSED_OVER: [&str; 2] = ["target", "node_modules"];

/// A side of the exchange.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, ValueEnum)]
pub(crate) enum Role {
    /// The producer.
    Producer,
    /// The consumer.
    Consumer,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::Producer => "producer",
            Role::Consumer => "consumer",
        }
    }

    /// The side that a name tells.
    fn of_name(name: &str) -> Option<Role> {
        let name = name.to_lowercase();
        Role::value_variants().iter().copied().find(|role| name.contains(role.name()))
    }
}

/// A submission: an image, or a folder of guests.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) name: String,
    /// The folder, if it is one.
    pub(super) folder: Option<PathBuf>,
    pub(super) guests: Vec<Guest>,
    /// The reason why it cannot have a guest.
    pub(super) problem: Option<String>,
}

/// A guest in a submission.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Guest {
    pub(super) name: String,
    pub(super) role: Option<Role>,
    pub(super) found: Found,
}

/// The form of a guest in a submission.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// An image.
    Image(PathBuf),
    /// A package in Rust, or in C with a manifest: its folder.
    Package(PathBuf),
    /// C files in a folder.
    C(Vec<PathBuf>),
}

impl Found {
    pub(super) fn is_image(&self) -> bool {
        matches!(self, Found::Image(_))
    }
}

/// Finds the submissions in a folder, in the order of their names. Hidden files are none.
pub(super) fn find(folder: &Path) -> Result<Vec<Submission>, Error> {
    let entries = entries(folder).map_err(|error| {
        Error::bad_input(format_args!("cannot read the submissions in {}: {error}", folder.display()))
    })?;
    let submissions: Vec<Submission> = entries.iter().map(submission).collect();
    if submissions.is_empty() {
        return Err(Error::bad_input(format_args!(
            "there is no submission in {}: a submission is an image or a folder",
            folder.display()
        )));
    }
    Ok(submissions)
}

/// The guests to grade: sources, if they can be built, and else images.
pub(super) fn choose(guests: &[Guest], can_build: bool) -> Vec<Guest> {
    let of_kind = |is_image| guests.iter().filter(move |guest| guest.found.is_image() == is_image).cloned();
    let (sources, images): (Vec<Guest>, Vec<Guest>) = (of_kind(false).collect(), of_kind(true).collect());
    match can_build && !sources.is_empty() || images.is_empty() {
        true => sources,
        false => images,
    }
}

fn submission(entry: &DirEntry) -> Submission {
    let (path, name) = (entry.path(), text(entry));
    let kind = entry.file_type();
    let (is_folder, is_file) =
        (kind.as_ref().is_ok_and(fs::FileType::is_dir), kind.is_ok_and(|kind| kind.is_file()));
    let mut guests = Vec::new();
    let mut problem = None;
    if is_folder {
        problem = search(&path, std::slice::from_ref(&name), &mut guests)
            .err()
            .map(|error| format!("cannot read it: {error}"));
    } else if is_file {
        guests.push(guest(&stem(&path), &[], Found::Image(path.clone())));
    } else {
        problem = Some("it is neither a file nor a folder; links are not followed".into());
    }
    let name = if is_file { stem(&path) } else { name };
    Submission { name, folder: is_folder.then_some(path), guests, problem }
}

/// Adds the guests in a folder. `names` are those of the folders that it is in, the innermost first.
fn search(folder: &Path, names: &[String], guests: &mut Vec<Guest>) -> std::io::Result<()> {
    let entries = entries(folder)?;
    let files = |end: &str| -> Vec<PathBuf> {
        let files = entries.iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        files.map(DirEntry::path).filter(|path| path.extension().is_some_and(|it| it == end)).collect()
    };
    for image in files("elf") {
        guests.push(guest(&stem(&image), names, Found::Image(image.clone())));
    }
    if entries.iter().any(|entry| entry.file_name() == "Cargo.toml") {
        guests.push(guest(&names[0], &names[1..], Found::Package(folder.into())));
        return Ok(());
    }
    let sources = files("c");
    if !sources.is_empty() {
        guests.extend(in_c(&sources, names));
        return Ok(());
    }
    let is_open = |entry: &&DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    for inner in entries.iter().filter(is_open).filter(|_| names.len() < DEPTH) {
        let name = text(inner);
        if !PASSED_OVER.contains(&name.as_str()) {
            search(&inner.path(), &[&[name][..], names].concat(), guests)?;
        }
    }
    Ok(())
}

/// The guests of C files: one, or both sides if a file is named after each.
fn in_c(sources: &[PathBuf], names: &[String]) -> Vec<Guest> {
    let side = |path: &PathBuf| Role::of_name(&stem(path));
    let of_side = |role| sources.iter().find(|path| side(path) == Some(role));
    let both = of_side(Role::Producer).zip(of_side(Role::Consumer));
    if both.is_none() {
        let first = sources.iter().find(|path| side(path).is_some()).unwrap_or(&sources[0]);
        return vec![guest(&stem(first), names, Found::C(sources.to_vec()))];
    }
    let guests = Role::value_variants().iter().filter_map(|role| {
        let other = |path: &&PathBuf| side(path).is_none_or(|side| side == *role);
        let own = sources.iter().filter(other).cloned().collect();
        Some(guest(&stem(of_side(*role)?), names, Found::C(own)))
    });
    guests.collect()
}

/// A guest whose side its name tells, or that of a folder around it.
fn guest(name: &str, around: &[String], found: Found) -> Guest {
    let names = [name].into_iter().chain(around.iter().map(String::as_str));
    let role = names.filter_map(Role::of_name).next();
    Guest { name: name.into(), role, found }
}

/// The entries of a folder by name, without hidden ones.
fn entries(folder: &Path) -> std::io::Result<Vec<DirEntry>> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.retain(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}

fn text(entry: &DirEntry) -> String {
    entry.file_name().to_string_lossy().into_owned()
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[&str]) -> Vec<(String, String, Option<Role>, &'static str)> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let kind = |found: &Found| match found {
            Found::Image(_) => "image",
            Found::Package(_) => "package",
            Found::C(_) => "c",
        };
        let submissions = find(folder.path()).unwrap();
        let guests = submissions.iter().flat_map(|it| {
            it.guests
                .iter()
                .map(|guest| (it.name.clone(), guest.name.clone(), guest.role, kind(&guest.found)))
        });
        guests.collect()
    }

    #[test]
    fn a_submission_is_an_image_or_a_folder_of_guests() {
        let (producer, consumer) = (Some(Role::Producer), Some(Role::Consumer));
        let expected = [
            // The side of a C guest may be told by its folder.
            ("ada", "ada", None, "package"),
            ("bob-producer", "bob-producer", producer, "image"),
            ("eve", "main", consumer, "c"),
            ("eve", "my-producer", producer, "package"),
            ("kim", "consumer", consumer, "c"),
            ("kim", "producer", producer, "c"),
        ];
        let mut found = found(&[
            "ada/Cargo.toml",
            "ada/src/main.rs",
            "ada/target/x/producer.elf",
            "bob-producer.elf",
            "eve/my-producer/Cargo.toml",
            "eve/Consumer/main.c",
            "kim/code/producer.c",
            "kim/code/consumer.c",
            "kim/code/ring.c",
            ".hidden/Cargo.toml",
        ]);
        found.sort();
        let expected: Vec<_> = expected
            .iter()
            .map(|(a, b, role, kind)| ((*a).to_owned(), (*b).to_owned(), *role, *kind))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn sources_are_better_than_images_where_they_can_be_built() {
        let image = guest("producer", &[], Found::Image("a.elf".into()));
        let source = guest("producer", &[], Found::Package("a".into()));
        let both = [image.clone(), source.clone()];
        assert_eq!(choose(&both, true), std::slice::from_ref(&source));
        assert_eq!(choose(&both, false), [image]);
        assert_eq!(choose(std::slice::from_ref(&source), false), [source]);
    }

    #[test]
    fn links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("ada-producer.elf")).unwrap();
        let found = find(folder.path()).unwrap();
        assert!(found[0].guests.is_empty() && found[0].problem.is_some(), "{found:?}");
        assert!(find(&folder.path().join("none")).is_err());
        let socket = folder.path().join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(socket).unwrap();
        assert!(find(folder.path()).unwrap().iter().all(|it| it.problem.is_some()));
    }
}
