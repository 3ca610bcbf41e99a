//! The picture of a run: a command and what it prints, as a drawing of a terminal.

/// The size of the letters, and the room that a line takes, in the drawing's units; and the width of a
/// letter, in hundredths of one.
const FONT_SIZE: usize = 13;
const LINE: usize = 18;
const LETTER: usize = 783;

/// The room around the text.
const MARGIN: usize = 16;

/// What goes on with what depends on the build is cut off there.
const CUT: &str = "sha256 ";

/// What a line that begins, or goes on, with a word looks like.
const COLOURS: [(&str, &str); 6] = [
    ("$ ", "#f0f0f0"),
    ("* ", "#ffd866"),
    ("producer  ", "#7cc4ff"),
    ("consumer  ", "#ffb86b"),
    ("audit: ok", "#8ae68a"),
    ("", "#b8c0cc"),
];

/// Draws a terminal in which this command has printed this.
pub(crate) fn draw(command: &str, output: &str) -> String {
    let typed = format!("$ {command}");
    let lines: Vec<String> =
        std::iter::once(typed.as_str()).chain(output.trim_end().lines()).map(cut).collect();
    let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let (width, height) = ((longest * LETTER).div_ceil(100) + 2 * MARGIN, lines.len() * LINE + 2 * MARGIN);
    let text = lines.iter().enumerate().map(|(row, line)| {
        let y = MARGIN + (row + 1) * LINE - LINE / 4;
        let colour = COLOURS.iter().find(|(word, _)| line.contains(word)).map_or("", |(_, colour)| colour);
        format!("<text x=\"{MARGIN}\" y=\"{y}\" fill=\"{colour}\">{}</text>\n", escaped(line))
    });
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" aria-label=\"What {command} prints\">\n\
         <!-- drawn by `cargo xtask picture` -->\n\
         <style>text{{white-space:pre}}</style>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#1b2028\"/>\n\
         <g font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"{FONT_SIZE}\" \
         xml:space=\"preserve\">\n{}</g>\n</svg>\n",
        text.collect::<String>()
    )
}

fn cut(line: &str) -> String {
    match line.find(CUT) {
        Some(at) => format!("{}...", &line[..at + CUT.len()]),
        None => line.to_owned(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_has_the_command_and_each_line_as_text() {
        let drawing = draw("cargo xtask run a", "1 < 2 & sha256 abcdef\n\nturn 1  producer  +1\n");
        let texts: Vec<&str> = drawing.lines().filter(|line| line.starts_with("<text")).collect();
        assert_eq!(texts.len(), 4, "{drawing}");
        assert!(texts[0].ends_with(">$ cargo xtask run a</text>"));
        assert!(texts[1].ends_with(">1 &lt; 2 &amp; sha256 ...</text>"));
        assert!(texts[3].contains(COLOURS[2].1), "{}", texts[3]);
    }
}
