//! What a view shows of a story: which step, played or followed, and what else was asked for. Keys and
//! time change it, and nothing else does; it draws nothing and waits for nothing.

use std::time::Duration;

use guestlab_runlog::story::Story;

use super::{
    follow_item::Way,
    keys::Key,
    overlay::{self, Page},
};

/// The speeds at which a story is played, in steps a second.
const SPEEDS: [u32; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// How far the arrows up and down go.
const LEAP: usize = 10;

/// How far page up and page down go.
const PAGE: usize = 100;

/// The most digits of a number that is typed: those of the largest item.
const DIGITS: usize = 10;

/// What a view shows.
#[derive(Clone, Debug)]
pub struct View {
    step: usize,
    follows: bool,
    plays: bool,
    /// Which of the speeds.
    speed: usize,
    /// The time that has been played and not been shown.
    owed: Duration,
    prompt: Option<Prompt>,
    overlay: Option<Overlay>,
    console_of: Option<u32>,
    way: Option<Way>,
    note: Option<String>,
}

/// Something that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// What.
    pub question: Question,
    /// What was typed.
    pub typed: String,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// A turn's number.
    Turn,
    /// An item's value.
    Item,
}

/// What lies above the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// What it shows.
    pub page: Page,
    /// How many lines it is scrolled down.
    pub scroll: u16,
}

/// What comes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The view goes on.
    Stay,
    /// It is to be closed.
    Close,
    /// So is it, and what runs is to be interrupted as by Ctrl-C.
    Interrupt,
}

impl View {
    /// A view of the beginning.
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
            way: None,
            note: None,
        }
    }

    /// A view that goes along with a story while it is told.
    pub fn following() -> Self {
        Self { follows: true, ..Self::new() }
    }

    /// The step that is shown; 0 is the beginning.
    pub fn step(&self) -> usize {
        self.step
    }

    /// Whether it goes along with the story.
    pub fn follows(&self) -> bool {
        self.follows
    }

    /// The speed at which it plays, in steps a second; `None` while it does not.
    pub fn playing(&self) -> Option<u32> {
        self.plays.then(|| self.speed())
    }

    /// The speed at which it would play.
    pub fn speed(&self) -> u32 {
        SPEEDS[self.speed]
    }

    /// What is asked for.
    pub fn prompt(&self) -> Option<&Prompt> {
        self.prompt.as_ref()
    }

    /// What lies above it.
    pub fn overlay(&self) -> Option<Overlay> {
        self.overlay
    }

    /// The VM whose text alone is shown.
    pub fn console_of(&self) -> Option<u32> {
        self.console_of
    }

    /// The item that is followed.
    pub fn way(&self) -> Option<Way> {
        self.way
    }

    /// What came of the last key, where that has to be said.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Takes a key.
    pub fn key(&mut self, key: Key, story: &Story) -> Wish {
        self.note = None;
        match key {
            Key::Interrupt => return Wish::Interrupt,
            _ if self.prompt.is_some() => self.answer(key, story),
            _ if self.overlay.is_some() => self.turn_page(key, story),
            Key::Char('q') | Key::Escape => return Wish::Close,
            Key::Right | Key::Char('l') => self.go(self.step.saturating_add(1), story),
            Key::Left | Key::Char('h') => self.go(self.step.saturating_sub(1), story),
            Key::Down => self.go(self.step.saturating_add(LEAP), story),
            Key::Up => self.go(self.step.saturating_sub(LEAP), story),
            Key::PageDown => self.go(self.step.saturating_add(PAGE), story),
            Key::PageUp => self.go(self.step.saturating_sub(PAGE), story),
            Key::Home => self.go(0, story),
            Key::End => {
                self.go(usize::MAX, story);
                self.follows = true;
            }
            Key::Char(' ') => self.play(story),
            Key::Char('+' | '=') => self.speed = (self.speed + 1).min(SPEEDS.len() - 1),
            Key::Char('-') => self.speed = self.speed.saturating_sub(1),
            Key::Char('g') => self.ask(Question::Turn, String::new()),
            Key::Char(digit @ '0'..='9') => self.ask(Question::Turn, digit.into()),
            Key::Char('/') => self.ask(Question::Item, String::new()),
            Key::Char('n') => self.walk(Way::next, story),
            Key::Char('N') => self.walk(Way::previous, story),
            Key::Enter => self.follow_one_of_this_turn(story),
            Key::Char('x') => self.way = None,
            Key::Tab => self.next_console(story),
            Key::Char('?') => self.overlay = Some(Overlay { page: Page::Help, scroll: 0 }),
            Key::Char('r') => self.report(story),
            Key::Char(_) | Key::Backspace => {}
        }
        Wish::Stay
    }

    /// Lets time pass; whether it changed something.
    pub fn pass(&mut self, time: Duration, story: &Story) -> bool {
        let before = self.step;
        if self.follows {
            self.step = story.steps();
        }
        if self.plays {
            let period = (Duration::from_secs(1) / self.speed()).as_nanos();
            let owed = (self.owed + time).as_nanos();
            let rest = u64::try_from(owed % period).expect("less than a second");
            self.owed = Duration::from_nanos(rest);
            let steps = usize::try_from(owed / period).unwrap_or(usize::MAX);
            self.step = self.step.saturating_add(steps).min(story.steps());
        }
        self.step != before
    }

    /// There will be no more of the story: what has been played to its end stops.
    pub fn rest_at_end(&mut self, story: &Story) {
        self.plays &= self.step < story.steps();
    }

    /// Shows a step, or the last if there are not so many.
    pub fn go(&mut self, step: usize, story: &Story) {
        self.step = step.min(story.steps());
        (self.follows, self.plays) = (false, false);
    }

    /// Follows the next item of this value, and shows where it was made.
    pub fn find(&mut self, value: u32, story: &Story) {
        match Way::of(value, self.step, story) {
            Some(way) => self.show_way(way, story),
            None => self.note = Some(format!("no item {value} was made")),
        }
    }

    /// Shows a turn.
    fn go_to_turn(&mut self, turn: usize, story: &Story) {
        self.go(turn, story);
        if turn > story.steps() {
            self.note = Some(format!("there is no turn {turn}; this is the last"));
        }
    }

    fn play(&mut self, story: &Story) {
        if !self.plays && !self.follows && self.step == story.steps() {
            self.step = 0;
        }
        (self.plays, self.follows, self.owed) = (!self.plays, false, Duration::ZERO);
    }

    fn ask(&mut self, question: Question, typed: String) {
        self.prompt = Some(Prompt { question, typed });
    }

    /// Takes a key of an answer.
    fn answer(&mut self, key: Key, story: &Story) {
        let Some(Prompt { question, mut typed }) = self.prompt.take() else { return };
        match key {
            Key::Escape => return,
            Key::Enter => {
                if let Ok(number) = typed.parse::<u64>() {
                    self.answered(question, number, story);
                }
                return;
            }
            Key::Char(digit @ '0'..='9') if typed.len() < DIGITS => typed.push(digit),
            Key::Backspace => drop(typed.pop()),
            _ => {}
        }
        self.ask(question, typed);
    }

    fn answered(&mut self, question: Question, number: u64, story: &Story) {
        match (question, u32::try_from(number)) {
            (Question::Turn, _) => self.go_to_turn(usize::try_from(number).unwrap_or(usize::MAX), story),
            (Question::Item, Ok(value)) => self.find(value, story),
            (Question::Item, Err(_)) => self.note = Some(format!("no item is as large as {number}")),
        }
    }

    /// Goes along the way of what is followed.
    fn walk(&mut self, next: fn(Way, &Story) -> Way, story: &Story) {
        match self.way {
            Some(way) => self.show_way(next(way, story), story),
            None => self.note = Some("no item is followed: / looks for one".into()),
        }
    }

    fn show_way(&mut self, way: Way, story: &Story) {
        self.go(way.turn(story), story);
        self.way = Some(way);
    }

    /// Follows an item that the turn moved: the one after the one that is followed, or the first.
    fn follow_one_of_this_turn(&mut self, story: &Story) {
        let moved = story.moved(self.step);
        let after = self.way.map(|way| way.item + 1).filter(|item| moved.contains(item));
        match after.or((!moved.is_empty()).then_some(moved.start)) {
            Some(item) => self.way = Some(Way::seen(item, self.step, story)),
            None => self.note = Some("this turn moved no item that could be followed".into()),
        }
    }

    fn next_console(&mut self, story: &Story) {
        let vms = story.beginning().map_or(1, |run| run.guests.len());
        let next = self.console_of.map_or(1, |vm| vm + 1);
        self.console_of = (vms > 1 && next as usize <= vms).then_some(next);
    }

    fn report(&mut self, story: &Story) {
        match story.crash() {
            Some(_) => self.overlay = Some(Overlay { page: Page::Report, scroll: 0 }),
            None => self.note = Some("no guest crashed: there is no report".into()),
        }
    }

    /// Takes a key for what lies above.
    fn turn_page(&mut self, key: Key, story: &Story) {
        let Some(overlay) = &mut self.overlay else { return };
        let last = overlay::lines(overlay.page, story).len().saturating_sub(1);
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
