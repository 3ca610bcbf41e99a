//! The state of a view: its step, whether it plays or follows the run, and its prompts. Only keys and time change it.
//! It draws nothing and waits for nothing.

use std::time::Duration;

use guestlab_runlog::run_log::RunLog;

use super::{
    follow_item::ItemTrace,
    keys::Key,
    overlay::{self, Page},
};

/// The speeds of playing, in steps per second.
const SPEEDS: [u32; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// The steps of the up and down arrows.
const LEAP: usize = 10;

/// The steps of page up and page down.
const PAGE: usize = 100;

/// The largest number of digits that can be typed: those of the largest item.
const DIGITS: usize = 10;

/// The state of a view.
#[derive(Clone, Debug)]
pub struct View {
    step: usize,
    follows: bool,
    plays: bool,
    /// The index of the speed.
    speed: usize,
    /// The time that has passed since the last step was shown.
    owed: Duration,
    prompt: Option<Prompt>,
    overlay: Option<Overlay>,
    console_of: Option<u32>,
    trace: Option<ItemTrace>,
    note: Option<String>,
}

/// A question to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The question.
    pub question: Question,
    /// The digits that were typed.
    pub typed: String,
}

/// The kinds of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// A turn's number.
    Turn,
    /// An item's value.
    Item,
}

/// The page above the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// The page.
    pub page: Page,
    /// The number of lines that are scrolled away.
    pub scroll: u16,
}

/// The result of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The view goes on.
    Stay,
    /// The view closes.
    Close,
    /// The view closes, and the run is interrupted as by Ctrl-C.
    Interrupt,
}

impl View {
    /// A view at the beginning of the run.
    pub fn new() -> Self {
        Self {
            step: 0,
            follows: false,
            plays: false,
            speed: 2,
            owed: Duration::ZERO,
            prompt: None,
            overlay: None,
            console_of: None,
            trace: None,
            note: None,
        }
    }

    /// A view that follows a run while it goes on.
    pub fn following() -> Self {
        Self { follows: true, ..Self::new() }
    }

    /// The step that is shown; 0 is the beginning.
    pub fn step(&self) -> usize {
        self.step
    }

    /// Returns true if the view follows the run.
    pub fn follows(&self) -> bool {
        self.follows
    }

    /// The speed of playing, in steps per second; `None` while it does not play.
    pub fn playing(&self) -> Option<u32> {
        self.plays.then(|| self.speed())
    }

    /// The speed that playing would have.
    pub fn speed(&self) -> u32 {
        SPEEDS[self.speed]
    }

    /// The question to the user.
    pub fn prompt(&self) -> Option<&Prompt> {
        self.prompt.as_ref()
    }

    /// The page above the view.
    pub fn overlay(&self) -> Option<Overlay> {
        self.overlay
    }

    /// The only VM whose text is shown.
    pub fn console_of(&self) -> Option<u32> {
        self.console_of
    }

    /// The item that is followed.
    pub fn trace(&self) -> Option<ItemTrace> {
        self.trace
    }

    /// A message about the last key, if there is one.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Takes a key.
    pub fn key(&mut self, key: Key, log: &RunLog) -> Wish {
        self.note = None;
        match key {
            Key::Interrupt => return Wish::Interrupt,
            _ if self.prompt.is_some() => self.answer(key, log),
            _ if self.overlay.is_some() => self.turn_page(key, log),
            Key::Char('q') | Key::Escape => return Wish::Close,
            Key::Right | Key::Char('l') => self.go(self.step.saturating_add(1), log),
            Key::Left | Key::Char('h') => self.go(self.step.saturating_sub(1), log),
            Key::Down => self.go(self.step.saturating_add(LEAP), log),
            Key::Up => self.go(self.step.saturating_sub(LEAP), log),
            Key::PageDown => self.go(self.step.saturating_add(PAGE), log),
            Key::PageUp => self.go(self.step.saturating_sub(PAGE), log),
            Key::Home => self.go(0, log),
            Key::End => {
                self.go(usize::MAX, log);
                self.follows = true;
            }
            Key::Char(' ') => self.play(log),
            Key::Char('+' | '=') => self.speed = (self.speed + 1).min(SPEEDS.len() - 1),
            Key::Char('-') => self.speed = self.speed.saturating_sub(1),
            Key::Char('g') => self.ask(Question::Turn, String::new()),
            Key::Char(digit @ '0'..='9') => self.ask(Question::Turn, digit.into()),
            Key::Char('/') => self.ask(Question::Item, String::new()),
            Key::Char('n') => self.walk(ItemTrace::next, log),
            Key::Char('N') => self.walk(ItemTrace::previous, log),
            Key::Enter => self.follow_one_of_this_turn(log),
            Key::Char('x') => self.trace = None,
            Key::Tab => self.next_console(log),
            Key::Char('?') => self.overlay = Some(Overlay { page: Page::Help, scroll: 0 }),
            Key::Char('r') => self.report(log),
            Key::Char(_) | Key::Backspace => {}
        }
        Wish::Stay
    }

    /// Lets time pass; returns true if the step changed.
    pub fn pass(&mut self, time: Duration, log: &RunLog) -> bool {
        let before = self.step;
        if self.follows {
            self.step = log.steps();
        }
        if self.plays {
            let period = (Duration::from_secs(1) / self.speed()).as_nanos();
            let owed = (self.owed + time).as_nanos();
            let rest = u64::try_from(owed % period).expect("less than a second");
            self.owed = Duration::from_nanos(rest);
            let steps = usize::try_from(owed / period).unwrap_or(usize::MAX);
            self.step = self.step.saturating_add(steps).min(log.steps());
        }
        self.step != before
    }

    /// Stops playing at the end: the log is complete.
    pub fn rest_at_end(&mut self, log: &RunLog) {
        self.plays &= self.step < log.steps();
    }

    /// Shows a step, or the last step if there are fewer.
    pub fn go(&mut self, step: usize, log: &RunLog) {
        self.step = step.min(log.steps());
        (self.follows, self.plays) = (false, false);
    }

    /// Follows the next item of this value, and shows where it was made.
    pub fn find(&mut self, value: u32, log: &RunLog) {
        match ItemTrace::of(value, self.step, log) {
            Some(trace) => self.show_trace(trace, log),
            None => self.note = Some(format!("no item {value} was made")),
        }
    }

    /// Shows a turn.
    fn go_to_turn(&mut self, turn: usize, log: &RunLog) {
        self.go(turn, log);
        if turn > log.steps() {
            self.note = Some(format!("there is no turn {turn}; this is the last"));
        }
    }

    fn play(&mut self, log: &RunLog) {
        if !self.plays && !self.follows && self.step == log.steps() {
            self.step = 0;
        }
        (self.plays, self.follows, self.owed) = (!self.plays, false, Duration::ZERO);
    }

    fn ask(&mut self, question: Question, typed: String) {
        self.prompt = Some(Prompt { question, typed });
    }

    /// Takes a key of the answer to a question.
    fn answer(&mut self, key: Key, log: &RunLog) {
        let Some(Prompt { question, mut typed }) = self.prompt.take() else { return };
        match key {
            Key::Escape => return,
            Key::Enter => {
                if let Ok(number) = typed.parse::<u64>() {
                    self.answered(question, number, log);
                }
                return;
            }
            Key::Char(digit @ '0'..='9') if typed.len() < DIGITS => typed.push(digit),
            Key::Backspace => drop(typed.pop()),
            _ => {}
        }
        self.ask(question, typed);
    }

    fn answered(&mut self, question: Question, number: u64, log: &RunLog) {
        match (question, u32::try_from(number)) {
            (Question::Turn, _) => self.go_to_turn(usize::try_from(number).unwrap_or(usize::MAX), log),
            (Question::Item, Ok(value)) => self.find(value, log),
            (Question::Item, Err(_)) => self.note = Some(format!("no item is as large as {number}")),
        }
    }

    /// Goes to the next or the previous end of the followed item's trace.
    fn walk(&mut self, next: fn(ItemTrace, &RunLog) -> ItemTrace, log: &RunLog) {
        match self.trace {
            Some(trace) => self.show_trace(next(trace, log), log),
            None => self.note = Some("no item is followed: / looks for one".into()),
        }
    }

    fn show_trace(&mut self, trace: ItemTrace, log: &RunLog) {
        self.go(trace.turn(log), log);
        self.trace = Some(trace);
    }

    /// Follows an item that the turn moved: the one after the followed item, or the first.
    fn follow_one_of_this_turn(&mut self, log: &RunLog) {
        let moved = log.moved(self.step);
        let after = self.trace.map(|trace| trace.item + 1).filter(|item| moved.contains(item));
        match after.or((!moved.is_empty()).then_some(moved.start)) {
            Some(item) => self.trace = Some(ItemTrace::seen(item, self.step, log)),
            None => self.note = Some("this turn moved no item that could be followed".into()),
        }
    }

    fn next_console(&mut self, log: &RunLog) {
        let vms = log.beginning().map_or(1, |run| run.guests.len());
        let next = self.console_of.map_or(1, |vm| vm + 1);
        self.console_of = (vms > 1 && next as usize <= vms).then_some(next);
    }

    fn report(&mut self, log: &RunLog) {
        match log.crash() {
            Some(_) => self.overlay = Some(Overlay { page: Page::Report, scroll: 0 }),
            None => self.note = Some("no guest crashed: there is no report".into()),
        }
    }

    /// Takes a key for the page above the view.
    fn turn_page(&mut self, key: Key, log: &RunLog) {
        let Some(overlay) = &mut self.overlay else { return };
        let last = overlay::lines(overlay.page, log).len().saturating_sub(1);
        let scroll = &mut overlay.scroll;
        match key {
            Key::Down => *scroll = scroll.saturating_add(1),
            Key::Up => *scroll = scroll.saturating_sub(1),
            Key::PageDown | Key::Char(' ') => *scroll = scroll.saturating_add(10),
            Key::PageUp => *scroll = scroll.saturating_sub(10),
            Key::Home => *scroll = 0,
            Key::Escape | Key::Enter | Key::Char('q' | '?' | 'r') => self.overlay = None,
            _ => {}
        }
        if let Some(overlay) = &mut self.overlay {
            overlay.scroll = overlay.scroll.min(u16::try_from(last).unwrap_or(u16::MAX));
        }
    }
}

impl Default for View {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
