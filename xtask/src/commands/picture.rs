//! `picture`: draws the pictures of README and the guide: a run as it is printed, in the terminal's view, and as a page;
//! and two runs, compared.

use std::{path::Path, process::Command};

use anstyle::{AnsiColor, Style};
use anstyle_svg::{Term, WIN10_CONSOLE};

use crate::base::output::{self, short};
use crate::error::{Error, Status};
use crate::{base::files, base::process, cargo, workspace};

const PRINTED: &str = "xtask run prodcons --seed 7 --schedule string:12211222";

const RECORDED: &str =
    "xtask run prodcons --seed 7 --producers 3 --consumers 2 --turns 60 --quiet --record run.jsonl";

/// The two compared runs: the exchange, and the same with a wrong guest.
const COMPARED: [(&str, &str); 2] = [
    ("right.jsonl", "xtask run prodcons --seed 3 --quiet --record right.jsonl"),
    ("wrong.jsonl", "xtask run prodcons --seed 3 --quiet --consumer never-wraps --record wrong.jsonl"),
];

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A printed line is cut off behind this text: the rest depends on the build.
const CUT: &str = "sha256 ";

/// The color of the lines that contain a text. The first text that fits decides.
const COLORS: [(&str, AnsiColor); 5] = [
    ("$ ", AnsiColor::BrightWhite),
    ("* ", AnsiColor::Yellow),
    ("producer  ", AnsiColor::BrightCyan),
    ("consumer  ", AnsiColor::BrightYellow),
    ("audit: ok", AnsiColor::BrightGreen),
];

pub(crate) fn run() -> Result<Status, Error> {
    let root = workspace::root();
    let (docs, scratch) = (root.join("docs"), root.join("target/pictures"));
    files::remove_folder(&scratch)?;
    files::create_folder(&scratch)?;
    draw(&scratch, PRINTED, &docs.join("run.svg"))?;
    for (file, words) in COMPARED {
        // The wrong guest's run fails as expected, and is recorded.
        let ended = process::capture(cargo::for_host(&scratch).args(words.split(' ')))?;
        if !scratch.join(file).exists() {
            return Err(process::failed(&cargo::for_host(&scratch), &ended));
        }
    }
    draw(&scratch, "xtask compare right.jsonl wrong.jsonl", &docs.join("compare.svg"))?;
    process::output(cargo::for_host(&scratch).args(RECORDED.split(' ')))?;
    let view = docs.join("view.svg");
    let at = ["--at", "24", "--size", "110x36"];
    process::output(
        cargo::for_host(&scratch).args(["xtask", "view", "run.jsonl", "--svg"]).arg(&view).args(at),
    )?;
    output::line(short(&view));
    process::output(cargo::for_host(&scratch).args(["xtask", "report", "run.jsonl", "page.html"]))?;
    photograph(&scratch.join("page.html"), &docs.join("page.png"))?;
    Ok(Status::SUCCESS)
}

fn draw(folder: &Path, words: &str, picture: &Path) -> Result<(), Error> {
    let text = process::output(cargo::for_host(folder).args(words.split(' ')))?;
    files::replace(picture, terminal(&format!("cargo {words}"), &text).as_bytes())?;
    output::line(short(picture));
    Ok(())
}

/// Draws a terminal with this command and its output.
fn terminal(command: &str, output: &str) -> String {
    let text = format!("$ {command}\n{}", output.trim_end());
    let lines: Vec<String> = text.lines().map(line).collect();
    Term::new().palette(WIN10_CONSOLE).min_width_px(0).render_svg(&lines.join("\n"))
}

fn line(text: &str) -> String {
    let text = match text.split_once(CUT) {
        Some((start, _)) => format!("{start}{CUT}..."),
        None => text.to_owned(),
    };
    let color = COLORS.iter().find(|(word, _)| text.contains(word));
    let style = color.map_or(Style::new(), |(_, color)| color.on_default());
    format!("{style}{text}{style:#}")
}

/// Makes a picture of the top of a page. Without a browser the old picture stays.
fn photograph(page: &Path, picture: &Path) -> Result<(), Error> {
    let Some(browser) = BROWSERS.into_iter().find_map(process::on_path) else {
        output::note(format_args!("{} stays as it is: no Chromium on PATH", short(picture)));
        return Ok(());
    };
    let mut show = Command::new(browser);
    show.args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"]);
    show.args(["--disable-background-networking", "--window-size=1000,1250"]);
    show.arg(format!("--user-data-dir={}", page.with_file_name("profile").display()));
    show.arg(format!("--screenshot={}", picture.display())).arg(page);
    process::output(&mut show)?;
    output::line(short(picture));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_has_the_command_and_each_line_as_text() {
        let drawing = terminal("cargo xtask run a", "1 < 2 & sha256 abcdef\n\nturn 1  producer  +1\n");
        for text in ["$ cargo xtask run a</tspan>", "1 &lt; 2 &amp; sha256 ...", "fg-bright-cyan\">turn 1"] {
            assert!(drawing.contains(text), "{text}: {drawing}");
        }
        assert_eq!(drawing.matches("<tspan x=").count(), 4, "{drawing}");
    }
}
