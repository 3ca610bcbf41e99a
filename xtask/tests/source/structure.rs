//! The structure of the source: no two files import each other in a circle, however long.
//!
//! A file imports another if its code, tests apart, names something in the other's module. A file that re-exports a
//! child imports that child, so a child imports its siblings by their own names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{self, elements, field};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, UseTree};

type Module = Vec<String>;

#[test]
fn no_files_import_each_other_in_a_circle() {
    let metadata = common::metadata(&["--no-deps"]);
    for package in elements(&metadata["packages"]) {
        let source = Path::new(field(package, "manifest_path")).with_file_name("src");
        if let Some(circle) = circle(&Crate::read(&source).imports()) {
            let names: Vec<String> = circle.iter().map(|module| module.join("::")).collect();
            panic!("{}: these files import each other in a circle: {}", source.display(), names.join(" -> "));
        }
    }
}

#[test]
fn a_circle_is_found_and_tests_do_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("lib.rs", "mod a; mod b; mod c; pub use a::A;");
    write("a.rs", "use crate::b::B; pub struct A(B);");
    write("b.rs", "pub struct B; #[cfg(test)] mod tests { use crate::a::A; }");
    write("c.rs", "pub fn c() { super::a::A::new() }");
    let imports = || Crate::read(folder.path()).imports();
    assert_eq!(circle(&imports()), None);
    for back in ["fn f() -> super::c::C { todo!() }", "use super::{c, a::{self, A}};"] {
        write("b.rs", &format!("pub struct B; {back}"));
        assert!(circle(&imports()).is_some(), "{back}");
    }
}

/// The modules of a crate that have a file, each with its file's syntax.
struct Crate(BTreeMap<Module, syn::File>);

impl Crate {
    fn read(source: &Path) -> Self {
        let mut files = BTreeMap::new();
        let root =
            ["lib.rs", "main.rs"].map(|name| source.join(name)).into_iter().find(|path| path.is_file());
        let root = root.expect("a crate has lib.rs or main.rs");
        read_module(&root, source, Vec::new(), &mut files);
        Self(files)
    }

    /// The modules that each module imports.
    fn imports(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let imports_of = |(module, file): (&Module, &syn::File)| {
            let mut visitor =
                Imports { all: &self.0, file: module, inside: module.clone(), found: BTreeSet::new() };
            visitor.visit_file(file);
            (module.clone(), visitor.found)
        };
        self.0.iter().map(imports_of).collect()
    }
}

/// Reads a module's file and those of its children, except tests.
fn read_module(path: &Path, folder: &Path, module: Module, files: &mut BTreeMap<Module, syn::File>) {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for item in &file.items {
        let Item::Mod(child) = item else { continue };
        if child.content.is_some() || is_test(&child.attrs) || has_path(&child.attrs) {
            continue;
        }
        let name = child.ident.to_string();
        let below = folder.join(&name);
        let candidates = [folder.join(format!("{name}.rs")), below.join("mod.rs")];
        let found: Option<&PathBuf> = candidates.iter().find(|path| path.is_file());
        let found = found.unwrap_or_else(|| panic!("{}: no file of `mod {name}`", path.display()));
        read_module(found, &below, [module.clone(), vec![name]].concat(), files);
    }
    files.insert(module, file);
}

fn is_test(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    };
    attributes.iter().any(is_test)
}

fn has_path(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("path"))
}

/// Collects the modules that a file names.
struct Imports<'a> {
    all: &'a BTreeMap<Module, syn::File>,
    file: &'a Module,
    inside: Module,
    found: BTreeSet<Module>,
}

impl Imports<'_> {
    /// Adds the module with a file that a path leads into, if it is one of this crate's.
    fn add(&mut self, path: &[String]) {
        let mut module = self.inside.clone();
        let mut rest = path;
        match path.first().map(String::as_str) {
            Some("crate") => (module, rest) = (Module::new(), &path[1..]),
            Some("self") => rest = &path[1..],
            Some("super") => {
                while rest.first().is_some_and(|word| word == "super") {
                    module.pop();
                    rest = &rest[1..];
                }
            }
            // A child module; every other name is from elsewhere.
            Some(name) if self.all.contains_key(&[module.clone(), vec![name.into()]].concat()) => {}
            _ => return,
        }
        module.extend(rest.iter().cloned());
        while !self.all.contains_key(&module) {
            module.pop();
        }
        if module != *self.file {
            self.found.insert(module);
        }
    }

    fn add_tree(&mut self, tree: &UseTree, path: &[String]) {
        let with = |name: &syn::Ident| [path, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(next) => self.add_tree(&next.tree, &with(&next.ident)),
            UseTree::Name(last) => self.add(&with(&last.ident)),
            UseTree::Rename(last) => self.add(&with(&last.ident)),
            UseTree::Glob(_) => self.add(path),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(tree, path)),
        }
    }
}

impl<'ast> Visit<'ast> for Imports<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Fn(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.inside.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.inside.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.add_tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if words.len() > 1 {
            self.add(&words);
        }
        visit::visit_path(self, path);
    }
}

/// Finds a circle: a module, those on the way, and the module again.
fn circle(imports: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<Module>> {
    fn visit<'a>(
        module: &'a Module,
        imports: &'a BTreeMap<Module, BTreeSet<Module>>,
        way: &mut Vec<&'a Module>,
        done: &mut BTreeSet<&'a Module>,
    ) -> Option<Vec<Module>> {
        if let Some(start) = way.iter().position(|earlier| *earlier == module) {
            return Some(way[start..].iter().chain([&module]).map(|module| (*module).clone()).collect());
        }
        if !done.insert(module) {
            return None;
        }
        way.push(module);
        let circle = imports[module].iter().find_map(|next| visit(next, imports, way, done));
        way.pop();
        circle
    }
    let mut done = BTreeSet::new();
    imports.keys().find_map(|module| visit(module, imports, &mut Vec::new(), &mut done))
}
