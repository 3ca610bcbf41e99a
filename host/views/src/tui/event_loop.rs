//! The event loop of a view: it handles keys, time and new events, and then draws.

use std::{
    io,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use guestlab_runlog::run_log::RunLog;

use super::{
    draw::scene::{Origin, Scene},
    keys::Key,
    state::{View, Wish},
    terminal::{Input, Process, Screen, is_gone},
};

/// The shortest time between two frames: 30 frames per second.
const FRAME: Duration = Duration::from_millis(33);

/// A log that may grow while it is shown.
pub struct Stage<'a> {
    /// The log.
    pub log: &'a Mutex<RunLog>,
    /// True once the log is complete; `None` for a file.
    pub is_over: Option<&'a AtomicBool>,
}

impl Stage<'_> {
    /// The log, locked.
    pub fn log(&self) -> MutexGuard<'_, RunLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The origin of the log.
    pub fn origin(&self) -> Origin {
        match self.is_over {
            None => Origin::File,
            Some(is_over) if is_over.load(Ordering::Acquire) => Origin::Over,
            Some(_) => Origin::Running,
        }
    }
}

/// The reason why a view was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// A key.
    Quit,
    /// Ctrl-C.
    Interrupt,
    /// A signal.
    Signal,
    /// The terminal is gone.
    Gone,
}

/// The values that decide whether the view is drawn again.
type Shown = (Origin, usize, usize, usize, bool);

fn shown(origin: Origin, log: &RunLog) -> Shown {
    // Text is appended to what is there.
    let printed = log.outputs().last().map_or(0, |output| output.text.len());
    (origin, log.steps(), log.outputs().len(), printed, log.ending().is_some() || !log.exits().is_empty())
}

/// Shows a log until the view is closed. A signal closes it.
///
/// # Errors
///
/// The terminal cannot be used.
pub fn show(stage: &Stage<'_>, view: View, process: &Process<'_>) -> io::Result<Closed> {
    let mut screen = Screen::open(process)?;
    let mut show = Show { stage, view, last: Instant::now(), shown: None };
    loop {
        if (process.is_interrupted)() {
            return Ok(Closed::Signal);
        }
        match show.frame(&mut screen) {
            Ok(None) => {}
            Ok(Some(closed)) => return Ok(closed),
            // The next pass checks whether a signal ended the writing.
            Err(_) if (process.is_interrupted)() => {}
            Err(error) if is_gone(&error) => return Ok(Closed::Gone),
            Err(error) => return Err(error),
        }
    }
}

/// The state from frame to frame.
struct Show<'a> {
    stage: &'a Stage<'a>,
    view: View,
    /// The time of the last frame.
    last: Instant,
    /// The values of the drawn frame; `None` if the view changed.
    shown: Option<Shown>,
}

impl Show<'_> {
    /// Draws changes, and waits for keys; returns the reason if the view closes.
    fn frame(&mut self, screen: &mut Screen) -> io::Result<Option<Closed>> {
        if self.draw(screen)? {
            // The log is not locked here: the terminal may be slow, and the run must not wait for it.
            screen.put()?;
        }
        match screen.wait(FRAME)? {
            Input::Gone => Ok(Some(Closed::Gone)),
            Input::Keys(keys) => Ok(self.keys(&keys)),
        }
    }

    /// Draws the log in memory; returns true if something changed.
    fn draw(&mut self, screen: &mut Screen) -> io::Result<bool> {
        let origin = self.stage.origin();
        let log = self.stage.log();
        let passed = self.view.pass(self.last.elapsed(), &log);
        self.last = Instant::now();
        if origin != Origin::Running {
            self.view.rest_at_end(&log);
        }
        let now = Some(shown(origin, &log));
        let is_new = passed || self.shown != now || screen.is_stale();
        if is_new {
            screen.draw(&Scene { log: &log, view: &self.view, origin })?;
            self.shown = now;
        }
        Ok(is_new)
    }

    fn keys(&mut self, keys: &[Key]) -> Option<Closed> {
        let log = self.stage.log();
        for &key in keys {
            self.shown = None;
            match self.view.key(key, &log) {
                Wish::Stay => {}
                Wish::Close => return Some(Closed::Quit),
                Wish::Interrupt => return Some(Closed::Interrupt),
            }
        }
        None
    }
}
