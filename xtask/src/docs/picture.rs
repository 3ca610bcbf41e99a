//! A picture (SVG) of a terminal: a command and its output.

use anstyle::{AnsiColor, Style};
use anstyle_svg::{Term, WIN10_CONSOLE};

/// A line is cut off behind this text: the rest depends on the build.
const CUT: &str = "sha256 ";

/// The color of the lines that contain a text. The first text that fits decides.
const COLORS: [(&str, AnsiColor); 5] = [
    ("$ ", AnsiColor::BrightWhite),
    ("* ", AnsiColor::Yellow),
    ("producer  ", AnsiColor::BrightCyan),
    ("consumer  ", AnsiColor::BrightYellow),
    ("audit: ok", AnsiColor::BrightGreen),
];

/// Draws a terminal with this command and its output.
pub(crate) fn draw(command: &str, output: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_has_the_command_and_each_line_as_text() {
        let drawing = draw("cargo xtask run a", "1 < 2 & sha256 abcdef\n\nturn 1  producer  +1\n");
        for text in ["$ cargo xtask run a</tspan>", "1 &lt; 2 &amp; sha256 ...", "fg-bright-cyan\">turn 1"] {
            assert!(drawing.contains(text), "{text}: {drawing}");
        }
        assert_eq!(drawing.matches("<tspan x=").count(), 4, "{drawing}");
    }
}
