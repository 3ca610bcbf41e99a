//! The terminal while a view has it: in raw mode, on the alternate screen. Every way out restores it.

#[cfg(unix)]
mod decoder;
mod input;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::{
    io::{self, BufWriter, Write},
    panic,
    sync::{Mutex, MutexGuard, PoisonError, TryLockError},
    thread,
    time::{Duration, Instant},
};

use ratatui::{
    backend::{Backend, ClearType, CrosstermBackend},
    buffer::Buffer,
    crossterm::{
        cursor, execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
    layout::{Position, Rect, Size},
};

use super::draw::scene::Scene;

#[cfg(unix)]
use unix::{Keyboard, can_write, given_back, has_resumed, is_resumed, taking};
#[cfg(windows)]
use windows::{Keyboard, can_write, given_back, has_resumed, is_resumed, taking};

pub(super) use input::Input;
#[cfg(unix)]
pub(super) use unix::is_gone;
#[cfg(windows)]
pub(super) use windows::is_gone;

/// The largest area that is drawn. A terminal may report any size, and each cell takes memory.
const MOST: Size = Size::new(500, 300);

/// The time to wait before the terminal is restored: another thread may be writing to it, or it may take no output.
const PATIENCE: Duration = Duration::from_millis(500);

/// The writer of the terminal, while a view has it. The lock is held while something is written.
static TAKEN: Mutex<Option<MakeWriter>> = Mutex::new(None);

/// Makes the writer to a terminal.
type MakeWriter = fn() -> io::Result<Box<dyn Write + Send>>;

/// The parts of the process that a view in the terminal needs.
#[derive(Clone, Copy)]
pub struct Process<'a> {
    /// Returns true once a signal has asked the process to end.
    pub is_interrupted: &'a dyn Fn() -> bool,
    /// Takes a function that is called before the process ends by such a signal.
    pub before_death: fn(fn()),
    /// Makes a writer to standard output that gives up if the terminal takes nothing and the process is to end.
    pub writer: fn() -> io::Result<Box<dyn Write + Send>>,
}

/// The terminal. Dropping it restores it; so do a panic and a signal.
pub(super) struct Screen {
    /// Not ratatui's `Terminal`: when dropped, it prints to standard error, which may be the terminal that takes no
    /// output.
    backend: CrosstermBackend<BufWriter<Box<dyn Write + Send>>>,
    /// The content of the terminal; `None` if it is not known.
    shown: Option<Buffer>,
    /// The next content.
    next: Buffer,
    keyboard: Keyboard,
}

impl Screen {
    /// Takes the terminal of standard output.
    ///
    /// # Errors
    ///
    /// It cannot be taken.
    pub(super) fn open(process: &Process<'_>) -> io::Result<Self> {
        let keyboard = Keyboard::open()?;
        let mut backend = CrosstermBackend::new(BufWriter::new((process.writer)()?));
        (process.before_death)(give_back);
        let mut taken = lock();
        *taken = Some(process.writer);
        let outcome = taking(&keyboard, || {
            enable_raw_mode().and_then(|()| execute!(backend, EnterAlternateScreen, cursor::Hide))
        });
        drop(taken);
        give_back_on_panic();
        // Dropping it restores a terminal that was taken in part.
        let next = Buffer::empty(Rect::ZERO);
        let screen = Self { backend, shown: None, next, keyboard };
        outcome.map(|()| screen)
    }

    /// Draws a scene in memory.
    ///
    /// # Errors
    ///
    /// The terminal's size is not known.
    pub(super) fn draw(&mut self, scene: &Scene<'_>) -> io::Result<()> {
        self.next.resize(Rect::from((Position::ORIGIN, self.size()?)));
        self.next.reset();
        scene.draw(&mut self.next);
        Ok(())
    }

    fn size(&self) -> io::Result<Size> {
        let Size { width, height } = self.backend.size()?;
        Ok(Size::new(width.min(MOST.width), height.min(MOST.height)))
    }

    /// Writes the changes to the terminal.
    ///
    /// # Errors
    ///
    /// The terminal cannot be written to, or was restored meanwhile.
    pub(super) fn put(&mut self) -> io::Result<()> {
        let taken = lock();
        if taken.is_none() {
            return Err(io::Error::other("the terminal was given back"));
        }
        let known = self.shown.take().filter(|shown| shown.area == self.next.area && !has_resumed());
        let mut shown = match known {
            Some(shown) => shown,
            None => {
                self.backend.clear_region(ClearType::All)?;
                Buffer::empty(self.next.area)
            }
        };
        self.backend.draw(shown.diff_iter(&self.next))?;
        Backend::flush(&mut self.backend)?;
        std::mem::swap(&mut shown, &mut self.next);
        self.shown = Some(shown);
        Ok(())
    }

    /// Returns true if the terminal's size changed, or its content may have.
    pub(super) fn is_stale(&self) -> bool {
        let shown = self.shown.as_ref().map(|shown| shown.area.as_size());
        is_resumed() || self.size().is_ok_and(|size| shown != Some(size))
    }

    /// Waits for keys, at most this long. A signal ends the wait.
    pub(super) fn wait(&mut self, most: Duration) -> io::Result<Input> {
        self.keyboard.wait(most)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
        if !thread::panicking() {
            // Removes the hook. The hook before it was the standard one.
            drop(panic::take_hook());
        }
    }
}

fn lock() -> MutexGuard<'static, Option<MakeWriter>> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Restores the terminal, if it was taken.
fn give_back() {
    let begin = Instant::now();
    let taken = loop {
        match TAKEN.try_lock() {
            Ok(taken) => break Some(taken),
            Err(TryLockError::Poisoned(taken)) => break Some(taken.into_inner()),
            Err(TryLockError::WouldBlock) if begin.elapsed() > PATIENCE => break None,
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(1)),
        }
    };
    if taken.as_deref().is_some_and(Option::is_none) {
        return;
    }
    given_back();
    // Errors are ignored: the terminal may be gone or take no output.
    let _ = disable_raw_mode();
    // A thread that still writes waits for a terminal that takes no output.
    if let Some(writer) = taken.and_then(|mut taken| taken.take()) {
        let _ = leave(writer);
    }
}

/// Leaves the alternate screen, if the terminal takes output.
fn leave(writer: MakeWriter) -> io::Result<()> {
    let begin = Instant::now();
    // The watchdog interrupts it repeatedly once a signal came.
    while !can_write(PATIENCE)? {
        if begin.elapsed() >= PATIENCE {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    execute!(writer()?, LeaveAlternateScreen, cursor::Show)
}

/// Restores the terminal before a panic's message, so that the message stays visible.
fn give_back_on_panic() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        give_back();
        usual(info);
    }));
}
