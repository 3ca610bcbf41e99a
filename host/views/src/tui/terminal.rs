//! The terminal while a view has it: in raw mode, on the alternate screen. Every way out restores it.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Read, Write},
    os::fd::{AsFd, AsRawFd},
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

use super::{
    draw::scene::Scene,
    keys::{Decoder, Key},
    signals,
};

/// The largest area that is drawn. A terminal may report any size, and each cell takes memory.
const MOST: Size = Size::new(500, 300);

/// The time to wait before the terminal is restored: another thread may be writing to it, or it may take no output.
const PATIENCE: Duration = Duration::from_millis(500);

/// The writer of the terminal, while a view has it. The lock is held while something is written.
static TAKEN: Mutex<Option<MakeWriter>> = Mutex::new(None);

/// Makes the writer to a terminal.
type MakeWriter = fn(File) -> Box<dyn Write + Send>;

/// The parts of the process that a view in the terminal needs.
#[derive(Clone, Copy)]
pub struct Process<'a> {
    /// Returns true once a signal has asked the process to end.
    pub is_interrupted: &'a dyn Fn() -> bool,
    /// Takes a function that is called before the process ends by such a signal.
    pub before_death: fn(fn()),
    /// Makes a writer that gives up if the terminal takes nothing and the process is to end.
    pub writer: fn(File) -> Box<dyn Write + Send>,
}

/// The terminal. Dropping it restores it; so do a panic and [`signals::die`].
pub(super) struct Screen {
    /// Not ratatui's `Terminal`: when dropped, it prints to standard error, which may be the terminal that takes no
    /// output.
    backend: CrosstermBackend<BufWriter<Box<dyn Write + Send>>>,
    /// The content of the terminal; `None` if it is not known.
    shown: Option<Buffer>,
    /// The next content.
    next: Buffer,
    input: File,
    decoder: Decoder,
}

/// The input from the terminal.
#[derive(Debug)]
pub(super) enum Input {
    /// Keys, perhaps none.
    Keys(Vec<Key>),
    /// The terminal is gone.
    Gone,
}

impl Screen {
    /// Takes the terminal of standard output.
    ///
    /// # Errors
    ///
    /// It cannot be taken.
    pub(super) fn open(process: &Process<'_>) -> io::Result<Self> {
        let input = match io::stdin().is_terminal() {
            true => File::from(io::stdin().as_fd().try_clone_to_owned()?),
            false => File::open("/dev/tty")?,
        };
        let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let mut backend = CrosstermBackend::new(BufWriter::new((process.writer)(output)));
        (process.before_death)(give_back);
        let mut taken = lock();
        *taken = Some(process.writer);
        let outcome = signals::taking(&input, || {
            enable_raw_mode().and_then(|()| execute!(backend, EnterAlternateScreen, cursor::Hide))
        });
        drop(taken);
        give_back_on_panic();
        // Dropping it restores a terminal that was taken in part.
        let next = Buffer::empty(Rect::ZERO);
        let screen = Self { backend, shown: None, next, input, decoder: Decoder::default() };
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
        let known = self.shown.take().filter(|shown| shown.area == self.next.area && !signals::has_resumed());
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
        signals::is_resumed() || self.size().is_ok_and(|size| shown != Some(size))
    }

    /// Waits for keys, at most this long. A signal ends the wait.
    pub(super) fn wait(&mut self, most: Duration) -> io::Result<Input> {
        match poll(&self.input, libc::POLLIN, most)? {
            0 => Ok(Input::Keys(self.decoder.pause().into_iter().collect())),
            events if events & libc::POLLIN == 0 => Ok(Input::Gone),
            _ => self.read(),
        }
    }

    fn read(&mut self) -> io::Result<Input> {
        let mut bytes = [0; 1024];
        match self.input.read(&mut bytes) {
            // A terminal ends only when it is gone; a background process that reads also gets EIO.
            Ok(0) => Ok(Input::Gone),
            Ok(length) => Ok(Input::Keys(self.decoder.push(&bytes[..length]))),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Input::Keys(Vec::new())),
            Err(error) if error.raw_os_error() == Some(libc::EIO) => Ok(Input::Gone),
            Err(error) => Err(error),
        }
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
    signals::given_back();
    // Errors are ignored: the terminal may be gone or take no output.
    let _ = disable_raw_mode();
    // A thread that still writes waits for a terminal that takes no output.
    if let Some(writer) = taken.and_then(|mut taken| taken.take()) {
        let _ = leave(writer);
    }
}

/// Leaves the alternate screen, if the terminal takes output.
fn leave(writer: MakeWriter) -> io::Result<()> {
    // Not through io::Stdout: its buffer retries an interrupted write forever.
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let begin = Instant::now();
    // The watchdog interrupts it repeatedly once a signal came.
    while poll(&output, libc::POLLOUT, PATIENCE)? == 0 {
        if begin.elapsed() >= PATIENCE {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    let mut output = writer(output);
    execute!(output, LeaveAlternateScreen, cursor::Show)
}

/// Waits until one of the events occurs, the time is over, or a signal comes; returns the events.
fn poll(file: &File, events: libc::c_short, most: Duration) -> io::Result<libc::c_short> {
    let mut file = libc::pollfd { fd: file.as_raw_fd(), events, revents: 0 };
    let wait = libc::c_int::try_from(most.as_millis()).unwrap_or(libc::c_int::MAX);
    // SAFETY: the pointer is to one pollfd, and its file is open.
    match unsafe { libc::poll(&raw mut file, 1, wait) } {
        -1 => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            error => Err(error),
        },
        _ => Ok(file.revents),
    }
}

/// Restores the terminal before a panic's message, so that the message stays visible.
fn give_back_on_panic() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        give_back();
        usual(info);
    }));
}
