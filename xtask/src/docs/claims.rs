//! The documents' claims: a document names the file and the item of the source that does what it
//! tells of, and the source must have both. So a document cannot outlive what it describes.
//!
//! A claim is `#src("host/vmm/src/memory.rs", "GuestMemory::new")` in a Typst document, and
//! `data-file="..." data-item="..."` on an element of a drawing. Beside these, any path below one
//! of the source folders that a document mentions must be there.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::lookup::{Missing, look_up};
use crate::base::process::indented;
use crate::error::Error;

/// Where sources are; a word in a document that begins so is a path.
const SOURCES: [&str; 6] = ["host/", "guest-rt/", "guest-producer/", "guest-consumer/", "xtask/", "docs/"];

/// Where documents are.
const FOLDERS: [&str; 3] = ["docs", "docs/guide", "docs/decisions"];

/// How a claim begins, what parts its file from its item, and how it ends.
const FORMS: [[&str; 3]; 2] = [["#src(\"", "\", \"", "\")"], ["data-file=\"", "\" data-item=\"", "\""]];

/// A claim: this file has this item.
#[derive(Debug, PartialEq, Eq)]
struct Claim<'a> {
    file: &'a str,
    item: &'a str,
}

/// A claim that does not hold.
#[derive(Debug)]
pub(crate) struct Broken {
    document: String,
    file: String,
    item: Option<String>,
    why: Missing,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { document, file, item, why } = self;
        match item {
            Some(item) => write!(f, "{document}: `{item}` of {file}: {why}"),
            None => write!(f, "{document}: {file}: {why}"),
        }
    }
}

/// Checks every claim of every document under `docs/`.
pub(crate) fn check(root: &Path) -> Result<(), Error> {
    let mut broken = Vec::new();
    let folders = FOLDERS.map(|folder| documents(&root.join(folder)));
    for document in folders.into_iter().collect::<Result<Vec<_>, _>>()?.concat() {
        let text = fs::read_to_string(&document).map_err(Error::file("read", &document))?;
        let name = document.strip_prefix(root).unwrap_or(&document).display().to_string();
        broken.extend(check_document(root, &name, &text));
    }
    if broken.is_empty() {
        return Ok(());
    }
    let broken: Vec<String> = broken.iter().map(ToString::to_string).collect();
    Err(Error::bad_input(format_args!(
        "the documents name what the source does not have:\n{}",
        indented(&broken.join("\n"))
    )))
}

/// The documents and drawings, in the order of their names.
fn documents(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(folder).map_err(Error::file("read", folder))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let has_claims = |path: &PathBuf| {
        path.extension().is_some_and(|it| ["md", "svg", "typ"].iter().any(|kind| it == *kind))
    };
    let mut documents: Vec<PathBuf> = paths.filter(has_claims).collect();
    documents.sort();
    Ok(documents)
}

fn check_document(root: &Path, document: &str, text: &str) -> Vec<Broken> {
    let broken = |file: &str, item: Option<&str>, why| Broken {
        document: document.to_owned(),
        file: file.to_owned(),
        item: item.map(str::to_owned),
        why,
    };
    let claims = claims(text).into_iter();
    let items = claims.filter_map(|Claim { file, item }| {
        look_up(root, file, item).err().map(|why| broken(file, Some(item), why))
    });
    let gone = paths(text).into_iter().filter(|path| !root.join(path).exists());
    items.chain(gone.map(|path| broken(path, None, Missing::File))).collect()
}

/// All claims of a text, in either form.
fn claims(text: &str) -> Vec<Claim<'_>> {
    let of_form = |[begin, between, end]: [&'static str; 3]| {
        text.split(begin).skip(1).filter_map(move |rest| {
            let (file, rest) = rest.split_once(between)?;
            let (item, _) = rest.split_once(end)?;
            Some(Claim { file, item })
        })
    };
    FORMS.into_iter().flat_map(of_form).collect()
}

/// All words of a text that are paths of the source.
fn paths(text: &str) -> Vec<&str> {
    let in_path = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    let words = text.split(|letter| !in_path(letter)).map(|word| word.trim_end_matches(['.', '-']));
    words.filter(|word| SOURCES.iter().any(|folder| word.starts_with(folder))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn the_documents_are_true_of_the_source() {
        if let Err(error) = check(&workspace::root()) {
            panic!("{error}");
        }
    }

    #[test]
    fn there_are_claims_to_check_in_text_and_drawing() {
        let of = |name: &str| {
            let path = workspace::root().join("docs").join(name);
            claims(&fs::read_to_string(path).expect("a document")).len()
        };
        assert!(of("part1a.typ") > 30, "only {} claims in the text", of("part1a.typ"));
        assert!(of("flowchart.svg") > 10, "only {} claims in the drawing", of("flowchart.svg"));
    }

    #[test]
    fn both_forms_are_claims() {
        let text = r#"see #src("a.rs", "A::b"), and <text data-file="c.s" data-item="d">d</text>"#;
        let expected = [Claim { file: "a.rs", item: "A::b" }, Claim { file: "c.s", item: "d" }];
        assert_eq!(claims(text), expected);
    }

    #[test]
    fn paths_are_found_in_running_text() {
        let text = "`host/vmm/src/memory.rs`, guest-rt/link/guest.ld. Also /proc and hosts/x.";
        assert_eq!(paths(text), ["host/vmm/src/memory.rs", "guest-rt/link/guest.ld"]);
    }

    #[test]
    fn what_is_gone_is_named_with_its_document() {
        let text = r##"#src("xtask/src/main.rs", "gone") #src("xtask/src/main.rs", "main") host/gone.rs"##;
        let broken = check_document(&workspace::root(), "docs/x.typ", text);
        let texts: Vec<String> = broken.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 2, "{texts:?}");
        assert!(texts[0].contains("docs/x.typ: `gone` of xtask/src/main.rs"), "{texts:?}");
        assert!(texts[1].contains("host/gone.rs: there is no such file"), "{texts:?}");
    }
}
