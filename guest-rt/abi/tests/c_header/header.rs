//! The text of a C header, from items of Rust.

use std::{
    collections::BTreeMap,
    fmt::{Arguments, Display, Write},
};

use syn::{Expr, Lit, Type};

use crate::{
    records::Record,
    source::{Comment, Source},
};

/// The width of a comment.
const WIDTH: usize = 110;

/// A header that is being written.
pub(crate) struct Header<'a> {
    source: &'a Source,
    /// The names in C of Rust's items, which types and links in comments use.
    names: BTreeMap<String, String>,
    pub(crate) text: String,
}

impl<'a> Header<'a> {
    pub(crate) fn new(source: &'a Source, names: BTreeMap<String, String>) -> Self {
        Self { source, names, text: String::new() }
    }

    pub(crate) fn line(&mut self, line: Arguments<'_>) {
        writeln!(self.text, "{line}").expect("a string takes all text");
    }

    pub(crate) fn section(&mut self, title: &str) {
        self.line(format_args!("\n/*\n * {title}\n */"));
    }

    pub(crate) fn constant(&mut self, name: &str, value: impl Display, comment: &Comment) {
        self.line(format_args!(""));
        self.comment("", comment);
        self.line(format_args!("#define {name} {value}"));
    }

    pub(crate) fn record(&mut self, record: &Record) {
        let (comment, fields) = self.source.record(record.name);
        let (name, size) = (record_name(record.name), record.size);
        self.line(format_args!(""));
        self.comment("", &comment);
        self.line(format_args!("{name} {{"));
        for field in fields {
            self.comment("    ", &field.comment);
            self.line(format_args!("    {};", self.declaration(&field.name, &field.kind)));
        }
        self.line(format_args!("}};"));
        self.line(format_args!(
            "_Static_assert(sizeof({name}) == {size}, \"the host expects {size} bytes\");"
        ));
    }

    /// Writes a comment, wrapped.
    fn comment(&mut self, indent: &str, comment: &Comment) {
        let text = self.unlinked(&comment.join(" "));
        let mut lines = vec![String::new()];
        for word in text.split_whitespace() {
            let line = lines.last_mut().expect("a line");
            if line.is_empty() {
                line.push_str(word);
            } else if indent.len() + line.len() + word.len() < WIDTH {
                *line += &format!(" {word}");
            } else {
                lines.push(word.to_owned());
            }
        }
        match &*lines {
            [line] => self.line(format_args!("{indent}/* {line} */")),
            _ => self.line(format_args!(
                "{indent}/*\n{indent} * {}\n{indent} */",
                lines.join(&format!("\n{indent} * "))
            )),
        }
    }

    /// Replaces each link of Rust's documentation: by the item's name in C, or else by its text.
    fn unlinked(&self, text: &str) -> String {
        let Some((before, rest)) = text.split_once('[') else { return text.to_owned() };
        let (link, rest) = rest.split_once(']').expect("the end of a link");
        let rest = rest.strip_prefix('(').map_or(rest, |rest| rest.split_once(')').expect("an end").1);
        let item = link.strip_prefix('`').and_then(|link| link.strip_suffix('`'));
        let text = item.map_or(link, |item| self.names.get(item).map_or(item, String::as_str));
        format!("{before}{text}{}", self.unlinked(rest))
    }

    fn declaration(&self, name: &str, kind: &Type) -> String {
        match kind {
            Type::Array(array) => {
                format!("{}[{}]", self.declaration(name, &array.elem), self.len(&array.len))
            }
            Type::Path(path) => match path.path.require_ident().expect("a plain type").to_string().as_str() {
                "u32" => format!("uint32_t {name}"),
                "u64" => format!("uint64_t {name}"),
                other => match self.source.alias(other) {
                    Some(kind) => self.declaration(name, kind),
                    None => format!("{} {name}", self.names[other]),
                },
            },
            _ => panic!("{name} has a type that a record cannot have"),
        }
    }

    fn len(&self, len: &Expr) -> String {
        match len {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Int(number) => number.to_string(),
                _ => panic!("the length of an array is a number"),
            },
            Expr::Cast(cast) => self.len(&cast.expr),
            Expr::Path(path) => {
                self.names[&path.path.require_ident().expect("a constant").to_string()].clone()
            }
            _ => panic!("the length of an array is a number or a constant"),
        }
    }
}

/// The name of a constant in C: `GUESTLAB_PORT_END_TURN` for `["Port", "EndTurn"]`.
pub(crate) fn constant_name(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| snake(word)).collect();
    format!("GUESTLAB_{}", words.join("_").to_uppercase())
}

/// The name of a record in C: `struct guestlab_boot_info` for `BootInfo`.
pub(crate) fn record_name(name: &str) -> String {
    format!("struct guestlab_{}", snake(name))
}

/// Puts `_` between words; a name in capitals has them already.
fn snake(name: &str) -> String {
    let has_words = name.contains(char::is_lowercase);
    let mut snake = String::new();
    for c in name.chars() {
        if has_words && c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}
