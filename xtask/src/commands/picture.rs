//! `picture`: draws the pictures that README and the guide show: a run as it is printed, in the terminal's
//! view, and as a page; and two runs, compared.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::base::output::{self, short};
use crate::base::process;
use crate::docs;
use crate::error::{Error, Status};
use crate::workspace;

/// The run that is shown as it is printed; the words are what follows `cargo`.
const PRINTED: &str = "xtask run prodcons --seed 7 --schedule string:12211222";

/// The run that is looked at.
const RECORDED: &str = "xtask run prodcons --seed 7 --producers 3 --consumers 2 --turns 60 --quiet";

/// The two runs that are compared: the exchange, and the same with a wrong guest.
const COMPARED: [(&str, &str); 2] = [
    ("right.jsonl", "xtask run prodcons --seed 3 --quiet"),
    ("wrong.jsonl", "xtask run prodcons --seed 3 --quiet --consumer never-wraps"),
];

/// The view of it: the turn and the size in columns and rows.
const VIEW: [&str; 4] = ["--at", "24", "--size", "110x36"];

/// The browsers that can make a picture of a page without a screen.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Draws each picture below `docs`.
pub(crate) fn run() -> Result<Status, Error> {
    let root = workspace::root();
    let (docs, scratch) = (root.join("docs"), root.join("target/pictures"));
    fs::create_dir_all(&scratch).map_err(Error::file("make", &scratch))?;
    printed(&root, PRINTED, &docs.join("run.svg"))?;
    compared(&scratch, &docs.join("compare.svg"))?;
    let recording = scratch.join("run.jsonl");
    cargo(&root, RECORDED.split(' ').map(Path::new).chain([Path::new("--record"), &recording]))?;
    viewed(&root, &recording, &docs.join("view.svg"))?;
    page(&root, &recording, &scratch.join("page.html"), &docs.join("page.png"))?;
    Ok(Status::SUCCESS)
}

/// A command as it is typed, and what it prints.
fn printed(folder: &Path, words: &str, picture: &Path) -> Result<(), Error> {
    let text = cargo(folder, words.split(' ').map(Path::new))?;
    docs::write(picture, &docs::draw(&format!("cargo {words}"), &text))?;
    output::line(short(picture));
    Ok(())
}

/// Two runs, recorded in a folder and compared there.
fn compared(folder: &Path, picture: &Path) -> Result<(), Error> {
    for (file, words) in COMPARED {
        let _ = fs::remove_file(folder.join(file));
        let mut run = crate::cargo::for_host(folder);
        let run = run.args(words.split(' ')).args(["--record", file]);
        let ended = process::capture(run)?;
        // The wrong guest's run fails, as it should; it is written down all the same.
        if !folder.join(file).exists() {
            return Err(process::failed(run, &ended));
        }
    }
    let [(one, _), (other, _)] = COMPARED;
    printed(folder, &format!("xtask compare {one} {other}"), picture)
}

/// A turn of it in the terminal's view.
fn viewed(root: &Path, recording: &Path, picture: &Path) -> Result<(), Error> {
    let words = [Path::new("xtask"), Path::new("view"), recording, Path::new("--svg"), picture];
    cargo(root, words.into_iter().chain(VIEW.map(Path::new)))?;
    output::line(short(picture));
    Ok(())
}

/// The page about it, as a browser shows its top; where there is no browser the picture stays as it is.
fn page(root: &Path, recording: &Path, page: &Path, picture: &Path) -> Result<(), Error> {
    cargo(root, [Path::new("xtask"), Path::new("report"), recording, page])?;
    let Some(browser) = BROWSERS.into_iter().find_map(process::on_path) else {
        output::note(format_args!("{} stays as it is: no Chromium on PATH", short(picture)));
        return Ok(());
    };
    let profile = page.with_file_name("profile");
    let _ = fs::remove_dir_all(&profile);
    let mut show = Command::new(browser);
    show.args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"]);
    show.args(["--disable-background-networking", "--window-size=1000,1250"]);
    show.arg(format!("--user-data-dir={}", profile.display()));
    show.arg(format!("--screenshot={}", picture.display())).arg(page);
    process::output(&mut show)?;
    output::line(short(picture));
    Ok(())
}

/// What a command of cargo's prints in a folder.
fn cargo<'a>(folder: &Path, words: impl IntoIterator<Item = &'a Path>) -> Result<String, Error> {
    process::output(crate::cargo::for_host(folder).args(words))
}
