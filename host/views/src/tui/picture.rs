//! A picture of what is drawn, as SVG: the same for the same buffer, for dark and for light pages.
//!
//! Fonts differ in the width of their characters. So each word has its place, lines of frames are lines,
//! and bars are boxes, wherever the picture is shown.

use std::fmt::Write;

use ratatui::{
    buffer::{Buffer, Cell},
    layout::Rect,
    style::{Color, Modifier},
};

/// The width of a cell, in the picture's units.
const WIDTH: f32 = 8.4;

/// The height of a cell.
const HEIGHT: f32 = 17.0;

/// Where the line is that text stands on, from the top of its cell.
const BASE: f32 = 12.5;

/// The room around the screen.
const MARGIN: f32 = 12.0;

/// The colours: first those of a light page, then of a dark one. `f` is a foreground, `b` a background; without a
/// number they are the page's.
const STYLE: &str = "\
text{font:14px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;white-space:pre}\
.m{text-anchor:middle}.bold{font-weight:700}.dim{opacity:.6}.gone{text-decoration:line-through}\
path{fill:none;stroke-width:1.2}\
.b{fill:#fff}.f{fill:#1f2328}.f0{fill:#0d1117}.f1{fill:#cf222e}.f2{fill:#1a7f37}.f4{fill:#0969da}\
.f5{fill:#8250df}.f6{fill:#0a7c86}.f8{fill:#6e7781}.f9{fill:#bc4c00}.f13{fill:#bf3989}\
.b1{fill:#ff8182}.b2{fill:#7fdb94}.b4{fill:#80bdff}.b5{fill:#cdacff}.b6{fill:#76d8e0}.b8{fill:#afb8c1}\
.b9{fill:#ffb77c}.b11{fill:#ffd33d}.b13{fill:#ff9bce}\
.s{stroke:#1f2328}.s1{stroke:#cf222e}.s2{stroke:#1a7f37}.s4{stroke:#0969da}.s5{stroke:#8250df}\
.s6{stroke:#0a7c86}.s8{stroke:#b6bec7}.s9{stroke:#bc4c00}.s13{stroke:#bf3989}\
@media(prefers-color-scheme:dark){\
.b{fill:#0d1117}.f{fill:#e6edf3}.f1{fill:#ff7b72}.f2{fill:#56d364}.f4{fill:#79c0ff}\
.f5{fill:#d2a8ff}.f6{fill:#56d4dd}.f8{fill:#8b949e}.f9{fill:#ffa657}.f13{fill:#ff9bce}\
.b1{fill:#f85149}.b2{fill:#3fb950}.b4{fill:#58a6ff}.b5{fill:#bc8cff}.b6{fill:#39c5cf}.b8{fill:#484f58}\
.b9{fill:#f0883e}.b11{fill:#f2cc60}.b13{fill:#f778ba}\
.s{stroke:#e6edf3}.s1{stroke:#ff7b72}.s2{stroke:#56d364}.s4{stroke:#79c0ff}.s5{stroke:#d2a8ff}\
.s6{stroke:#56d4dd}.s8{stroke:#484f58}.s9{stroke:#ffa657}.s13{stroke:#ff9bce}}";

/// The picture of a buffer.
pub fn svg(buffer: &Buffer) -> String {
    let Rect { width, height, .. } = buffer.area;
    let (wide, high) = (f32::from(width) * WIDTH + 2.0 * MARGIN, f32::from(height) * HEIGHT + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{wide:.1}\" height=\"{high:.1}\" \
         viewBox=\"0 0 {wide:.1} {high:.1}\">\n<title>guestlab view</title>\n<style>{STYLE}</style>\n\
         <rect class=\"b\" width=\"100%\" height=\"100%\" rx=\"8\"/>\n"
    );
    for row in 0..height {
        for paint in [backgrounds, shapes, words] {
            paint(&mut svg, buffer, row);
        }
    }
    svg += "</svg>\n";
    svg
}

/// How a cell looks, with what is reversed turned round.
#[derive(PartialEq, Eq)]
struct Look {
    /// The numbers of its colours; empty for the page's.
    fore: String,
    back: Option<String>,
    modifiers: Modifier,
}

impl Look {
    fn of(cell: &Cell) -> Self {
        let modifiers = cell.modifier;
        match modifiers.contains(Modifier::REVERSED) {
            false => {
                let back = (cell.bg != Color::Reset).then(|| format!("b{}", number(cell.bg)));
                Self { fore: format!("f{}", number(cell.fg)), back, modifiers }
            }
            // The page's colours have their classes, and swap them.
            true => {
                let fore = if cell.bg == Color::Reset { "b".into() } else { format!("f{}", number(cell.bg)) };
                Self { fore, back: Some(format!("f{}", number(cell.fg))), modifiers }
            }
        }
    }

    /// The classes of a text.
    fn classes(&self) -> String {
        let mut classes = self.fore.clone();
        for (modifier, class) in
            [(Modifier::BOLD, " bold"), (Modifier::DIM, " dim"), (Modifier::CROSSED_OUT, " gone")]
        {
            if self.modifiers.contains(modifier) {
                classes += class;
            }
        }
        classes
    }
}

/// A colour's number among the terminal's sixteen; nothing for the page's.
fn number(color: Color) -> &'static str {
    match color {
        Color::Black => "0",
        Color::Red => "1",
        Color::Green => "2",
        Color::Blue => "4",
        Color::Magenta => "5",
        Color::Cyan => "6",
        Color::DarkGray => "8",
        Color::LightRed => "9",
        Color::LightYellow => "11",
        Color::LightMagenta => "13",
        _ => "",
    }
}

fn left(column: u16) -> f32 {
    MARGIN + f32::from(column) * WIDTH
}

fn top(row: u16) -> f32 {
    MARGIN + f32::from(row) * HEIGHT
}

/// The cells of a row, with their columns.
fn cells(buffer: &Buffer, row: u16) -> impl Iterator<Item = (u16, &Cell)> {
    (0..buffer.area.width).map(move |column| (column, &buffer[(column, row)]))
}

/// What lies behind the text: boxes.
fn backgrounds(svg: &mut String, buffer: &Buffer, row: u16) {
    let mut boxes: Vec<(u16, u16, String)> = Vec::new();
    for (column, cell) in cells(buffer, row) {
        let Some(back) = Look::of(cell).back else { continue };
        match boxes.last_mut() {
            Some((first, wide, same)) if *first + *wide == column && *same == back => *wide += 1,
            _ => boxes.push((column, 1, back)),
        }
    }
    for (column, wide, back) in boxes {
        rectangle(svg, &back, [left(column), top(row), f32::from(wide) * WIDTH, HEIGHT]);
    }
}

fn rectangle(svg: &mut String, class: &str, [x, y, wide, high]: [f32; 4]) {
    text(
        svg,
        format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\"/>\n"
        ),
    );
}

fn text(svg: &mut String, text: std::fmt::Arguments<'_>) {
    svg.write_fmt(text).expect("a String takes all text");
}

/// Lines of frames, and bars.
fn shapes(svg: &mut String, buffer: &Buffer, row: u16) {
    for (column, cell) in cells(buffer, row) {
        let look = Look::of(cell);
        let symbol = cell.symbol();
        if let Some(eighths) = eighths(symbol) {
            let high = HEIGHT * f32::from(eighths) / 8.0;
            rectangle(svg, &look.fore, [left(column), top(row) + HEIGHT - high, WIDTH, high]);
        } else if let Some(path) = line(symbol, left(column), top(row)) {
            let class = look.fore.replacen('f', "s", 1);
            text(svg, format_args!("<path class=\"{class}\" d=\"{path}\"/>\n"));
        }
    }
}

/// How high a bar is.
fn eighths(symbol: &str) -> Option<u16> {
    let symbol = u32::from(symbol.chars().next()?);
    // Unicode has the eight of them one after another, from ▁ to █.
    (0x2581..=0x2588).contains(&symbol).then(|| u16::try_from(symbol - 0x2580).unwrap_or(8))
}

/// The line that a character is, in the cell at a place.
fn line(symbol: &str, x: f32, y: f32) -> Option<String> {
    let (right, bottom) = (x + WIDTH, y + HEIGHT);
    let (middle, half) = (x + WIDTH / 2.0, y + HEIGHT / 2.0);
    let corner = |x: f32, y: f32| format!("M{x:.1} {half:.1}Q{middle:.1} {half:.1} {middle:.1} {y:.1}");
    let angle = |x: f32, y: f32| format!("M{x:.1} {half:.1}H{middle:.1}V{y:.1}");
    Some(match symbol {
        "─" | "━" => format!("M{x:.1} {half:.1}H{right:.1}"),
        "│" => format!("M{middle:.1} {y:.1}V{bottom:.1}"),
        "╵" => format!("M{middle:.1} {y:.1}V{half:.1}"),
        "╭" => corner(right, bottom),
        "╮" => corner(x, bottom),
        "╰" => corner(right, y),
        "╯" => corner(x, y),
        "┌" => angle(right, bottom),
        "┐" => angle(x, bottom),
        "└" => angle(right, y),
        "┘" => angle(x, y),
        _ => return None,
    })
}

/// Words: what stands together and looks the same. Symbols stand alone, in the middle of their cells.
fn words(svg: &mut String, buffer: &Buffer, row: u16) {
    let mut words: Vec<(u16, u16, Look, String)> = Vec::new();
    for (column, cell) in cells(buffer, row) {
        let symbol = cell.symbol();
        let is_shape = eighths(symbol).is_some() || line(symbol, 0.0, 0.0).is_some();
        if symbol.trim().is_empty() || is_shape {
            continue;
        }
        let look = Look::of(cell);
        match words.last_mut() {
            Some((_, end, same, word))
                if *end == column && *same == look && symbol.is_ascii() && word.is_ascii() =>
            {
                word.push_str(symbol);
                *end += 1;
            }
            _ => words.push((column, column + 1, look, symbol.into())),
        }
    }
    for (column, _, look, word) in words {
        let (x, class) = match word.is_ascii() {
            true => (left(column), ""),
            false => (left(column) + WIDTH / 2.0, "m "),
        };
        let (classes, y) = (look.classes(), top(row) + BASE);
        let word = word.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        text(svg, format_args!("<text class=\"{class}{classes}\" x=\"{x:.1}\" y=\"{y:.1}\">{word}</text>\n"));
    }
}
