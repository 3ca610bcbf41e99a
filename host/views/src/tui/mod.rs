//! A run as a picture in a terminal: of a file, or while it goes on.
//!
//! What is shown is a [`Story`], and there is no other source: [`View`] says which step of it, [`Scene`]
//! draws it into a buffer of characters, and `show` is the loop that has the terminal. The first two know
//! of no terminal; [`svg`] makes a picture of what they draw.

mod draw;
mod event_loop;
mod follow_item;
mod keys;
mod overlay;
mod picture;
mod signals;
mod state;
mod terminal;
#[cfg(test)]
mod testing;

use std::{
    env,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use ratatui::{
    buffer::Buffer,
    layout::{Rect, Size},
};

pub use draw::{Origin, Scene};
pub use follow_item::Way;
pub use keys::Key;
pub use picture::svg;
pub use state::{Overlay, Page, Prompt, Question, View, Wish};

use crate::{
    lab::error::Error,
    output::{self, Afterwards, Sink},
    process::{
        jail,
        output_file::{Named, OutputFile, check_distinct},
    },
    runlog::story::{Narrator, Story},
};
use event_loop::{Closed, Stage, show};

/// How often it is looked whether a run has begun.
const LOOK: Duration = Duration::from_millis(2);

/// What to show of a file.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The file.
    pub file: PathBuf,
    /// The turn at which to begin.
    pub at: Option<usize>,
    /// The value of an item to follow.
    pub item: Option<u32>,
    /// A picture to make instead of showing it.
    pub picture: Option<Picture>,
}

/// A picture to make.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The file.
    pub file: PathBuf,
    /// The terminal's size.
    pub size: Size,
}

/// Shows a file, or makes a picture of it.
///
/// # Errors
///
/// The file tells no run, there is no terminal, or the picture cannot be written.
pub fn open(plan: &Plan) -> Result<(), Error> {
    let picture = plan.picture.iter().map(|picture| Named::new("--svg", &picture.file));
    check_distinct([Named::new("the run", &plan.file)].into(), picture.collect())?;
    let story = Story::open(&plan.file)?;
    if let Some(why) = missing_terminal().filter(|_| plan.picture.is_none()) {
        return Err(Error::Usage(format!(
            "a view needs a terminal, and {why}; --svg FILE makes a picture of a turn"
        )));
    }
    let mut view = View::new();
    if let Some(value) = plan.item {
        view.find(value, &story);
    }
    if let Some(turn) = plan.at {
        view.go(turn, &story);
    }
    match &plan.picture {
        Some(Picture { file, size }) => draw_picture(&story, &view, file, *size),
        None => {
            let stage = Stage { story: &Mutex::new(story), is_over: None };
            match show(&stage, view).map_err(terminal_error)? {
                Closed::Signal(signal) => Err(Error::Interrupted { signal, at: None }),
                Closed::Quit | Closed::Interrupt | Closed::Gone => Ok(()),
            }
        }
    }
}

fn draw_picture(story: &Story, view: &View, file: &Path, size: Size) -> Result<(), Error> {
    let mut buffer = Buffer::empty(Rect::new(0, 0, size.width, size.height));
    Scene { story, view, origin: Origin::File }.draw(&mut buffer);
    OutputFile::whole(file)
        .and_then(|to| to.write_and_place(svg(&buffer).as_bytes()))
        .map_err(|source| Error::Write { what: "picture", path: file.into(), source })
}

/// Why there is no terminal to show something in, if there is none.
pub fn missing_terminal() -> Option<&'static str> {
    match env::var_os("TERM") {
        _ if !io::stdout().is_terminal() => Some("standard output is none"),
        Some(name) if name == "dumb" => Some("the one here cannot move its cursor (TERM is dumb)"),
        _ => None,
    }
}

/// Shows a run while it goes on. `run` runs it and hands its events to the sink. When the view is closed
/// before the run is over, the run is interrupted.
///
/// # Errors
///
/// The run's; or there is no terminal.
pub fn live(run: impl FnOnce(&mut dyn Sink) -> Result<(), Error> + Send) -> Result<(), Error> {
    let (story, is_over) = (Mutex::new(Story::default()), AtomicBool::new(false));
    let mut afterwards = Afterwards::new();
    let silence = output::hold_complaints();
    let (outcome, closed) = thread::scope(|scope| {
        let (story, is_over, afterwards) = (&story, &is_over, &mut afterwards);
        // Before a guest runs, this thread gives up its rights, too. The run's thread still has them until then.
        let (confine, confined) = mpsc::channel();
        let run = thread::Builder::new().name("run".into()).spawn_scoped(scope, move || {
            let _over = Over(is_over);
            match confined.recv() {
                Ok(()) => run(&mut Narrator::to(story, afterwards)),
                Err(mpsc::RecvError) => Ok(()),
            }
        });
        let run = run.map_err(|source| Error::Os { what: "start the run's thread", source })?;
        jail::give_up_rights().map_err(Error::Jail)?;
        // The thread waits for it.
        let _ = confine.send(());
        let stage = Stage { story, is_over: Some(is_over) };
        let closed = if has_begun(&stage) { show(&stage, View::following()).map(Some) } else { Ok(None) };
        if !is_over.load(Ordering::Acquire) {
            crate::process::signals::interrupt();
        }
        let outcome = run.join().unwrap_or_else(|_| Err(Error::Bug("the run's thread panicked".into())));
        Ok::<_, Error>((outcome, closed))
    })?;
    drop(silence);
    let said = afterwards.say().map_err(Error::Output);
    match (outcome, closed) {
        // The run was interrupted because the view was closed.
        (Err(Error::Interrupted { at, .. }), Ok(Some(Closed::Quit))) => Err(Error::ViewClosed { at }),
        (Ok(()) | Err(Error::Interrupted { .. }), Err(source)) => Err(terminal_error(source)),
        (outcome, _) => outcome.and(said),
    }
}

/// Says that the run is over, however it ended.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Waits until there is something to show; whether there is.
fn has_begun(stage: &Stage<'_>) -> bool {
    loop {
        // Before the story: what is told last counts.
        let is_over = stage.origin() == Origin::Over;
        let is_told = !stage.story.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if is_told || is_over {
            return is_told;
        }
        thread::sleep(LOOK);
    }
}

fn terminal_error(source: io::Error) -> Error {
    Error::Os { what: "show the view in the terminal", source }
}
