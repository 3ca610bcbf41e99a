use std::{
    fs::Permissions,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
};

use tempfile::TempDir;

use super::*;

fn folder_with(name: &str, text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    fs::write(&path, text).expect("written");
    (folder, path)
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|it| it.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

fn write(mut file: OutputFile, text: &str) {
    file.write_all(text.as_bytes()).expect("written");
    file.place().expect("placed");
}

#[test]
fn a_file_is_as_it_was_until_the_new_one_is_placed() {
    let (folder, path) = folder_with("x", "old");
    for create in [OutputFile::whole, OutputFile::stream, OutputFile::alone] {
        let mut file = create(&path).expect("begun");
        file.write_all(b"new").expect("written");
        assert_eq!(fs::read(&path).expect("it is there"), b"old");
        drop(file);
        assert_eq!(
            (fs::read(&path).expect("it is there"), names(&folder)),
            (b"old".into(), vec!["x".into()])
        );
    }
    write(OutputFile::whole(&path).expect("begun"), "new");
    assert_eq!((fs::read(&path).expect("it is there"), names(&folder)), (b"new".into(), vec!["x".into()]));
}

#[test]
fn a_stream_has_a_free_name_from_its_first_bytes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x");
    let mut file = OutputFile::stream(&path).expect("begun");
    assert_eq!(names(&folder), ["x.part"]);
    file.write_all(b"one").expect("written");
    while !path.exists() {
        std::thread::yield_now();
    }
    file.write_all(b", two").expect("written");
    drop(file);
    assert_eq!(
        (fs::read(&path).expect("it is there"), names(&folder)),
        (b"one, two".into(), vec!["x".into()])
    );
}

#[test]
fn mode_and_links_stay() {
    let (folder, path) = folder_with("x", "old");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("a mode");
    symlink("x", folder.path().join("link")).expect("a link");
    symlink("new", folder.path().join("loose")).expect("a link");
    write(OutputFile::whole(&folder.path().join("link")).expect("begun"), "through a link");
    write(OutputFile::whole(&folder.path().join("loose")).expect("begun"), "to nothing yet");
    assert_eq!(fs::read(&path).expect("it is there"), b"through a link");
    assert_eq!(fs::metadata(&path).expect("it is there").mode() & 0o777, 0o640);
    assert_eq!(fs::read(folder.path().join("new")).expect("it is there"), b"to nothing yet");
    assert!(fs::symlink_metadata(folder.path().join("link")).expect("a link").is_symlink());
}

#[test]
fn two_at_once_are_two_files_or_one_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x".repeat(255));
    let (one, other) = (OutputFile::whole(&path).expect("begun"), OutputFile::whole(&path).expect("begun"));
    assert_eq!(names(&folder).len(), 2);
    let refused = OutputFile::alone(&path).err().expect("another is at it");
    assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
    write(one, "one");
    write(other, "other");
    assert_eq!(fs::read(&path).expect("it is there"), b"other");
    write(OutputFile::alone(&path).expect("nobody else"), "alone");
    assert_eq!(names(&folder).len(), 1);
}

#[test]
fn what_is_no_file_or_nowhere_is_refused() {
    let (folder, path) = folder_with("x", "old");
    symlink("loop", folder.path().join("loop")).expect("a link");
    let below = path.join("below");
    let (missing, slash, round) =
        (folder.path().join("no/x"), folder.path().join("y/"), folder.path().join("loop"));
    let none: [&Path; 9] = [
        folder.path(),
        &below,
        &missing,
        &slash,
        &round,
        Path::new("/dev/null"),
        Path::new("/dev/full"),
        Path::new(""),
        Path::new(".."),
    ];
    for path in none {
        assert!(OutputFile::whole(path).is_err(), "{path:?}");
    }
    assert_eq!(names(&folder), ["loop", "x"]);
}

#[test]
fn one_file_of_two_names_is_found() {
    let (folder, path) = folder_with("x", "old");
    let at = |name: &str| folder.path().join(name);
    fs::hard_link(&path, at("hard")).expect("a link");
    symlink("x", at("soft")).expect("a link");
    symlink("new", at("loose")).expect("a link");
    fs::create_dir(at("y")).expect("a folder");
    let same = |one: &str, other: &str| {
        let (input, output) =
            (vec![Named::new("--image", &at(one))], vec![Named::new("--report", &at(other))]);
        let both = input.iter().chain(&output).cloned().collect();
        let told = check_distinct(input, output).is_err();
        assert_eq!(check_distinct(Vec::new(), both).is_err(), told, "{one}, {other}");
        told
    };
    for other in ["x", "./x", "hard", "soft", "y/../x"] {
        assert!(same("x", other), "{other}");
    }
    assert!(same("new", "new") && same("new", "./new") && same("new", "loose") && same("y/../new", "new"));
    assert!(!same("x", "y") && !same("x", "new") && !same("new", "y/new"));
    let error = check_distinct(vec![Named::new("--image", &path)], vec![Named::new("--report", &at("hard"))]);
    let error = error.expect_err("one file").to_string();
    assert!(error.contains("/hard: --report would replace --image; name another file"), "{error}");
}

#[test]
fn the_program_itself_is_not_replaced() {
    let program = std::env::current_exe().expect("it has a name");
    assert!(check_distinct(Vec::new(), vec![Named::new("--report", &program)]).is_err());
}
