//! Whether a file of the source has an item of a name. The source is read as text, formatted as
//! rustfmt does it: that tells what is defined well enough, and needs no parser.

use std::fmt;
use std::fs;
use std::path::Path;

/// The words that a definition's name follows.
const KEYWORDS: [&str; 9] =
    ["fn", "struct", "enum", "trait", "const", "static", "type", "mod", "macro_rules!"];

/// The words that may stand before these.
const QUALIFIERS: [&str; 8] = ["pub", "crate", "super", "unsafe", "safe", "extern", "\"C\"", "\"Rust\""];

/// What is not there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The file.
    File,
    /// The item in it.
    Item,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "there is no such file",
            Self::Item => "the file does not define it",
        })
    }
}

/// Looks an item up: `name`, or `Type::name` for what is in an `impl`, an `enum` or a `struct`.
pub(super) fn look_up(root: &Path, file: &str, item: &str) -> Result<(), Missing> {
    let text = fs::read_to_string(root.join(file)).map_err(|_| Missing::File)?;
    let found = if file.ends_with(".rs") { defines(&text, item) } else { mentions(&text, item) };
    if found { Ok(()) } else { Err(Missing::Item) }
}

fn defines(source: &str, item: &str) -> bool {
    match item.split_once("::") {
        None => source.lines().any(|line| is_definition(line, item)),
        Some((owner, name)) => blocks(source, owner)
            .any(|block| block.iter().any(|line| is_definition(line, name) || is_member(line, name))),
    }
}

/// Says whether a line begins the definition of `name`.
fn is_definition(line: &str, name: &str) -> bool {
    let line = line.trim_start();
    let in_word = |letter: char| letter.is_ascii_alphanumeric() || "_!\"".contains(letter);
    let mut words = line.split(|letter| !in_word(letter)).filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.next() {
        let of_function = word == "const" && words.peek().is_some_and(|next| ["fn", "unsafe"].contains(next));
        if !of_function && !QUALIFIERS.contains(&word) {
            return KEYWORDS.contains(&word) && words.next() == Some(name) && !line.starts_with("//");
        }
    }
    false
}

/// Says whether a line of a block is a variant or a field of this name.
fn is_member(line: &str, name: &str) -> bool {
    let Some(line) = line.strip_prefix("    ") else { return false };
    let visible = ["pub ", "pub(crate) ", "pub(super) "].iter().find_map(|it| line.strip_prefix(it));
    let rest = visible.unwrap_or(line).strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([',', ' ', '(', ':', '{']))
}

/// The blocks that belong to `owner`: its own definition and its `impl`s, each up to the brace that
/// closes it.
fn blocks<'a>(source: &'a str, owner: &'a str) -> impl Iterator<Item = Vec<&'a str>> {
    let lines: Vec<&str> = source.lines().collect();
    let begins = move |line: &str| {
        let head = line.trim_end_matches('{').trim_end();
        let of_impl = line.starts_with("impl") && {
            let head = head.split(" where").next().unwrap_or(head);
            let head = head.rsplit(" for ").next().unwrap_or(head);
            head.split(['<', ' ', '>']).any(|word| word == owner)
        };
        of_impl || (!line.starts_with(' ') && is_definition(line, owner))
    };
    let starts: Vec<usize> = (0..lines.len()).filter(|&at| begins(lines[at])).collect();
    starts
        .into_iter()
        .map(move |at| lines[at + 1..].iter().copied().take_while(|line| !line.starts_with('}')).collect())
}

/// Says whether a file that is no Rust has this word: a label, a symbol, a key.
fn mentions(text: &str, word: &str) -> bool {
    let in_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(in_word) && !after.is_some_and(in_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
//! fn in_a_comment() of the module
pub struct Plain {
    pub field: u32,
}

impl<'a> Plain {
    /// The first.
    pub const fn first(&self) -> u32 {
        self.field
    }
}

impl<T: Copy> From<T> for Other<T> {
    fn from(it: T) -> Self {
        helper()
    }
}

enum Kind {
    One,
    Two(u32),
}

pub(crate) const LIMIT: usize = 1;

unsafe extern \"C\" fn helper() {}

macro_rules! entry {
    () => {};
}
";

    #[test]
    fn what_is_defined_is_found() {
        for item in [
            "Plain",
            "Plain::field",
            "Plain::first",
            "Other::from",
            "Kind::One",
            "Kind::Two",
            "LIMIT",
            "helper",
            "first",
            "entry",
        ] {
            assert!(defines(SOURCE, item), "{item}");
        }
    }

    #[test]
    fn what_is_only_used_or_belongs_elsewhere_is_not() {
        for item in
            ["in_a_comment", "Plain::from", "Kind::first", "Other::helper", "Plain::Two", "fiel", "fn"]
        {
            assert!(!defines(SOURCE, item), "{item}");
        }
    }

    #[test]
    fn other_files_have_words() {
        let text = "_start:\n    lgdtl gdt_pointer\n";
        assert!(mentions(text, "_start") && mentions(text, "gdt_pointer"));
        assert!(!mentions(text, "start") && !mentions(text, "gdt"));
    }
}
