//! New guests in a workspace that finds its members as Guestlab's does.

use clap::ValueEnum;

use super::*;
use crate::error::Status;
use crate::guests::Catalog;
use crate::workspace;

/// The member that is there from the beginning: a pattern must fit something.
const OTHER: &str = "other";

/// A workspace in a folder of its own: with the root manifest of Guestlab's, whose own members stay
/// where they are, and one that is no guest.
fn workspace() -> (tempfile::TempDir, Workspace) {
    let folder = tempfile::tempdir().unwrap();
    let own = workspace::root();
    let manifest = fs::read_to_string(own.join("Cargo.toml")).unwrap();
    let lines = manifest.lines().filter(|line| !line.starts_with("default-members"));
    // Members that are named are Guestlab's own: only the pattern is left.
    let only_the_pattern = |line: &str| {
        if line.starts_with("members = ") { "members = [\"*/src/..\"]" } else { line }.to_owned()
    };
    let manifest: String = lines.map(|line| only_the_pattern(line) + "\n").collect();
    let manifest = manifest.replace("path = \"guest-rt", &format!("path = \"{}/guest-rt", own.display()));
    fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    for other in ["docs", ".hidden", "target"] {
        fs::create_dir(folder.path().join(other)).unwrap();
    }
    fs::create_dir_all(folder.path().join(OTHER).join("src")).unwrap();
    fs::write(folder.path().join(OTHER).join("src/lib.rs"), "").unwrap();
    fs::write(folder.path().join(OTHER).join("Cargo.toml"), format!("[package]\nname = \"{OTHER}\"\n"))
        .unwrap();
    let workspace = Workspace::of(folder.path()).unwrap();
    assert_eq!(packages(&workspace), [OTHER]);
    (folder, workspace)
}

fn packages(workspace: &Workspace) -> Vec<&str> {
    workspace.packages.iter().map(|package| package.name.as_str()).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name()).collect();
    names.sort();
    names.into_iter().map(|name| name.into_string().unwrap()).collect()
}

/// The templates of guests.
fn guests() -> impl Iterator<Item = Template> {
    Template::value_variants().iter().copied().filter(|it| *it != Template::Host)
}

#[test]
fn a_new_guest_is_one_of_the_workspaces_until_its_folder_is_deleted() {
    let (folder, workspace) = workspace();
    let before = names(folder.path());
    for template in guests() {
        let made = Scaffold::create(&workspace, "demo", template).unwrap();
        assert!(made.files.iter().all(|file| folder.path().join(file).is_file()), "{made:?}");
        let catalog = Catalog::of(&Workspace::of(folder.path()).unwrap());
        assert_eq!(catalog.only().unwrap().name, "demo");
        fs::remove_dir_all(folder.path().join("demo")).unwrap();
        assert_eq!(packages(&Workspace::of(folder.path()).unwrap()), [OTHER]);
        assert_eq!(names(folder.path()), before);
    }
}

/// Here it is not Guestlab's own workspace, in which any of these may be the name of a user's guest.
#[test]
fn a_taken_name_is_refused_before_anything_is_written() {
    let (folder, workspace) = workspace();
    Scaffold::create(&workspace, "my-guest", Template::Hello).unwrap();
    fs::copy(workspace::root().join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();
    let workspace = Workspace::of(folder.path()).unwrap();
    let before = names(folder.path());
    for (name, why) in [
        ("my-guest", "a guest of the package my-guest"),
        ("my_guest", "a guest of the package my-guest"),
        (OTHER, "a package of the workspace"),
        ("kvm-ioctls", "depends on"),
        ("docs", "exists already"),
        ("prodcons", "experiment"),
        (
            "Demo",
            "begin with a letter from a to z\nnothing was written; choose another: cargo xtask new demo",
        ),
        ("match", "it is a Rust keyword"),
    ] {
        let error = Scaffold::create(&workspace, name, Template::Hello).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("cargo xtask new "), "{name}: {error}");
    }
    assert_eq!(names(folder.path()), before);
}

#[test]
fn a_package_in_another_folder_is_a_workspace_of_its_own() {
    let (folder, _) = workspace();
    // The crates that its manifest names are Guestlab's own.
    let workspace = Workspace::load().unwrap();
    let before = names(&workspace.root);
    for template in Template::value_variants() {
        let path = folder.path().join("labs/first/demo");
        let typed = path.to_str().unwrap();
        let made = Scaffold::create(&workspace, typed, *template).unwrap();
        assert!(made.files.iter().all(|file| file.is_file()), "{made:?}");
        assert_eq!(made.folder, typed);
        let own = Workspace::of(&path).unwrap();
        assert_eq!(packages(&own), ["demo"]);
        assert_eq!(own.root, path.canonicalize().unwrap());
        let dependencies = own.packages[0].dependencies.len();
        assert!(dependencies > 0 && Catalog::of(&own).only().is_some() == (*template != Template::Host));
        fs::remove_dir_all(&path).unwrap();
    }
    assert_eq!(names(&workspace.root), before);
}

#[test]
fn a_path_is_refused_as_a_name_is_and_the_advice_is_a_path_too() {
    let (folder, _) = workspace();
    let workspace = Workspace::load().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(folder.path().join("there")).unwrap();
    let before = names(folder.path());
    for (name, why, better) in [
        ("there", "exists already", "my-there"),
        ("Demo", "does not begin with a letter from a to z", "demo"),
        ("guest-rt", "it is the crate guest-rt", "my-guest-rt"),
        ("spin", "a package that Guestlab depends on has it", "my-spin"),
    ] {
        let error = Scaffold::create(&workspace, &path(name), Template::Hello).unwrap_err().to_string();
        assert!(error.contains(why), "{name}: {error}");
        assert!(error.ends_with(&format!("cargo xtask new {}", path(better))), "{name}: {error}");
    }
    assert_eq!(names(folder.path()), before);
}

#[test]
fn a_hypervisor_is_no_member_of_the_workspace() {
    let (folder, workspace) = workspace();
    let before = names(folder.path());
    let error = Scaffold::create(&workspace, "demo", Template::Host).unwrap_err().to_string();
    assert!(error.contains("cargo xtask new ../demo --template host"), "{error}");
    assert_eq!(names(folder.path()), before);
}

#[test]
fn a_failed_write_leaves_nothing_behind() {
    let (folder, workspace) = workspace();
    let before = names(folder.path());
    // A file where a folder would have to be.
    let files = [("src".into(), String::new()), ("src/main.rs".into(), String::new())];
    assert_eq!(write(&workspace.root, "demo", &files).unwrap_err().status(), Status::CANNOT_RUN);
    assert_eq!(names(folder.path()), before);
    // A folder that was made meanwhile is not overwritten.
    fs::create_dir_all(folder.path().join("demo/mine")).unwrap();
    let files = [("Cargo.toml".into(), String::new())];
    assert_eq!(write(&workspace.root, "demo", &files).unwrap_err().status(), Status::CANNOT_RUN);
    assert_eq!(names(&folder.path().join("demo")), ["mine"]);
}
