//! Draws the view of a log as characters in a buffer.

mod console;
mod frame;
mod mailbox;
mod ring;
pub(super) mod scene;
#[cfg(test)]
mod tests;
mod timeline;
mod turn;
mod vms;

use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::Style,
    text::{Line, Span},
    widgets::{Clear, Paragraph, Widget},
};

use guestlab_runlog::run_log::RunLog;

use super::{
    overlay::{self, Page},
    state::{Overlay, Prompt, Question},
    theme::{BAD, FAINT, GOOD, HERE, LEAST, STRONG, clean},
};
use frame::{block, within};
use scene::{Origin, Scene};

/// The largest area of a terminal that is drawn into.
const MOST: Rect = Rect::new(0, 0, 1000, 1000);

impl Scene<'_> {
    /// Draws the whole view.
    pub fn draw(&self, buffer: &mut Buffer) {
        let area = buffer.area.intersection(MOST);
        if area.width < LEAST.width || area.height < LEAST.height {
            return too_small(buffer, area);
        }
        let vms = vms::rows(self.log).min(area.height / 4 + 1) + 2;
        let timeline = if self.log.beginning().is_some() { timeline::height(area, self) } else { 0 };
        let [head, vm_area, middle, line, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(vms),
            Constraint::Fill(1),
            Constraint::Length(timeline),
            Constraint::Length(1),
        ])
        .areas(area);
        self.head(buffer, head);
        within(buffer, vm_area, block(" VMs "), |buffer, inside| vms::draw(buffer, inside, self));
        self.middle(buffer, middle);
        if timeline > 0 {
            timeline::draw(buffer, line, self);
        }
        self.foot(buffer, foot);
        if let Some(overlay) = self.view.overlay() {
            draw_page(buffer, area, overlay, self.log);
        }
    }

    /// Draws the ring or the mailbox on the left; the step's action and the guests' text on the right.
    fn middle(&self, buffer: &mut Buffer, area: Rect) {
        // A mailbox has few words, and a ring has many slots.
        let texts = match (self.log.beginning(), self.log.pointers(0)) {
            (None, _) => area.width,
            (Some(_), None) => area.width * 3 / 5,
            (Some(_), Some(_)) => 34.max(area.width * 2 / 5),
        };
        let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(texts)]).areas(area);
        let [step, printed] = self.texts(area.height).map(Constraint::Length);
        let [step, printed] = Layout::vertical([step, printed]).areas(right);
        if let Some(pointers) = self.log.pointers(self.turn()) {
            let facts = format!(
                " cons_p {}  prod_p {}  count {} of {} ",
                pointers.cons_p, pointers.prod_p, pointers.count, pointers.capacity
            );
            let block = block(" ring ").title_bottom(Line::raw(facts).right_aligned());
            within(buffer, left, block, |buffer, inside| ring::draw(buffer, inside, self, pointers));
        } else if left.width > 0 {
            let block = block(" mailbox ").title_bottom(Line::raw(mailbox::way(self)).right_aligned());
            within(buffer, left, block, |buffer, inside| mailbox::draw(buffer, inside, self));
        }
        if step.height > 0 {
            let is_crash = self.log.crash_at(self.view.step()).is_some();
            let more = if is_crash { " r shows the report " } else { "" };
            let title = self.step_title();
            let block = block(&title).title_bottom(Line::styled(more, FAINT).right_aligned());
            within(buffer, step, block, |buffer, inside| turn::draw(buffer, inside, self));
        }
        if printed.height > 0 {
            let whose =
                self.view.console_of().map_or(" printed ".into(), |vm| format!(" printed by VM {vm} "));
            within(buffer, printed, block(&whose), |buffer, inside| console::draw(buffer, inside, self));
        }
    }

    /// The heights of the step's action and of the guests' text.
    fn texts(&self, height: u16) -> [u16; 2] {
        let is_told = self.view.trace().is_some() || self.log.crash_at(self.view.step()).is_some();
        let step = match (self.log.beginning(), self.log.crash()) {
            (None, None) => 0,
            (Some(_), _) if self.log.outputs().is_empty() && (is_told || height < 10) => height,
            _ if is_told => (height / 3).max(height.saturating_sub(4).min(10)),
            _ => (height / 3).max(6).min(height.saturating_sub(3)),
        };
        [step, height - step]
    }

    fn step_title(&self) -> String {
        match (self.log.crash_at(self.view.step()), self.turn()) {
            (Some(_), _) => " crash ".into(),
            (None, 0) => " beginning ".into(),
            (None, turn) => format!(" turn {turn} "),
        }
    }

    /// Draws the name of the run, and the place of the view in it.
    fn head(&self, buffer: &mut Buffer, area: Rect) {
        let place = Line::from(self.place());
        let room = area.width.saturating_sub(u16::try_from(place.width()).unwrap_or(u16::MAX) + 2);
        let facts = self.facts();
        buffer.set_stringn(area.x, area.y, format!(" {facts}"), room as usize, STRONG);
        place.right_aligned().render(area, buffer);
    }

    /// For example `prodcons: ring of 6, random, seed 7`.
    fn facts(&self) -> String {
        let Some(run) = self.log.beginning() else {
            return clean(self.log.only_guest().unwrap_or("a guest that runs alone"));
        };
        let ring = run.capacity.map(|capacity| format!("ring of {capacity}"));
        let facts: Vec<String> = ring
            .into_iter()
            .chain([run.schedule.clone(), format!("seed {}", run.seed)])
            .chain((!run.repeatable).then(|| "not repeatable".into()))
            .collect();
        clean(&format!("{}: {}", run.experiment, facts.join(", ")))
    }

    fn place(&self) -> Vec<Span<'static>> {
        let (step, last) = (self.turn(), self.log.turns().len());
        let whole = self.log.beginning().and_then(|run| run.turns);
        let turn = match (self.log.crash_at(self.view.step()), self.log.beginning(), whole) {
            (_, None, _) => String::new(),
            (Some(_), ..) => format!("crash after turn {last} "),
            (.., Some(whole)) if self.origin == Origin::Running && step == last => {
                format!("turn {step} of {whole} ")
            }
            _ if self.origin == Origin::Running => format!("turn {step}, the run is at {last} "),
            _ => format!("turn {step} of {last} "),
        };
        let state = match (self.origin, self.log.ending(), self.log.crash()) {
            (Origin::Running, ..) => Span::styled("running ", GOOD),
            (_, _, Some(_)) => Span::styled("crashed ", BAD),
            (Origin::File, None, None) if self.log.exits().is_empty() => Span::styled("cut off ", BAD),
            _ => Span::styled("over ", FAINT),
        };
        let motion = match self.view.playing() {
            Some(speed) => format!("▶ {speed}/s "),
            None if self.view.follows() && self.origin == Origin::Running => "▶▶ live ".into(),
            None => "‖ ".into(),
        };
        vec![Span::styled(turn, STRONG), state, Span::raw(motion)]
    }

    /// Draws the question, the message about the last key, or the keys.
    fn foot(&self, buffer: &mut Buffer, area: Rect) {
        let width = area.width as usize;
        match (self.view.prompt(), self.view.note()) {
            (Some(Prompt { question, typed }), _) => {
                let asked = match question {
                    Question::Turn => "go to turn",
                    Question::Item => "look for item",
                };
                let (x, y) = buffer.set_stringn(area.x, area.y, format!(" {asked}: {typed}"), width, STRONG);
                let (x, _) = buffer.set_stringn(x, y, " ", (area.right() - x) as usize, HERE);
                let help = "   Enter: go there   Esc: do not";
                buffer.set_stringn(x, y, help, (area.right() - x) as usize, FAINT);
            }
            (None, Some(note)) => {
                buffer.set_stringn(area.x, area.y, format!(" {note}"), width, STRONG);
            }
            (None, None) => {
                let keys = " ←→ turn  Space play  +- speed  0-9 go to  / item  n N its way  ? help  q quit";
                buffer.set_stringn(area.x, area.y, keys, width, FAINT);
            }
        }
    }
}

fn too_small(buffer: &mut Buffer, area: Rect) {
    let lines = [
        format!("{}x{} is too small", area.width, area.height),
        format!("needed: {}x{}", LEAST.width, LEAST.height),
        "q quits".into(),
    ];
    for (row, line) in (area.y..area.bottom()).zip(lines) {
        buffer.set_stringn(area.x, row, line, area.width as usize, Style::new());
    }
}

/// Draws a page above all other parts.
fn draw_page(buffer: &mut Buffer, area: Rect, overlay: Overlay, log: &RunLog) {
    let lines = overlay::lines(overlay.page, log);
    let longest = lines.iter().map(Line::width).max().unwrap_or(0);
    let size = |length: usize, most: u16| u16::try_from(length + 3).unwrap_or(most).min(most);
    let (width, height) = (size(longest, area.width - 4), size(lines.len(), area.height - 2));
    let area = area.centered(Constraint::Length(width), Constraint::Length(height));
    Clear.render(area, buffer);
    let (title, is_longer) = match overlay.page {
        Page::Help => (" keys ", false),
        Page::Report => (" report ", lines.len() + 2 > usize::from(height)),
    };
    let keys = if is_longer { " ↑↓ scroll  Esc closes " } else { " Esc closes " };
    let block = block(title).title_bottom(Line::styled(keys, FAINT).right_aligned());
    let page = Paragraph::new(lines).scroll((overlay.scroll, 0));
    within(buffer, area, block, |buffer, inside| page.render(inside, buffer));
}
