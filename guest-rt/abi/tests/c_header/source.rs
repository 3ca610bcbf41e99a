//! The source of guest-abi: names and comments, which a compiled program does not have.

use std::{collections::BTreeMap, fs, path::Path};

use syn::{Attribute, Expr, Fields, Item, Lit, Meta, Type, Variant, parse::Parser, punctuated::Punctuated};

/// The lines of a documentation comment.
pub(crate) type Comment = Vec<String>;

/// The items of all files.
pub(crate) struct Source(Vec<Item>);

/// A field of a record.
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: Type,
    pub(crate) comment: Comment,
}

impl Source {
    pub(crate) fn read() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let paths = fs::read_dir(folder).expect("the source").map(|entry| entry.expect("a file").path());
        let texts = paths.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).expect("text"));
        Self(texts.flat_map(|text| syn::parse_file(&text).expect("Rust").items).collect())
    }

    /// The comment of a constant.
    pub(crate) fn constant(&self, name: &str) -> Comment {
        self.find(name, |item| match item {
            Item::Const(item) if item.ident == name => Some(comment(&item.attrs)),
            _ => None,
        })
    }

    /// The comment and the fields of a record.
    pub(crate) fn record(&self, name: &str) -> (Comment, Vec<Field>) {
        let record = self.find(name, |item| match item {
            Item::Struct(item) if item.ident == name => Some(item),
            _ => None,
        });
        let Fields::Named(fields) = &record.fields else { panic!("{name} has no named fields") };
        let field = |field: &syn::Field| Field {
            name: field.ident.as_ref().expect("a name").to_string(),
            kind: field.ty.clone(),
            comment: comment(&field.attrs),
        };
        (comment(&record.attrs), fields.named.iter().map(field).collect())
    }

    /// The type that a name stands for.
    pub(crate) fn alias(&self, name: &str) -> Option<&Type> {
        self.0.iter().find_map(|item| match item {
            Item::Type(item) if item.ident == name => Some(&*item.ty),
            _ => None,
        })
    }

    /// The comments of an enumeration's variants, by their names. A macro, `ports!`, makes that of the ports.
    pub(crate) fn variants(&self, name: &str) -> BTreeMap<String, Comment> {
        let parse = Punctuated::<Variant, syn::Token![,]>::parse_terminated;
        let variants = self.find(name, |item| match item {
            Item::Enum(item) if item.ident == name => Some(item.variants.clone()),
            Item::Macro(item) if name == "Port" && item.mac.path.is_ident("ports") => {
                Some(parse.parse2(item.mac.tokens.clone()).expect("variants"))
            }
            _ => None,
        });
        variants.iter().map(|variant| (variant.ident.to_string(), comment(&variant.attrs))).collect()
    }

    fn find<'a, T>(&'a self, name: &str, item: impl Fn(&'a Item) -> Option<T>) -> T {
        self.0.iter().find_map(item).unwrap_or_else(|| panic!("there is no {name} in guest-abi"))
    }
}

fn comment(attributes: &[Attribute]) -> Comment {
    let line = |attribute: &Attribute| {
        let Meta::NameValue(pair) = &attribute.meta else { return None };
        let Expr::Lit(literal) = &pair.value else { return None };
        match &literal.lit {
            Lit::Str(text) if pair.path.is_ident("doc") => Some(text.value().trim().to_owned()),
            _ => None,
        }
    };
    attributes.iter().filter_map(line).collect()
}
