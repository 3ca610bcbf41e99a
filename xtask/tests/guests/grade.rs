//! A class is graded by one command: submissions that are right, wrong in each way, or hostile. Each is a row.
//!
//! A machine without bubblewrap or a C compiler skips the test of sources.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::{root, text, write, xtask};

const RIGHT: &str = include_str!("../../../guest-producer/src/main.rs");
const RIGHT_CONSUMER: &str = include_str!("../../../guest-consumer/src/main.rs");
const WRONG_AT_37: &str = include_str!("../../../guest-rt/examples/wrong/wrong-at-37.rs");
const TAKES_ALL: &str = include_str!("../../../guest-rt/examples/wrong/takes-all.rs");
const EMPTY: &str = include_str!("../../../guest-rt/examples/wrong/never-adds.rs");
const TURNS: &str = include_str!("../../../guest-rt/examples/wrong/turns.rs");
const C_PRODUCER: &str = include_str!("c_guests/producer.c");
const C_CONSUMER: &str = include_str!("c_guests/consumer.c");
const HOSTILE: &str = include_str!("grade/hostile_build.rs");
const ENDLESS: &str = include_str!("grade/endless_build.rs");

/// A consumer that reads an address behind its memory.
const READS_TOO_MUCH: &str = "#include <guestlab.h>\n\nstatic struct guestlab_mailbox mailbox;\n\nint main(void)\n{\n    \
    guestlab_attach(&mailbox, sizeof mailbox);\n    volatile uint32_t *where = (uint32_t *)0x7fffff00;\n    \
    return *where == 1;\n}\n";

/// A folder of submissions.
struct Class {
    folder: PathBuf,
    grades: PathBuf,
}

impl Class {
    /// An empty class.
    fn new(name: &str) -> Class {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        let class = Class { folder: folder.join("class"), grades: folder.join("grades") };
        fs::create_dir_all(&class.folder).expect("a folder");
        fs::create_dir_all(&class.grades).expect("a folder");
        class
    }

    fn write(&self, file: &str, text: &str) {
        write(&self.folder.join(file), text);
    }

    /// A package in Rust, with the path that it had on the student's machine.
    fn rust(&self, folder: &str, source: &str) {
        let name = folder.rsplit('/').next().unwrap_or_default();
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n\
             guest-rt = {{ path = \"../../their/guestlab/guest-rt\" }}\n\n[workspace]\n"
        );
        self.write(&format!("{folder}/Cargo.toml"), &manifest);
        self.write(&format!("{folder}/src/main.rs"), source);
        self.write(&format!("{folder}/src/turns.rs"), TURNS);
    }

    /// An image that was handed in.
    fn image(&self, guest: &str, file: &str) {
        let built = xtask(root(), &["build-guests", guest]);
        assert!(built.status.success(), "{}", text(&built.stderr));
        let printed = text(&built.stdout);
        let path = printed.split_whitespace().next().expect("a path");
        fs::copy(root().join(path), self.folder.join(file)).expect("copied");
    }

    /// Grades the class with these options. Returns the rows by name and side, or nothing if this machine cannot run guests.
    fn grade(&self, options: &[&str]) -> Option<BTreeMap<(String, String), Value>> {
        let mut grade = Command::new(env!("CARGO_BIN_EXE_xtask"));
        grade.arg("grade").arg(&self.folder).arg("--out").arg(&self.grades).args(options);
        grade.args(["--runs", "100", "--depth", "3", "--timeout", "1", "--format", "jsonl"]);
        grade
            .current_dir(root())
            .stdin(Stdio::null())
            .env_remove("CARGO_TARGET_DIR")
            .env("GUESTLAB_SECRET", "x");
        let output = grade.output().expect("xtask runs");
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        if output.status.code() == Some(5) {
            eprintln!("skipped: {err}");
            return None;
        }
        assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
        let rows: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let file = fs::read_to_string(self.grades.join("grades.jsonl")).expect("the rows");
        assert_eq!(file.trim_end(), out.trim_end());
        let page = fs::read_to_string(self.grades.join("index.html")).expect("the page");
        assert_eq!(page.matches("<tr data-name=").count(), rows.len());
        let word = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        Some(rows.into_iter().map(|row| ((word(&row, "name"), word(&row, "role")), row)).collect())
    }
}

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        eprintln!("skipped: there is no {program} here");
    }
    found
}

#[test]
fn each_submission_of_a_class_is_judged_rightly() {
    if !has("bwrap") || !has("cc") {
        return;
    }
    let class = Class::new("class-of-all");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = listener.local_addr().expect("an address").to_string();
    let path = |path: &Path| path.to_str().expect("a path").to_owned();

    class.rust("right-producer", RIGHT);
    class.write("right-in-c/producer.c", C_PRODUCER);
    class.write("right-in-c/consumer.c", C_CONSUMER);
    class.rust("pair/my-consumer", RIGHT_CONSUMER);
    class.write("pair/producer/main.c", &C_PRODUCER.replace("#ifdef NEVER_WRAPS", "#if 1"));
    class.rust("empty-loop-producer", EMPTY);
    class.image("always-seven", "constant-producer.elf");
    class.write(
        "off-by-one/main.c",
        &C_PRODUCER.replace("capacity - ring->count", "capacity - ring->count + 1"),
    );
    class.rust("at-37-producer", WRONG_AT_37);
    class.rust("takes-all-consumer", TAKES_ALL);
    class.write(
        "overwrites-producer/main.c",
        &C_PRODUCER.replace("mailbox.slots[ring->prod_p]", "mailbox.slots[0]"),
    );
    class.write("hangs-producer/main.c", &C_PRODUCER.replace("mailbox.digest = account;", "for (;;) {}"));
    let floods = "guestlab_print(\"x\\n\"); continue; mailbox.digest = account;";
    class.write("floods-producer/main.c", &C_PRODUCER.replace("mailbox.digest = account;", floods));
    class.write(
        "crashes-producer/main.c",
        &C_PRODUCER.replace("mailbox.digest = account;", "*(volatile int *)0 = 1;"),
    );
    class.write("reads-too-much-consumer/main.c", READS_TOO_MUCH);
    class.write("no-compile-producer/main.c", &C_PRODUCER.replace("uint32_t item =", "uint32_t item"));
    class.rust("hostile-producer", RIGHT);
    let hostile = HOSTILE
        .replace("CLASS", &path(&class.folder))
        .replace("GRADES", &path(&class.grades))
        .replace("GUESTLAB/", &format!("{}/", path(root())))
        .replace("ADDRESS", &address);
    class.write("hostile-producer/build.rs", &hostile);
    class.write("hostile-producer/.cargo/config.toml", "[build]\nrustc-wrapper = \"/bin/false\"\n");
    // It is built before others that are right.
    class.rust("endless-producer", RIGHT);
    class.write("endless-producer/build.rs", &ENDLESS.replace("GRADES", &path(&class.grades)));
    class.write("text-producer.elf", "I did my homework.\n");
    fs::copy("/bin/true", class.folder.join("program-producer.elf")).expect("copied");
    let odd = std::ffi::OsStr::from_bytes(b"\xff-producer.elf");
    fs::write(class.folder.join(odd), "").expect("written");
    fs::create_dir(class.folder.join("nothing")).expect("a folder");
    std::os::unix::fs::symlink("/etc/passwd", class.folder.join("link-producer.elf")).expect("a link");

    let Some(rows) = class.grade(&["--role", "producer", "--build-limit", "20"]) else { return };
    let expected = [
        ("right-producer", "producer", "right", "no failure in "),
        ("right-in-c", "producer", "right", "no failure in "),
        ("right-in-c", "consumer", "right", "no failure in "),
        ("pair", "consumer", "right", "no failure in "),
        ("pair", "producer", "wrong", "moved its pointer out of the ring"),
        ("empty-loop-producer", "producer", "wrong", "moved another number of items than it was told"),
        ("constant-producer", "producer", "finding", "items are 7"),
        ("off-by-one", "producer", "wrong", "pushed into a full ring"),
        ("at-37-producer", "producer", "wrong", "moved its pointer and the count by different numbers"),
        ("takes-all-consumer", "consumer", "wrong", "moved another number of items than it was told"),
        ("overwrites-producer", "producer", "wrong", ""),
        ("hangs-producer", "producer", "wrong", "still running after 1 s"),
        ("floods-producer", "producer", "wrong", "still running after 1 s"),
        ("crashes-producer", "producer", "wrong", "null pointer: wrote to address 0x0"),
        ("reads-too-much-consumer", "consumer", "wrong", "address 0x7fffff00"),
        ("no-compile-producer", "producer", "unusable", "it does not compile"),
        ("hostile-producer", "producer", "right", "no failure in "),
        ("endless-producer", "producer", "unusable", "its build was not over after 20 s"),
        ("text-producer", "producer", "unusable", "not an ELF file but a text file"),
        ("program-producer", "producer", "unusable", "a dynamic or position-independent ELF file"),
        ("\u{fffd}-producer", "producer", "unusable", "its path is not UTF-8 text"),
        ("nothing", "", "unusable", "there is nothing to grade"),
        ("link-producer.elf", "", "unusable", "links are not followed"),
    ];
    let mut wrong = Vec::new();
    for (name, role, grade, reason) in expected {
        let row = rows.get(&(name.to_owned(), role.to_owned()));
        let is_right = |row: &Value| {
            row["grade"] == grade && row["reason"].as_str().is_some_and(|it| it.contains(reason))
        };
        if !row.is_some_and(is_right) {
            wrong.push((name, row));
        }
    }
    assert!(wrong.is_empty() && rows.len() == expected.len(), "{wrong:#?}");

    let row = |name: &str, role: &str| &rows[&(name.to_owned(), role.to_owned())];
    assert!(row("crashes-producer", "producer")["reason"].as_str().unwrap().contains("/src/main.c:"));
    let compiler = row("no-compile-producer", "producer")["details"].as_str().unwrap();
    assert!(compiler.contains("main.c:") && compiler.contains("error: expected"), "{compiler}");
    for (name, row) in rows.iter().filter(|(_, row)| row["grade"] == "wrong") {
        assert!(row["trial"]["schedule"].is_string(), "{name:?}: {row}");
        check_repetition(row);
    }
    assert!(!class.grades.join("build").exists(), "the builds are removed");
}

/// Runs the command that repeats a failure, and looks for its recording.
fn check_repetition(row: &Value) {
    let command = row["command"].as_str().expect("a command");
    let mut again = Command::new("sh");
    again.args(["-c", &format!("cargo() {{ shift; \"$XTASK\" \"$@\"; }}\n{command}")]);
    again.env("XTASK", env!("CARGO_BIN_EXE_xtask")).current_dir(root()).stdin(Stdio::null());
    let output = again.env_remove("CARGO_TARGET_DIR").output().expect("a shell");
    assert!(matches!(output.status.code(), Some(1 | 3 | 4)), "{command}: {}", text(&output.stderr));
    let recording = fs::read_to_string(row["recording"].as_str().expect("a recording")).expect("a recording");
    assert!(recording.lines().any(|line| line.starts_with(r#"{"event":"crash""#)), "{recording}");
}

#[test]
fn without_a_sandbox_images_are_graded_and_the_reason_is_said() {
    let class = Class::new("class-of-images");
    class.image("guest-producer", "ada-producer.elf");
    class.rust("bob-producer", RIGHT);
    class.rust("eve-producer", RIGHT);
    class.image("overfills", "eve-producer/image.elf");
    // The programs that are needed, without bubblewrap.
    let programs = class.grades.join("programs");
    fs::create_dir_all(&programs).expect("a folder");
    let path = std::env::var("PATH").expect("PATH");
    let without =
        path.split(':').filter(|folder| !Path::new(folder).join("bwrap").exists()).collect::<Vec<_>>();
    for program in ["cc", "ld", "rustc", "cargo", "sh", "env", "as"] {
        let found = path.split(':').map(|folder| Path::new(folder).join(program)).find(|it| it.is_file());
        let Some(found) = found else { continue };
        std::os::unix::fs::symlink(found, programs.join(program)).expect("a link");
    }
    let path = [&[programs.to_str().expect("a path")], &without[..]].concat().join(":");
    let mut grade = Command::new(env!("CARGO_BIN_EXE_xtask"));
    grade.arg("grade").arg(&class.folder).arg("--out").arg(&class.grades);
    grade.args(["--runs", "50", "--depth", "2"]).current_dir(root()).stdin(Stdio::null());
    let output = grade.env_remove("CARGO_TARGET_DIR").env("PATH", path).output().expect("xtask runs");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    if output.status.code() == Some(5) {
        eprintln!("skipped: {err}");
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    assert!(err.contains("images only are graded: bubblewrap is not installed"), "{err}");
    for row in [
        "ada-producer  producer  right      no failure in ",
        "bob-producer  producer  unusable   it has sources, which are not built here: bubblewrap is not installed",
        "eve-producer  producer  wrong      pushed into a full ring",
    ] {
        assert!(out.contains(row), "{out}");
    }
    assert!(out.contains("\n1 right, 1 wrong, 1 unusable\n"), "{out}");
}

#[test]
fn bad_usage_is_refused() {
    let class = Class::new("class-of-none");
    let class_folder = class.folder.to_str().expect("a path");
    for (words, problem) in [
        (vec!["grade", "no-such-folder"], "cannot read the submissions in no-such-folder"),
        (vec!["grade", class_folder], "there is no submission in"),
        (vec!["grade", class_folder, "--out", &format!("{class_folder}/x/y")], "cannot be in the folder"),
    ] {
        let output = xtask(root(), &words);
        let err = text(&output.stderr);
        assert!(output.status.code() == Some(2) && err.contains(problem), "{words:?}: {err}");
    }
}
