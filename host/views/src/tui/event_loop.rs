//! The loop of a view: keys, time, and what is told change it, and then it is drawn.

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
    terminal::{Input, Process, Screen},
};

/// How often the terminal is drawn at most: 30 times a second.
const FRAME: Duration = Duration::from_millis(33);

/// A log that may go on while it is shown.
pub struct Stage<'a> {
    /// The log.
    pub log: &'a Mutex<RunLog>,
    /// Whether there will be no more of it; `None` for a file's.
    pub is_over: Option<&'a AtomicBool>,
}

impl Stage<'_> {
    /// The log, locked.
    pub fn log(&self) -> MutexGuard<'_, RunLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the log comes from.
    pub fn origin(&self) -> Origin {
        match self.is_over {
            None => Origin::File,
            Some(is_over) if is_over.load(Ordering::Acquire) => Origin::Over,
            Some(_) => Origin::Running,
        }
    }
}

/// Why a view was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// With a key.
    Quit,
    /// With Ctrl-C.
    Interrupt,
    /// By a signal.
    Signal,
    /// The terminal has gone.
    Gone,
}

/// What has to change before something is drawn again.
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
/// The terminal cannot be had, or cannot be written to.
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
            // Looked at next is whether a signal gave up the writing.
            Err(_) if (process.is_interrupted)() => {}
            Err(error) if error.raw_os_error() == Some(libc::EIO) => return Ok(Closed::Gone),
            Err(error) => return Err(error),
        }
    }
}

/// What is known from frame to frame.
struct Show<'a> {
    stage: &'a Stage<'a>,
    view: View,
    /// When time was last looked at.
    last: Instant,
    /// What is on the screen; `None` if something else is to be there.
    shown: Option<Shown>,
}

impl Show<'_> {
    /// Draws what has changed, and waits for keys; whether the view is closed.
    fn frame(&mut self, screen: &mut Screen) -> io::Result<Option<Closed>> {
        if self.draw(screen)? {
            // Without the log: the terminal may be slow, and the run is not to wait for it.
            screen.put()?;
        }
        match screen.wait(FRAME)? {
            Input::Gone => Ok(Some(Closed::Gone)),
            Input::Keys(keys) => Ok(self.keys(&keys)),
        }
    }

    /// Draws the log as it is now, in memory; whether that is something new.
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
