//! The catalog of guests: packages that depend on guest-rt, the examples of guest-rt, and the tests of both.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::workspace::{Package, Target, Workspace};

/// The package that guests depend on. Its examples are guests, too.
const RUNTIME: &str = "guest-rt";

/// The part of the runtime that only guests in C use.
const C_RUNTIME: &str = "guest-c";

/// The packages of Guestlab's own guests. Guestlab's tests need no others.
const SHIPPED: [&str; 3] = [RUNTIME, "guest-producer", "guest-consumer"];

/// Names that `guestlab run` accepts in place of a guest's.
pub(crate) const EXPERIMENTS: [&str; 1] = ["prodcons"];

/// The least likeness of a name that is suggested in place of another.
const ALIKE: f64 = 0.5;

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Guest {
    pub(crate) name: String,
    pub(crate) package: String,
    pub(crate) part: Part,
    pub(crate) source: PathBuf,
    /// The features of the runtime that it asks for.
    pub(crate) features: BTreeSet<String>,
}

/// The part of its package that a guest is, with the part's name.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Part {
    Binary(String),
    Example(String),
    /// Tests that run inside guests.
    Test(String),
}

/// All guests of a workspace, and their tests, by name.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) guests: Vec<Guest>,
    pub(crate) tests: Vec<Guest>,
}

impl Catalog {
    pub(crate) fn of(workspace: &Workspace) -> Catalog {
        Catalog::from_packages(&workspace.packages)
    }

    fn from_packages(packages: &[Package]) -> Catalog {
        let mut guests: Vec<Guest> = packages.iter().flat_map(guests_of).collect();
        let mut tests: Vec<Guest> = packages.iter().flat_map(tests_of).collect();
        guests.sort_by(|a, b| a.name.cmp(&b.name));
        tests.sort_by(|a, b| a.name.cmp(&b.name));
        Catalog { guests, tests }
    }

    /// The packages that are built for guests only, the runtime among them.
    pub(crate) fn packages(&self) -> BTreeSet<&str> {
        let own = self.guests.iter().chain(&self.tests).map(|guest| guest.package.as_str());
        own.chain([RUNTIME, C_RUNTIME]).collect()
    }

    /// The guests of these names; all guests if there is no name.
    pub(crate) fn select(&self, names: &[String]) -> Result<Vec<Guest>, Error> {
        if names.is_empty() {
            return Ok(self.guests.clone());
        }
        let find = |name: &String| self.get(name).cloned().ok_or_else(|| self.unknown(name, &[]));
        names.iter().map(find).collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Guest> {
        self.guests.iter().find(|guest| guest.name == name)
    }

    pub(crate) fn only(&self) -> Option<&Guest> {
        self.guests.first().filter(|_| self.guests.len() == 1)
    }

    /// Returns the error for an unknown name. It suggests a guest or one of `others`.
    pub(crate) fn unknown(&self, name: &str, others: &[&str]) -> Error {
        let nearest = self.nearest(name, others);
        let meant = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        let known: Vec<&str> = self.guests.iter().map(|guest| guest.name.as_str()).collect();
        let file = match Path::new(name).is_file() {
            true => format!("\nthere is a file of that name: cargo xtask run --image {name}"),
            false => String::new(),
        };
        let known = known.join(", ");
        Error::bad_input(format_args!("there is no guest `{name}`{meant}{file}\nguests here: {known}"))
    }

    fn nearest(&self, name: &str, others: &[&str]) -> Option<String> {
        let known = self.guests.iter().map(|guest| guest.name.as_str()).chain(others.iter().copied());
        let rated = known.map(|known| (likeness(name, known), known));
        let (likeness, nearest) = rated.max_by(|a, b| a.0.total_cmp(&b.0))?;
        (likeness >= ALIKE).then(|| nearest.to_owned())
    }
}

/// Selects Guestlab's own guests, without those of the user.
pub(crate) fn shipped(guests: &[Guest]) -> Vec<Guest> {
    guests.iter().filter(|guest| SHIPPED.contains(&guest.package.as_str())).cloned().collect()
}

/// Compares a name with a known one, with and without its `guest-`: 1 if they are equal, 0 if nothing is.
fn likeness(name: &str, known: &str) -> f64 {
    let bare = known.strip_prefix("guest-").unwrap_or(known);
    let compare = |known| strsim::normalized_damerau_levenshtein(name, known);
    compare(known).max(compare(bare))
}

fn guests_of(package: &Package) -> Vec<Guest> {
    if package.name == RUNTIME {
        let examples = targets(package, "example");
        return examples.map(|it| guest(package, it.name.clone(), it, Part::Example)).collect();
    }
    let binary = main_binary(package).filter(|_| depends_on_runtime(package));
    binary.map(|it| guest(package, package.name.clone(), it, Part::Binary)).into_iter().collect()
}

/// The tests have their package's name in their own: many packages have tests of the same name.
fn tests_of(package: &Package) -> Vec<Guest> {
    if package.name != RUNTIME && !depends_on_runtime(package) {
        return Vec::new();
    }
    let name = |target: &Target| format!("{}-{}", package.name, target.name);
    targets(package, "test").map(|it| guest(package, name(it), it, Part::Test)).collect()
}

fn guest(package: &Package, name: String, target: &Target, part: fn(String) -> Part) -> Guest {
    let part = part(target.name.clone());
    let features = features(package, &part);
    Guest { name, package: package.name.clone(), part, source: target.src_path.clone(), features }
}

fn depends_on_runtime(package: &Package) -> bool {
    package.dependencies.iter().any(|dependency| dependency.name == RUNTIME)
}

/// The features of the runtime for a part of a package. Examples and tests add those of their dev-dependencies.
fn features(package: &Package, part: &Part) -> BTreeSet<String> {
    let counts =
        |kind: Option<&str>| kind.is_none() || !matches!(part, Part::Binary(_)) && kind == Some("dev");
    let runtime = package.dependencies.iter().filter(|it| it.name == RUNTIME && counts(it.kind.as_deref()));
    runtime.flat_map(|it| it.features.iter().cloned()).collect()
}

fn main_binary(package: &Package) -> Option<&Target> {
    let named = targets(package, "bin").find(|target| target.name == package.name);
    named.or_else(|| targets(package, "bin").next())
}

fn targets<'a>(package: &'a Package, kind: &'a str) -> impl Iterator<Item = &'a Target> {
    package.targets.iter().filter(move |target| target.kind.iter().any(|it| it == kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        let packages = r#"[
            {"name":"guestlab","dependencies":[{"name":"guest-abi"}],
             "targets":[{"name":"guestlab","kind":["bin"],"src_path":"/h/main.rs"},
                        {"name":"modes","kind":["test"],"src_path":"/h/tests/modes.rs"}]},
            {"name":"guest-rt","dependencies":[{"name":"guest-abi"},
                {"name":"guest-rt","kind":"dev","features":["heap"]}],
             "targets":[{"name":"guest_rt","kind":["lib"],"src_path":"/rt/lib.rs"},
                        {"name":"heap","kind":["test"],"src_path":"/rt/tests/heap.rs"},
                        {"name":"hello","kind":["example"],"src_path":"/rt/hello.rs"}]},
            {"name":"guest-producer","dependencies":[{"name":"guest-rt"}],
             "targets":[{"name":"main","kind":["bin"],"src_path":"/p/main.rs"}]},
            {"name":"in-c","dependencies":[{"name":"guest-c"},{"name":"guest-rt"},{"name":"guest-c-build","kind":"build"}],
             "targets":[{"name":"in-c","kind":["bin"],"src_path":"/c/main.rs"}]},
            {"name":"helpers","dependencies":[{"name":"guest-rt"}],
             "targets":[{"name":"helpers","kind":["lib"],"src_path":"/l/lib.rs"}]}
        ]"#;
        Catalog::from_packages(&serde_json::from_str::<Vec<Package>>(packages).unwrap())
    }

    #[test]
    fn a_guest_of_the_users_does_not_come_with_guestlab() {
        let mine = r#"[{"name":"mine","dependencies":[{"name":"guest-rt"}],
             "targets":[{"name":"mine","kind":["bin"],"src_path":"/m/main.rs"},
                        {"name":"mine","kind":["test"],"src_path":"/m/tests/mine.rs"}]}]"#;
        let mine = Catalog::from_packages(&serde_json::from_str::<Vec<Package>>(mine).unwrap());
        assert_eq!((mine.guests.len(), mine.tests.len()), (1, 1));
        assert!(shipped(&mine.guests).is_empty() && shipped(&mine.tests).is_empty());
        let catalog = catalog();
        let own = ["guest-producer", "hello"];
        assert!(shipped(&catalog.guests).iter().map(|guest| guest.name.as_str()).eq(own));
        assert_eq!(shipped(&catalog.tests), catalog.tests);
    }

    #[test]
    fn guests_depend_on_the_runtime_and_have_a_program() {
        let expected = [
            Guest {
                name: "guest-producer".into(),
                package: "guest-producer".into(),
                part: Part::Binary("main".into()),
                source: "/p/main.rs".into(),
                features: BTreeSet::new(),
            },
            Guest {
                name: "hello".into(),
                package: "guest-rt".into(),
                part: Part::Example("hello".into()),
                source: "/rt/hello.rs".into(),
                features: BTreeSet::from(["heap".into()]),
            },
            Guest {
                name: "in-c".into(),
                package: "in-c".into(),
                part: Part::Binary("in-c".into()),
                source: "/c/main.rs".into(),
                features: BTreeSet::new(),
            },
        ];
        assert_eq!(catalog().guests, expected);
    }

    #[test]
    fn tests_of_guests_are_not_guests() {
        let expected = Guest {
            name: "guest-rt-heap".into(),
            package: "guest-rt".into(),
            part: Part::Test("heap".into()),
            source: "/rt/tests/heap.rs".into(),
            features: BTreeSet::from(["heap".into()]),
        };
        assert_eq!(catalog().tests, [expected]);
        assert!(catalog().get("guest-rt-heap").is_none());
    }

    #[test]
    fn without_a_name_all_are_selected() {
        assert_eq!(catalog().select(&[]).unwrap().len(), 3);
        assert_eq!(catalog().select(&["hello".into()]).unwrap()[0].name, "hello");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_and_the_list() {
        let text = catalog().unknown("helo", &[]).to_string();
        assert!(text.contains("`helo`") && text.contains("did you mean `hello`?"), "{text}");
        assert!(text.contains("guest-producer, hello, in-c"), "{text}");
    }

    #[test]
    fn similar_names_are_suggested_and_others_are_not() {
        assert_eq!(catalog().nearest("prodcon", &["prodcons"]), Some("prodcons".into()));
        assert_eq!(catalog().nearest("producr", &["prodcons"]), Some("guest-producer".into()));
        assert_eq!(catalog().nearest("zzzzzz", &["prodcons"]), None);
    }
}
