//! The documents that newcomers read: each command in them is run, in the order in which it stands
//! there, and must print what is shown. Blocks say by the first word behind their fence what they are:
//!
//! - `text`: commands behind a `$`, each followed by lines of its output, in order; others may lie
//!   between them. A line that ends with `...` goes on with what depends on the build. Behind `text` can
//!   stand `status N`, the exit status of the last command.
//! - `sh`: commands, of which only success matters.
//! - `rust`, `toml`, `c`: a file, if the first line is a comment with its path.
//!
//! Behind `text` can stand `answer NAME`: the reader has solved an exercise, by the model answer of that name. It is written
//! after the first commands, if these are `cargo xtask new`.
//!
//! A block that is not run says so, and why: `sh not run: it wants a second terminal`.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use crate::answers;
use crate::common::{self, root, text, write};

/// A test for each document, with the number of commands that are run at least.
macro_rules! documents {
    ($($test:ident: $document:literal, $commands:literal;)+) => {
        const DOCUMENTS: &[&str] = &[$($document),+];

        $(#[test]
        fn $test() {
            follow($document, $commands);
        })+
    };
}

documents! {
    readme: "README.md", 2;
    guide: "docs/guide/README.md", 0;
    first_guest: "docs/guide/first-guest.md", 7;
    c_guests: "docs/guide/c-guests.md", 7;
    services: "docs/guide/services.md", 8;
    boot: "docs/guide/boot.md", 4;
    hypercalls: "docs/guide/hypercalls.md", 2;
    two_vms: "docs/guide/two-vms.md", 15;
    debugging: "docs/guide/debugging.md", 9;
    kernels: "docs/guide/kernels.md", 3;
    porting: "docs/guide/porting.md", 4;
    reading: "docs/guide/reading.md", 1;
    commands: "docs/guide/commands.md", 0;
    own_hypervisor: "docs/guide/own-hypervisor.md", 7;
    grading: "docs/guide/grading.md", 8;
    exercises: "docs/guide/exercises.md", 30;
    machines: "docs/guide/machines.md", 0;
    back: "docs/guide/back.md", 4;
    coverage: "docs/guide/coverage.md", 5;
}

const NOT_RUN: &str = "not run: ";

/// The shell's `cargo`. It runs programs that are built already: of `cargo xtask ...`, and of
/// `cargo run --example NAME [-- ...]`. A package of the reader's own is built by the real cargo.
const CARGO: &str = r#"cargo() {
    [ "$1" = xtask ] && { shift; "$XTASK" "$@"; return; }
    [ "$1 $2" = "run --example" ] || { command cargo "$@"; return; }
    example="$EXAMPLES/$3"; shift 3
    [ "$1" = -- ] && shift
    "$example" "$@"
}"#;

/// A block of a document: what stands behind its fence, and its lines.
struct Block {
    info: String,
    lines: Vec<String>,
}

/// A command, and what it must do.
#[derive(Debug, Default)]
struct Step {
    command: String,
    output: Vec<String>,
    status: i32,
}

/// A user's copy of the repository, so that nothing is left in the real one: the files are the real ones,
/// by symbolic links, and only the manifest and the lock file are its own.
struct Checkout {
    folder: PathBuf,
    guestlab: PathBuf,
    /// The folder of the host's examples, which `cargo run --example` runs.
    examples: PathBuf,
}

/// Runs the commands of a document; says which it did not run, and why.
fn follow(name: &str, commands: usize) {
    let document = read(&root().join(name));
    let Some(checkout) = Checkout::of(name) else { return };
    let mut run = 0;
    for block in blocks(&document) {
        if let Some((_, reason)) = block.info.split_once(NOT_RUN) {
            steps(&block).iter().for_each(|step| println!("not run: {}: {reason}", step.command));
            continue;
        }
        checkout.put_file(&block);
        let (new, others): (Vec<Step>, Vec<Step>) =
            steps(&block).into_iter().partition(|step| step.command.starts_with("cargo xtask new "));
        run += new.len() + others.len();
        new.iter().for_each(|step| checkout.follow(name, step));
        answer_of(&block).into_iter().for_each(|answer| answers::put(&checkout.folder, answer));
        others.iter().for_each(|step| checkout.follow(name, step));
    }
    assert!(run >= commands, "only {run} commands of {name} were run");
}

#[test]
fn the_picture_is_of_what_is_printed() {
    let picture = read(&root().join("docs/run.svg"));
    let lines = picture.lines().filter_map(|line| line.trim_start().strip_prefix("<tspan x="));
    let mut texts = lines.map(|line| unescaped(&text_of(line)));
    let command = texts.next().expect("a command");
    let step = Step {
        command: command.strip_prefix("$ ").expect("a command").to_owned(),
        output: texts.collect(),
        status: 0,
    };
    assert!(step.output.len() > 10, "{step:?}");
    let Some(checkout) = Checkout::of("docs/run.svg") else { return };
    checkout.follow("docs/run.svg", &step);
}

#[test]
fn every_model_answer_is_of_an_exercise() {
    let blocks = blocks(&read(&root().join("docs/guide/exercises.md")));
    let used: Vec<&str> = blocks.iter().filter_map(answer_of).collect();
    assert!(answers::names().eq(used.iter().copied()), "{used:?}");
}

/// The name of the model answer behind a block's fence.
fn answer_of(block: &Block) -> Option<&str> {
    block.info.split_once("answer ")?.1.split(' ').next()
}

/// The text behind the tags of a line, which begins within a tag.
fn text_of(line: &str) -> String {
    line.split('<').filter_map(|part| Some(part.split_once('>')?.1)).collect()
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[test]
fn the_whole_program_of_the_guide_is_the_example() {
    let document = read(&root().join("docs/guide/own-hypervisor.md"));
    let program = read(&root().join("host/examples/count_exits.rs"));
    let block = blocks(&document).into_iter().find(|block| block.info == "rust").expect("a program");
    assert_eq!(block.lines.join("\n"), program.trim_end());
}

#[test]
fn every_page_of_the_guide_is_followed() {
    for page in std::fs::read_dir(root().join("docs/guide")).expect("the guide") {
        let name = page.expect("a page").file_name().into_string().expect("text");
        let is_followed = DOCUMENTS.contains(&&*format!("docs/guide/{name}"));
        assert!(is_followed || !name.ends_with(".md"), "{name}");
    }
}

#[test]
fn commands_in_running_text_are_ours() {
    let help = |command: &str| common::xtask(root(), &["help", command]).status.success();
    let mut seen = Vec::new();
    for name in DOCUMENTS.iter().chain(&["docs/ends.md", "ARCHITECTURE.md"]) {
        let document = read(&root().join(name));
        for rest in document.split("`cargo xtask ").skip(1) {
            let command = rest.split([' ', '`', '\n']).next().unwrap_or_default().to_owned();
            if !seen.contains(&command) {
                assert!(help(&command), "{name}: cargo xtask has no `{command}`");
                seen.push(command);
            }
        }
    }
    assert!(seen.len() >= 6, "{seen:?}");
}

#[test]
fn links_lead_somewhere() {
    for name in DOCUMENTS.iter().chain(&["docs/ends.md", "ARCHITECTURE.md", "CHANGELOG.md"]) {
        let path = root().join(name);
        for rest in read(&path).split("](").skip(1) {
            let link = rest.split([')', '#']).next().unwrap_or_default();
            let local = !link.is_empty() && !link.starts_with("https://");
            assert!(!local || path.parent().expect("a folder").join(link).exists(), "{name}: {link}");
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

static GUESTLAB: LazyLock<Option<PathBuf>> = LazyLock::new(guestlab);

/// A `guestlab` that is up to date, if this machine can run guests.
fn guestlab() -> Option<PathBuf> {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--package", "guestlab", "--bin", "guestlab", "--examples"]);
    build.args(["--message-format", "json"]);
    let built = build.current_dir(root()).stderr(Stdio::inherit()).output().expect("cargo runs");
    let messages = text(&built.stdout);
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let executables = messages.filter_map(|message| Some(PathBuf::from(message["executable"].as_str()?)));
    let guestlab =
        executables.into_iter().find(|path| path.ends_with("guestlab")).expect("guestlab is built");
    let doctor = Command::new(&guestlab).arg("doctor").output().expect("guestlab runs");
    if !doctor.status.success() {
        eprintln!("skipped: this machine cannot run guests:\n{}", text(&doctor.stdout));
        return None;
    }
    Some(guestlab)
}

/// All fenced blocks of a document.
fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let lines = lines.by_ref().take_while(|line| !line.starts_with("```")).map(String::from);
            blocks.push(Block { info: info.to_owned(), lines: lines.collect() });
        }
    }
    blocks
}

/// The commands of a block.
fn steps(block: &Block) -> Vec<Step> {
    let shows_output = match block.info.split(' ').next() {
        Some("text") => true,
        Some("sh") => false,
        _ => return Vec::new(),
    };
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = block.lines.iter();
    while let Some(line) = lines.next() {
        let command = if shows_output { line.strip_prefix("$ ") } else { Some(line.as_str()) };
        match (command, steps.last_mut()) {
            (Some(command), _) if !command.is_empty() && !command.starts_with('#') => {
                let mut command = command.to_owned();
                while command.ends_with('\\') {
                    command.push('\n');
                    command.push_str(lines.next().expect("the rest of a command"));
                }
                steps.push(Step { command, ..Step::default() });
            }
            (None, Some(step)) => step.output.push(line.clone()),
            _ => {}
        }
    }
    let status = block.info.split_once("status ").map(|(_, status)| status.parse().expect("a status"));
    if let (Some(step), Some(status)) = (steps.last_mut(), status) {
        step.status = status;
    }
    steps
}

impl Checkout {
    /// A document's copy, as a fresh one is; none where no guest could be run in it.
    fn of(document: &str) -> Option<Checkout> {
        let reader = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reader").join(document.replace('/', "-"));
        let guestlab = GUESTLAB.clone()?;
        let examples = guestlab.with_file_name("examples");
        let checkout = Checkout { folder: reader.join("guestlab"), guestlab, examples };
        let _ = fs::remove_dir_all(reader.join("elsewhere"));
        checkout.lay_anew();
        Some(checkout)
    }

    fn lay_anew(&self) {
        fs::create_dir_all(&self.folder).expect("a folder");
        for entry in fs::read_dir(&self.folder).expect("the folder") {
            let path = entry.expect("an entry").path();
            if path.is_symlink() || path.is_file() {
                fs::remove_file(&path).expect("removed");
            } else if !path.ends_with("target") {
                fs::remove_dir_all(&path).expect("removed");
            }
        }
        // A package beside it needs the versions that are known here, or cargo would ask a registry.
        let _ = fs::remove_dir_all(self.folder.with_file_name("my-hypervisor"));
        for name in ["Cargo.toml", "Cargo.lock"] {
            fs::copy(root().join(name), self.folder.join(name)).expect("copied");
        }
        common::share_builds(&self.folder.join("target"));
        let links =
            ["host", "guest-rt", "guest-producer", "guest-consumer", "xtask", "docs", "rust-toolchain.toml"];
        for name in links {
            symlink(root().join(name), self.folder.join(name)).expect("linked");
        }
    }

    /// Writes the file that a block is, if it is one.
    fn put_file(&self, block: &Block) {
        let first = block.lines.first().map(String::as_str).unwrap_or_default();
        let path = match block.info.as_str() {
            "rust" => first.strip_prefix("// "),
            "toml" => first.strip_prefix("# "),
            "c" => first.strip_prefix("/* ").and_then(|rest| rest.strip_suffix(" */")),
            _ => None,
        };
        if let Some(path) = path {
            write(&self.folder.join(path), &format!("{}\n", block.lines[1..].join("\n").trim_start()));
        }
    }

    /// Types a command, and looks at what it prints.
    fn follow(&self, document: &str, step: &Step) {
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{CARGO}\n{}", step.command)]);
        shell.env("XTASK", env!("CARGO_BIN_EXE_xtask")).env("GUESTLAB_BINARY", &self.guestlab);
        shell.env("EXAMPLES", &self.examples);
        shell
            .env("CARGO_MANIFEST_DIR", self.folder.join("xtask"))
            .env("CARGO_TARGET_DIR", self.folder.join("target"));
        shell.current_dir(&self.folder).stdin(Stdio::null());
        shell.stdout(writer.try_clone().expect("a pipe")).stderr(writer);
        let mut child = shell.spawn().expect("a shell");
        // The pipe ends when nobody has it to write to.
        drop(shell);
        let mut output = Vec::new();
        reader.read_to_end(&mut output).expect("output");
        let (ended, output) = (child.wait().expect("an end"), text(&output));
        let command = &step.command;
        assert_eq!(ended.code(), Some(step.status), "{document}: {command}\n{output}");
        let mut lines = output.lines();
        for shown in step.output.iter().filter(|line| !line.is_empty()) {
            assert!(
                lines.any(|line| is_shown(line, shown)),
                "{document}: {command}\nnot there: {shown}\n{output}"
            );
        }
    }
}

/// Returns true if a line of output is the one shown, which may end with `...`.
fn is_shown(line: &str, shown: &str) -> bool {
    match shown.strip_suffix("...") {
        Some(beginning) => line.starts_with(beginning),
        None => line.trim_end() == shown.trim_end(),
    }
}
