//! Which guests there are: packages of the workspace that stand on guest-rt, and its examples; and the
//! tests of all of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::workspace::{Package, Target, Workspace};

/// The package that guests stand on, and whose examples are guests themselves.
const RUNTIME: &str = "guest-rt";

/// The packages whose guests come with Guestlab. Its own tests need no others.
const SHIPPED: [&str; 3] = [RUNTIME, "guest-producer", "guest-consumer"];

/// Names that `guestlab run` knows without their being guests; they are worth suggesting.
pub(crate) const EXPERIMENTS: [&str; 1] = ["prodcons"];

/// Names that are less alike than this are not what the user meant.
const ALIKE: f64 = 0.5;

/// One guest that can be built.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Guest {
    /// The name that users know it by.
    pub(crate) name: String,
    /// The package it is in.
    pub(crate) package: String,
    /// What of the package it is.
    pub(crate) part: Part,
    /// The file that it begins with.
    pub(crate) source: PathBuf,
    /// The features of the runtime that it stands on.
    pub(crate) features: BTreeSet<String>,
}

/// What of a package a guest is.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Part {
    /// The binary of this name.
    Binary(String),
    /// The example of this name.
    Example(String),
    /// The tests of this name, which run inside guests.
    Test(String),
}

/// All guests of a workspace, and their tests.
#[derive(Debug)]
pub(crate) struct Catalog {
    guests: Vec<Guest>,
    tests: Vec<Guest>,
}

impl Catalog {
    /// Reads the guests off the workspace.
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

    /// All tests of guests, by name.
    pub(crate) fn tests(&self) -> &[Guest] {
        &self.tests
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> &[Guest] {
        &self.guests
    }

    /// The guests that come with Guestlab, without those that a user has made.
    pub(crate) fn shipped(&self) -> Vec<Guest> {
        shipped(&self.guests)
    }

    /// The tests of the guests that come with Guestlab.
    pub(crate) fn shipped_tests(&self) -> Vec<Guest> {
        shipped(&self.tests)
    }

    /// The packages that are built for guests only, the runtime among them.
    pub(crate) fn packages(&self) -> BTreeSet<&str> {
        let own = self.guests.iter().chain(&self.tests).map(|guest| guest.package.as_str());
        own.chain([RUNTIME]).collect()
    }

    /// The guests of these names; all of them where there is no name.
    pub(crate) fn select(&self, names: &[String]) -> Result<Vec<Guest>, Error> {
        if names.is_empty() {
            return Ok(self.guests.clone());
        }
        let find = |name: &String| self.get(name).cloned().ok_or_else(|| self.unknown(name, &[]));
        names.iter().map(find).collect()
    }

    /// The guest of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Guest> {
        self.guests.iter().find(|guest| guest.name == name)
    }

    /// The guest that goes without saying: the only one.
    pub(crate) fn only(&self) -> Option<&Guest> {
        self.guests.first().filter(|_| self.guests.len() == 1)
    }

    /// The error for a name that no guest has; the user may have meant one of `others`, too.
    pub(crate) fn unknown(&self, name: &str, others: &[&str]) -> Error {
        let nearest = self.nearest(name, others);
        let meant = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        let known: Vec<&str> = self.guests.iter().map(|guest| guest.name.as_str()).collect();
        let file = match Path::new(name).is_file() {
            true => format!("\nthere is a file of that name: cargo xtask run --image {name}"),
            false => String::new(),
        };
        Error::bad_input(format_args!(
            "there is no guest `{name}`{meant}{file}\nguests here: {}",
            known.join(", ")
        ))
    }

    fn nearest(&self, name: &str, others: &[&str]) -> Option<String> {
        let known = self.guests.iter().map(|guest| guest.name.as_str()).chain(others.iter().copied());
        let rated = known.map(|known| (likeness(name, known), known));
        let (likeness, nearest) = rated.max_by(|a, b| a.0.total_cmp(&b.0))?;
        (likeness >= ALIKE).then(|| nearest.to_owned())
    }
}

fn shipped(guests: &[Guest]) -> Vec<Guest> {
    guests.iter().filter(|guest| SHIPPED.contains(&guest.package.as_str())).cloned().collect()
}

/// How much a name is like a known one, from 0 to 1; `guest-` goes without saying.
fn likeness(name: &str, known: &str) -> f64 {
    let bare = known.strip_prefix("guest-").unwrap_or(known);
    [known, bare]
        .map(|known| strsim::normalized_damerau_levenshtein(name, known))
        .into_iter()
        .fold(0.0, f64::max)
}

fn guests_of(package: &Package) -> Vec<Guest> {
    if package.name == RUNTIME {
        let examples = targets(package, "example");
        return examples.map(|it| guest(package, it.name.clone(), it, Part::Example)).collect();
    }
    if !stands_on_runtime(package) {
        return Vec::new();
    }
    let binary = main_binary(package).map(|it| guest(package, package.name.clone(), it, Part::Binary));
    binary.into_iter().collect()
}

/// Tests bear the name of their package, too: many packages have tests of the same name.
fn tests_of(package: &Package) -> Vec<Guest> {
    if package.name != RUNTIME && !stands_on_runtime(package) {
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

fn stands_on_runtime(package: &Package) -> bool {
    package.dependencies.iter().any(|dependency| dependency.name == RUNTIME)
}

/// The features of the runtime that a part of a package is built with: examples and tests have those of
/// the dependencies that are for them only, as well.
fn features(package: &Package, part: &Part) -> BTreeSet<String> {
    let counts =
        |kind: Option<&str>| kind.is_none() || !matches!(part, Part::Binary(_)) && kind == Some("dev");
    let runtime = package.dependencies.iter().filter(|it| it.name == RUNTIME && counts(it.kind.as_deref()));
    runtime.flat_map(|it| it.features.iter().cloned()).collect()
}

/// The binary that bears the package's name, or else its first.
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
        assert_eq!((mine.all().len(), mine.tests().len()), (1, 1));
        assert!(mine.shipped().is_empty() && mine.shipped_tests().is_empty());
        let catalog = catalog();
        assert_eq!(catalog.shipped(), catalog.all());
        assert_eq!(catalog.shipped_tests(), catalog.tests());
    }

    #[test]
    fn guests_stand_on_the_runtime_and_have_something_to_run() {
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
        ];
        assert_eq!(catalog().all(), expected);
    }

    #[test]
    fn tests_of_guests_are_no_guests_that_can_be_asked_for() {
        let expected = Guest {
            name: "guest-rt-heap".into(),
            package: "guest-rt".into(),
            part: Part::Test("heap".into()),
            source: "/rt/tests/heap.rs".into(),
            features: BTreeSet::from(["heap".into()]),
        };
        assert_eq!(catalog().tests(), [expected]);
        assert!(catalog().get("guest-rt-heap").is_none());
    }

    #[test]
    fn no_name_means_all_of_them() {
        assert_eq!(catalog().select(&[]).unwrap().len(), 2);
        assert_eq!(catalog().select(&["hello".into()]).unwrap()[0].name, "hello");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_and_the_list() {
        let text = catalog().unknown("helo", &[]).to_string();
        assert!(text.contains("`helo`") && text.contains("did you mean `hello`?"), "{text}");
        assert!(text.contains("guest-producer, hello"), "{text}");
    }

    #[test]
    fn what_else_could_be_meant_is_suggested_but_nothing_far_fetched() {
        assert_eq!(catalog().nearest("prodcon", &["prodcons"]), Some("prodcons".into()));
        assert_eq!(catalog().nearest("producr", &["prodcons"]), Some("guest-producer".into()));
        assert_eq!(catalog().nearest("zzzzzz", &["prodcons"]), None);
    }
}
