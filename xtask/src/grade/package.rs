//! The workspace in which a submission is built: a copy of it, with Guestlab's crates in the place of the student's paths.

use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::problem::{Failed, Problem};
use super::sandbox::cargo_home;
use super::submission::{Found, Guest, Role};
use crate::base::files::create_folder;
use crate::{error::Error, scaffold, workspace::Workspace};

const MANIFEST: &str = "Cargo.toml";

/// The limits of a submission, in bytes and in files.
const MAX_SIZE: u64 = 64 << 20;
const MAX_FILES: usize = 10_000;

/// The depth of folders in a submission.
const MAX_DEPTH: usize = 24;

/// The parts of a manifest that are the workspace's, or are not wanted.
const NOT_A_PACKAGES: [&str; 5] = ["workspace", "profile", "patch", "replace", "lints"];

/// The tables of dependencies.
const DEPENDENCIES: [&str; 3] = ["dependencies", "build-dependencies", "dev-dependencies"];

/// A workspace that was laid out.
#[derive(Debug)]
pub(super) struct Layout {
    /// The workspace's folder.
    pub(super) root: PathBuf,
    /// The folder of each guest's package, in the order of the guests.
    pub(super) packages: Vec<PathBuf>,
}

/// Lays out the workspace of a submission in a new folder.
pub(super) fn lay_out(
    own: &Workspace,
    submission: &Path,
    name: &str,
    guests: &[Guest],
    root: &Path,
) -> Result<Layout, Failed> {
    create_folder(root)?;
    let copy = root.join(name);
    let mut budget = Budget::default();
    if guests.iter().any(|guest| matches!(guest.found, Found::Package(_))) {
        copy_folder(submission, &copy, &mut budget, MAX_DEPTH)?;
        adapt_all(&copy)?;
    }
    let mut packages = Vec::new();
    for (at, guest) in guests.iter().enumerate() {
        packages.push(match &guest.found {
            Found::Package(folder) => copy.join(folder.strip_prefix(submission).unwrap_or(folder)),
            Found::C(sources) => {
                let side = guest.role.map_or("guest", Role::name);
                let package = root.join(format!("{name}-{side}-{at}"));
                package_of_c(&package, &format!("{side}-{at}"), sources, &mut budget)?;
                package
            }
            Found::Image(_) => return Err(Error::bug("an image is not built").into()),
        });
    }
    finish(own, root, &packages)?;
    Ok(Layout { root: root.into(), packages })
}

/// Lays out a workspace with a guest of our own, which depends on all that submissions depend on.
pub(super) fn lay_out_seed(own: &Workspace, root: &Path) -> Result<Layout, Error> {
    let package = root.join("seed");
    for (path, text) in scaffold::c_package("seed") {
        write(&package.join(path), &text)?;
    }
    write(&package.join("build.rs"), "fn main() {}\n")?;
    write(&package.join("src/main.rs"), scaffold::HELLO)?;
    finish(own, root, std::slice::from_ref(&package))?;
    Ok(Layout { root: root.into(), packages: vec![package] })
}

/// Writes the files of the workspace itself.
fn finish(own: &Workspace, root: &Path, packages: &[PathBuf]) -> Result<(), Error> {
    write(&root.join(MANIFEST), &root_manifest(own, root, packages)?)?;
    let lock = own.root.join("Cargo.lock");
    fs::copy(&lock, root.join("Cargo.lock")).map_err(Error::file("copy", &lock))?;
    if let Some(sources) = registries() {
        write(&root.join(".cargo/config.toml"), &sources)?;
    }
    Ok(())
}

/// The rest of what may be copied.
struct Budget {
    bytes: u64,
    files: usize,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { bytes: MAX_SIZE, files: MAX_FILES }
    }
}

impl Budget {
    /// Takes the size of one more file or folder.
    fn take(&mut self, bytes: u64) -> Result<(), Problem> {
        let rest = self.bytes.checked_sub(bytes).zip(self.files.checked_sub(1));
        let (bytes, files) = rest.ok_or_else(too_large)?;
        *self = Budget { bytes, files };
        Ok(())
    }
}

fn too_large() -> Problem {
    let size = MAX_SIZE >> 20;
    Problem::new(format!(
        "it is too large: a submission has at most {size} MiB in {MAX_FILES} files, and folders {MAX_DEPTH} deep"
    ))
}

/// Copies a folder without hidden files, links, and what tools have made.
fn copy_folder(from: &Path, to: &Path, budget: &mut Budget, depth: usize) -> Result<(), Failed> {
    let depth = depth.checked_sub(1).ok_or_else(too_large)?;
    create_folder(to)?;
    for entry in fs::read_dir(from).map_err(Failed::unreadable(from))? {
        let entry = entry.map_err(Failed::unreadable(from))?;
        let (path, name) = (entry.path(), entry.file_name());
        let kind = entry.file_type().map_err(Failed::unreadable(&path))?;
        let is_tools = kind.is_dir() && name == "target";
        // A toolchain file would choose another compiler.
        let chooses_tools = name == "rust-toolchain.toml" || name == "rust-toolchain";
        if is_tools || chooses_tools || name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if kind.is_dir() {
            budget.take(0)?;
            copy_folder(&path, &to.join(name), budget, depth)?;
        } else if kind.is_file() {
            copy_file(&path, &to.join(name), budget)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path, budget: &mut Budget) -> Result<(), Failed> {
    budget.take(from.symlink_metadata().map_err(Failed::unreadable(from))?.len())?;
    let content = fs::read(from).map_err(Failed::unreadable(from))?;
    fs::write(to, content).map_err(Error::file("write", to))?;
    Ok(())
}

/// Makes a package of C files, and of the headers in their folder.
fn package_of_c(package: &Path, name: &str, sources: &[PathBuf], budget: &mut Budget) -> Result<(), Failed> {
    for (path, text) in scaffold::c_package(name) {
        write(&package.join(path), &text)?;
    }
    let folder = sources.first().and_then(|source| source.parent()).unwrap_or(Path::new(""));
    let entries = fs::read_dir(folder).map_err(Failed::unreadable(folder))?;
    let is_header = |path: &PathBuf| path.extension().is_some_and(|end| end == "h") && !path.is_symlink();
    let headers = entries.flatten().map(|entry| entry.path()).filter(is_header);
    for file in sources.iter().cloned().chain(headers) {
        copy_file(&file, &package.join("src").join(file.file_name().unwrap_or_default()), budget)?;
    }
    Ok(())
}

/// Adapts all manifests in a copied folder. Those without a package go, and so does their workspace.
fn adapt_all(folder: &Path) -> Result<(), Failed> {
    let entries = fs::read_dir(folder).map_err(Error::file("read", folder))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            adapt_all(&path)?;
        } else if path.file_name().is_some_and(|name| name == MANIFEST) {
            adapt(&path)?;
        }
    }
    Ok(())
}

fn adapt(manifest: &Path) -> Result<(), Failed> {
    let text = fs::read_to_string(manifest).map_err(Failed::unreadable(manifest))?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| Problem {
        reason: "its Cargo.toml is not a manifest".into(),
        details: Some(error.to_string()),
    })?;
    match table.contains_key("package") {
        true => write(manifest, &adapted(table).to_string())?,
        false => fs::remove_file(manifest).map_err(Error::file("remove", manifest))?,
    }
    Ok(())
}

/// Puts Guestlab's crates in the place of the student's paths to them.
fn adapted(mut manifest: Table) -> Table {
    NOT_A_PACKAGES.iter().for_each(|part| drop(manifest.remove(*part)));
    adapt_dependencies(&mut manifest);
    if let Some(Value::Table(targets)) = manifest.get_mut("target") {
        for (_, target) in targets.iter_mut() {
            target.as_table_mut().map(adapt_dependencies);
        }
    }
    manifest
}

fn adapt_dependencies(table: &mut Table) {
    for kind in DEPENDENCIES {
        let Some(Value::Table(dependencies)) = table.get_mut(kind) else { continue };
        for (name, _) in scaffold::CRATES {
            if let Some(dependency) = dependencies.get_mut(name) {
                let mut adapted = Table::from_iter([("workspace".to_owned(), Value::Boolean(true))]);
                let kept = ["features", "optional"].map(|key| (key, dependency.get(key).cloned()));
                adapted.extend(kept.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
                *dependency = Value::Table(adapted);
            }
        }
    }
}

/// The manifest of the workspace: Guestlab's versions, and paths to its crates.
fn root_manifest(own: &Workspace, root: &Path, packages: &[PathBuf]) -> Result<String, Error> {
    let path = own.root.join(MANIFEST);
    let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    let bug = |what: &str| Error::bug(format_args!("{} {what}", path.display()));
    let mut table: Table = text.parse().map_err(|_| bug("is not TOML"))?;
    let Some(Value::Table(mut workspace)) = table.remove("workspace") else {
        return Err(bug("has no workspace"));
    };
    let kept = ["resolver", "package", "dependencies"];
    workspace.retain(|key, _| kept.contains(&key));
    if let Some(Value::Table(dependencies)) = workspace.get_mut("dependencies") {
        for (_, dependency) in dependencies.iter_mut() {
            if let Some(path) = dependency.get_mut("path") {
                let absolute = own.root.join(path.as_str().unwrap_or_default());
                *path = Value::String(absolute.to_string_lossy().into_owned());
            }
        }
    }
    let member = |package: &PathBuf| {
        let path = package.strip_prefix(root).unwrap_or(package);
        Value::String(path.to_string_lossy().into_owned())
    };
    workspace.insert("members".into(), Value::Array(packages.iter().map(member).collect()));
    Ok(Table::from_iter([("workspace".to_owned(), Value::Table(workspace))]).to_string())
}

/// The registries that the user's cargo uses in place of others, as configuration. Nothing else of the user's
/// configuration reaches the sandbox.
fn registries() -> Option<String> {
    let home = cargo_home()?;
    let text = ["config.toml", "config"].iter().find_map(|name| fs::read_to_string(home.join(name)).ok())?;
    let source = text.parse::<Table>().ok()?.remove("source")?;
    Some(Table::from_iter([("source".to_owned(), source)]).to_string())
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    create_folder(path.parent().unwrap_or(path))?;
    fs::write(path, text).map_err(Error::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guestlabs_crates_take_the_place_of_the_students_paths() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\nguest-rt = { path = \"../../g\", features = [\"heap\"] }\n\
            log = \"0.4\"\n[build-dependencies]\nguest-c-build.workspace = true\n[workspace]\n\
            [profile.guest]\nopt-level = 0\n[patch.crates-io]\nlog = { path = \"evil\" }\n";
        let adapted = adapted(manifest.parse().unwrap());
        let expected = "[package]\nname = \"x\"\n\
            [dependencies]\nguest-rt = { workspace = true, features = [\"heap\"] }\nlog = \"0.4\"\n\
            [build-dependencies]\nguest-c-build = { workspace = true }\n";
        assert_eq!(adapted, expected.parse::<Table>().unwrap());
    }

    #[test]
    fn hidden_files_links_and_built_ones_are_not_copied() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        for file in ["src/main.rs", "target/x", ".cargo/config.toml", "rust-toolchain.toml", "Cargo.toml"] {
            write(&from.join(file), "").unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", from.join("src/secret")).unwrap();
        let to = folder.path().join("to");
        copy_folder(&from, &to, &mut Budget { bytes: 1, files: 9 }, 2).unwrap();
        let names = |folder: &Path| {
            let mut names: Vec<_> = fs::read_dir(folder)
                .unwrap()
                .map(|it| it.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(&to), ["Cargo.toml", "src"]);
        assert_eq!(names(&to.join("src")), ["main.rs"]);
        write(&from.join("large"), "22").unwrap();
        for (bytes, files, depth) in [(1, 9, 2), (9, 3, 2), (9, 9, 1)] {
            let refused = copy_folder(&from, &to, &mut Budget { bytes, files }, depth);
            let problem = Failed::part(refused).unwrap().unwrap_err();
            assert!(problem.reason.starts_with("it is too large"), "{problem:?}");
        }
    }
}
