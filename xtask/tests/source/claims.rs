//! The documents below `docs` name files and items of the source. The source must have them.
//!
//! A claim is `#src("host/src/main.rs", "main")` in a Typst document, and `data-file="..." data-item="..."` on an element
//! of a drawing. A path below one of the source folders is a claim, too. In the code map of ARCHITECTURE.md, the last
//! cell of a row names items or files; the files and folders of its first cell must have them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common;
use syn::visit::{self, Visit};

/// The first folder of a path in a document.
const SOURCES: [&str; 6] = ["host/", "guest-rt/", "guest-producer/", "guest-consumer/", "xtask/", "docs/"];

/// The folders of documents.
const FOLDERS: [&str; 3] = ["docs", "docs/guide", "docs/decisions"];

/// The start of a claim, the text between its file and its item, and its end.
const FORMS: [[&str; 3]; 2] = [["#src(\"", "\", \"", "\")"], ["data-file=\"", "\" data-item=\"", "\""]];

/// The words before a name that is defined.
const KEYWORDS: [&str; 7] = ["const", "enum", "fn", "static", "struct", "trait", "type"];

#[test]
fn the_documents_are_true_of_the_source() {
    let broken: Vec<String> = documents().iter().flat_map(|(name, text)| broken(name, text)).collect();
    assert!(broken.is_empty(), "the documents name what the source does not have:\n{}", broken.join("\n"));
}

#[test]
fn there_are_claims_to_check_in_text_and_drawing() {
    let documents = documents();
    let of = |name: &str| claims(&documents.iter().find(|(document, _)| document == name).unwrap().1).len();
    assert!(of("docs/part1a.typ") > 30, "only {} claims in the text", of("docs/part1a.typ"));
    assert!(of("docs/flowchart.svg") > 10, "only {} claims in the drawing", of("docs/flowchart.svg"));
}

#[test]
fn the_analysis_has_both_flowcharts_with_their_decisions() {
    let documents = documents();
    let text = |name: &str| &documents.iter().find(|(document, _)| document == name).expect(name).1;
    for (name, decisions) in [("simple-kvm.svg", 7), ("flowchart.svg", 6)] {
        assert!(text("docs/part1a.typ").contains(&format!("image(\"{name}\"")), "{name}");
        let drawing = text(&format!("docs/{name}"));
        let diamonds: Vec<&str> =
            drawing.lines().filter(|line| line.contains(r#"<path class="ask" d="M"#)).collect();
        assert_eq!(diamonds.len(), decisions, "{name}");
        assert!(
            diamonds.iter().all(|path| path.matches(" L").count() == 3 && path.contains(" z\"")),
            "{name}"
        );
    }
}

#[test]
fn the_code_map_is_true_of_the_source() {
    let text = fs::read_to_string(common::root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let rows = rows(&text);
    assert!(rows.len() > 30, "the code map has only {} rows", rows.len());
    let broken: Vec<String> = rows.iter().flat_map(|(places, names)| missing(places, names)).collect();
    assert!(broken.is_empty(), "the code map names what the source does not have:\n{}", broken.join("\n"));
}

#[test]
fn a_row_of_the_code_map_has_places_and_names() {
    let text = "| where | subject | start with |\n| `xtask/src`, `docs` | `x` | `main`, `gone` |\n| a step | b | `c` |";
    let rows = rows(text);
    assert_eq!(rows, [(vec!["xtask/src".into(), "docs".into()], vec!["main".into(), "gone".into()])]);
    assert_eq!(missing(&rows[0].0, &rows[0].1), ["`gone` is not in xtask/src, docs"]);
}

#[test]
fn both_forms_are_claims() {
    let text = r#"see #src("a.rs", "A::b"), and <text data-file="c.s" data-item="d">d</text>"#;
    assert_eq!(claims(text), [("a.rs", "A::b"), ("c.s", "d")]);
}

#[test]
fn paths_are_found_in_running_text() {
    let text = "`host/src/memory.rs`, guest-rt/link/guest.ld. Also /proc and hosts/x.";
    assert_eq!(paths(text), ["host/src/memory.rs", "guest-rt/link/guest.ld"]);
}

#[test]
fn a_broken_claim_is_named_with_its_document() {
    let text = r##"#src("xtask/src/main.rs", "gone") #src("xtask/src/main.rs", "main") host/gone.rs"##;
    let broken = broken("docs/x.typ", text);
    let expected =
        ["docs/x.typ: `gone` is not in xtask/src/main.rs", "docs/x.typ: there is no file host/gone.rs"];
    assert_eq!(broken, expected);
}

#[test]
fn defined_items_are_found_and_used_ones_are_not() {
    let source = "
        //! fn in_a_comment() of the module
        pub struct Plain { pub field: u32 }
        impl<'a> Plain { pub const fn first(&self) -> u32 { self.field } }
        impl<T: Copy> From<T> for Other<T> { fn from(it: T) -> Self { helper() } }
        enum Kind { One, Two(u32) }
        pub(crate) const LIMIT: usize = 1;
        trait Trait { fn required(&self); }
        mod inner { unsafe extern \"C\" { safe fn helper(); } static TABLE: u8 = 0; }
        macro_rules! entry { () => {}; }";
    let items = items(source);
    let defines = |item: &str| items.iter().any(|found| found == item);
    for item in ["Plain", "Plain::field", "Plain::first", "Other::from", "Kind::One", "Kind::Two", "LIMIT"] {
        assert!(defines(item), "{item}: {items:?}");
    }
    for item in ["helper", "first", "entry", "Trait::required", "TABLE", "inner"] {
        assert!(defines(item), "{item}: {items:?}");
    }
    for item in ["in_a_comment", "Plain::from", "Kind::first", "Other::helper", "Plain::Two", "fiel", "fn"] {
        assert!(!defines(item), "{item}: {items:?}");
    }
}

#[test]
fn other_files_have_words() {
    let text = "_start:\n    lgdtl gdt_pointer\n";
    assert!(has_word(text, "_start") && has_word(text, "gdt_pointer"));
    assert!(!has_word(text, "start") && !has_word(text, "gdt"));
}

/// The rows of the code map: the paths of the first cell, and the names of the last.
fn rows(text: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        let [places, _, names] = cells[..] else { return None };
        places.starts_with('`').then(|| (quoted(places), quoted(names)))
    };
    text.lines().filter_map(row).collect()
}

/// A message for each name that none of the places has, as an item or as a file.
fn missing(places: &[String], names: &[String]) -> Vec<String> {
    let files: Vec<PathBuf> = places.iter().flat_map(|place| files(&common::root().join(place))).collect();
    let texts = files.iter().filter(|path| path.extension().is_some_and(|it| it == "rs"));
    let items: Vec<String> =
        texts.flat_map(|path| items(&fs::read_to_string(path).expect("a source"))).collect();
    let has = |name: &String| items.contains(name) || files.iter().any(|path| path.ends_with(name));
    let missing = names.iter().filter(|name| !has(name));
    missing.map(|name| format!("`{name}` is not in {}", places.join(", "))).collect()
}

/// The file at a path, or all files of the folder there.
fn files(path: &Path) -> Vec<PathBuf> {
    match fs::read_dir(path) {
        Ok(entries) => entries.flat_map(|entry| files(&entry.expect("an entry").path())).collect(),
        Err(_) => vec![path.to_owned()],
    }
}

/// All documents and drawings, with their names.
fn documents() -> Vec<(String, String)> {
    let files =
        FOLDERS.iter().flat_map(|folder| fs::read_dir(common::root().join(folder)).expect("a folder"));
    let at_root = ["ARCHITECTURE.md", "README.md"].map(|name| common::root().join(name));
    let paths = files.map(|entry| entry.expect("an entry").path()).chain(at_root);
    let kinds = ["md", "svg", "typ"];
    let has_claims = |path: &PathBuf| path.extension().is_some_and(|it| kinds.iter().any(|kind| it == *kind));
    let read = |path: PathBuf| {
        let name = path.strip_prefix(common::root()).expect("a path below the root").display().to_string();
        (name, fs::read_to_string(path).expect("a text"))
    };
    paths.filter(has_claims).map(read).collect()
}

/// The claims and paths of a document that do not hold.
fn broken(document: &str, text: &str) -> Vec<String> {
    let read = |file: &str| fs::read_to_string(common::root().join(file)).ok();
    let has = |file: &str, item: &str| {
        let text = read(file)?;
        Some(if file.ends_with(".rs") { items(&text).contains(&item.into()) } else { has_word(&text, item) })
    };
    let claims = claims(text).into_iter().filter(|(file, item)| has(file, item) == Some(false));
    let claims = claims.map(|(file, item)| format!("{document}: `{item}` is not in {file}"));
    let gone = paths(text).into_iter().filter(|path| !common::root().join(path).exists());
    claims.chain(gone.map(|path| format!("{document}: there is no file {path}"))).collect()
}

/// The files and items of all claims of a text.
fn claims(text: &str) -> Vec<(&str, &str)> {
    let of_form = |[begin, between, end]: [&'static str; 3]| {
        text.split(begin).skip(1).filter_map(move |rest| {
            let (file, rest) = rest.split_once(between)?;
            Some((file, rest.split_once(end)?.0))
        })
    };
    FORMS.into_iter().flat_map(of_form).collect()
}

/// The words of a text that are paths of the source.
fn paths(text: &str) -> Vec<&str> {
    let in_path = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    let words = text.split(|letter| !in_path(letter)).map(|word| word.trim_end_matches(['.', '-']));
    words.filter(|word| SOURCES.iter().any(|folder| word.starts_with(folder))).collect()
}

/// Returns true if a file that is not Rust has this word: a label, a symbol, a key.
fn has_word(text: &str, word: &str) -> bool {
    let in_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.split(|letter| !in_word(letter)).any(|other| other == word)
}

/// The items that a Rust source defines: `name`, and `Type::name` for members.
fn items(source: &str) -> Vec<String> {
    let mut items = Items::default();
    items.visit_file(&syn::parse_file(source).expect("a Rust file"));
    items.found
}

#[derive(Default)]
struct Items {
    owner: Option<String>,
    found: Vec<String>,
}

impl Items {
    fn add(&mut self, name: &syn::Ident) {
        self.found.push(name.to_string());
        self.found.extend(self.owner.as_ref().map(|owner| format!("{owner}::{name}")));
    }

    /// Adds the definitions among tokens that syn does not parse.
    fn add_tokens(&mut self, tokens: &impl ToString) {
        let text = tokens.to_string();
        let words: Vec<&str> = text.split_whitespace().collect();
        let names =
            words.windows(2).filter(|pair| KEYWORDS.contains(&pair[0])).map(|pair| pair[1].to_owned());
        self.found.extend(names);
    }

    /// Visits the members of a type.
    fn within(&mut self, owner: Option<String>, visit: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.owner, owner);
        visit(self);
        self.owner = outer;
    }
}

impl<'ast> Visit<'ast> for Items {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let name = match item {
            syn::Item::Const(item) => Some(&item.ident),
            syn::Item::Enum(item) => Some(&item.ident),
            syn::Item::Fn(item) => Some(&item.sig.ident),
            syn::Item::Macro(item) => item.ident.as_ref(),
            syn::Item::Mod(item) => Some(&item.ident),
            syn::Item::Static(item) => Some(&item.ident),
            syn::Item::Struct(item) => Some(&item.ident),
            syn::Item::Trait(item) => Some(&item.ident),
            syn::Item::Type(item) => Some(&item.ident),
            _ => None,
        };
        name.iter().for_each(|name| self.add(name));
        let owner = match item {
            syn::Item::Enum(_) | syn::Item::Struct(_) | syn::Item::Trait(_) => name.map(ToString::to_string),
            syn::Item::Impl(item) => match item.self_ty.as_ref() {
                syn::Type::Path(of) => of.path.segments.last().map(|segment| segment.ident.to_string()),
                _ => None,
            },
            _ => None,
        };
        self.within(owner, |items| visit::visit_item(items, item));
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        field.ident.iter().for_each(|name| self.add(name));
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        self.add(&variant.ident);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.add(&function.sig.ident);
    }

    fn visit_impl_item_const(&mut self, constant: &'ast syn::ImplItemConst) {
        self.add(&constant.ident);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        self.add(&function.sig.ident);
    }

    fn visit_foreign_item(&mut self, item: &'ast syn::ForeignItem) {
        match item {
            syn::ForeignItem::Fn(function) => self.add(&function.sig.ident),
            // `safe fn`, for one.
            syn::ForeignItem::Verbatim(tokens) => self.add_tokens(tokens),
            _ => {}
        }
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        self.add_tokens(&item.mac.tokens);
    }
}
