//! Pages above the view: the keys, and the report of a crash.

use ratatui::text::{Line, Span};

use guestlab_runlog::{
    event::{Crash, CrashDetails, Frame, Instruction},
    run_log::RunLog,
};

use super::theme::{BAD, FAINT, LEAST, STRONG, clean};

/// A page above the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The keys.
    Help,
    /// The report of a crash.
    Report,
}

/// The keys, and what they do.
const KEYS: [(&str, &str); 17] = [
    ("Right  Left", "a turn forward, a turn back"),
    ("Down  Up", "ten turns"),
    ("PgDn  PgUp", "a hundred"),
    ("Home  End", "the beginning; the end, and along with a run that goes on"),
    ("0-9 Enter", "to a turn by its number"),
    ("Space", "play and pause"),
    ("+  -", "faster, slower"),
    ("/", "look for an item by its value, and follow it"),
    ("Enter", "follow an item of this turn; again: the next one"),
    ("n  N", "along its way: made, taken, next of its value; and back"),
    ("x", "follow it no longer"),
    ("Tab", "what each VM prints, one after another; then all of them"),
    ("r", "the report of a crash"),
    ("?", "this help"),
    ("q  Esc", "close the view; a run that goes on is ended"),
    ("Ctrl-C", "the same, and a run that goes on is interrupted"),
    ("", "a colour is a VM; what is filled was made by it"),
];

/// The largest number of characters of a line: the smallest terminal without the frame.
const LINE: usize = LEAST.width as usize - 8;

/// The lines of a page.
pub(super) fn lines(page: Page, log: &RunLog) -> Vec<Line<'static>> {
    match page {
        Page::Help => KEYS.iter().map(|&(keys, what)| row(keys, what)).collect(),
        Page::Report => log.crash().map_or_else(Vec::new, |crash| report(crash, log)),
    }
}

fn row(keys: &str, what: &'static str) -> Line<'static> {
    Line::from(vec![Span::styled(format!(" {keys:<12}  "), STRONG), Span::raw(what)])
}

/// The report of a crash.
fn report(crash: &Crash, log: &RunLog) -> Vec<Line<'static>> {
    let Crash { vm, name, turn, message, hint, details, .. } = crash;
    let when = match turn {
        Some(turn) => format!(", in turn {turn}"),
        None if log.beginning().is_some() => ", outside of a turn".into(),
        None => String::new(),
    };
    let mut lines =
        vec![Line::styled(format!(" VM {vm}, {}{when}: {}", clean(name), clean(&crash.kind())), BAD)];
    lines.extend(message.lines().flat_map(wrapped));
    if !hint.is_empty() {
        lines.extend(wrapped(&format!("try: {hint}")));
    }
    if let Some(details) = details {
        lines.extend(list("instructions", &details.instructions, instruction));
        lines.extend(registers(details));
        lines.extend(list("calls", &details.backtrace, call));
        lines.extend(list("last exits", &details.exits, String::clone));
        // There is no room for the columns of a trace.
        let narrow = |line: &String| line.split_whitespace().collect::<Vec<_>>().join(" ");
        lines.extend(list("last instructions", &details.last_instructions, narrow));
    }
    lines
}

fn section(title: &str) -> [Line<'static>; 2] {
    [Line::raw(""), Line::styled(format!(" {title}"), FAINT)]
}

/// Breaks a text into lines for the smallest terminal. Continued lines are indented.
fn wrapped(text: &str) -> Vec<Line<'static>> {
    let indent = " ".repeat(text.len() - text.trim_start_matches(' ').len() + 2);
    let mut lines = vec![String::new()];
    for word in clean(text).split(' ') {
        let last = lines.last_mut().expect("there is one");
        match last.chars().count() + word.chars().count() < LINE || last.trim().is_empty() {
            true => *last += &format!("{word} "),
            false => lines.push(format!("{indent}{word} ")),
        }
    }
    lines.into_iter().map(|line| Line::raw(format!(" {}", line.trim_end()))).collect()
}

/// A section with an item for each element, if there is one.
fn list<T>(title: &str, elements: &[T], text: impl Fn(&T) -> String) -> Vec<Line<'static>> {
    let items = elements.iter().flat_map(|element| wrapped(&format!("  {}", text(element))));
    match elements.is_empty() {
        true => Vec::new(),
        false => section(title).into_iter().chain(items).collect(),
    }
}

fn instruction(Instruction { address, text, here }: &Instruction) -> String {
    let here = if *here { ">" } else { " " };
    format!("{here} {address:#010x}  {text}")
}

fn registers(details: &CrashDetails) -> Vec<Line<'static>> {
    let registers = details.registers_by_name().into_iter();
    let named: Vec<String> = registers.map(|(name, value)| format!("{name:<6} {value:#x}")).collect();
    if named.is_empty() {
        return Vec::new();
    }
    let rows = named
        .chunks(3)
        .flat_map(|row| wrapped(&row.iter().map(|it| format!("  {it:<21}")).collect::<String>()));
    section("registers").into_iter().chain(rows).collect()
}

fn call(Frame { address, function, file, line, .. }: &Frame) -> String {
    let place = match (file, line) {
        (Some(file), Some(line)) => format!("  {file}:{line}"),
        _ => String::new(),
    };
    format!("{address:#010x}  {}{place}", function.as_deref().unwrap_or("?"))
}
