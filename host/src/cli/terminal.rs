//! Views in the terminal: of a file, or of a run that goes on.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use anstream::{AutoStream, ColorChoice};

use crate::{
    lab::error::Error,
    output::warn,
    process::{
        deadline_writer::DeadlineWriter,
        files, jail,
        signals::{self, Signal},
        stderr,
        watchdog::{Expiry, Watchdog},
    },
    runlog::{event::Event, live::RunLogSink, sink::Sink},
    views::{
        transcript::Transcript,
        tui::{self, Closed, Origin, Process, Stage, View},
    },
};

/// The largest number of turns of a run that is watched: they take about a gigabyte.
const MOST_TURNS: usize = 5_000_000;

/// The time between two checks whether a run has begun.
const LOOK: Duration = Duration::from_millis(2);

/// Shows a run until the view closes, and returns the signal that closed it, if one did. The watchdog watches this
/// thread, as it watches those of runs.
///
/// # Errors
///
/// The terminal cannot be used.
pub(super) fn show(stage: &Stage<'_>, view: View) -> io::Result<(Closed, Option<Signal>)> {
    let watchdog = Watchdog::start(Duration::MAX)?;
    let registration = watchdog.watch_this_thread(None);
    let process = Process {
        is_interrupted: &|| registration.expiry().is_some(),
        before_death: signals::before_death,
        writer: || Ok(Box::new(DeadlineWriter::new(files::standard_output()?))),
    };
    let closed = tui::show(stage, view, &process)?;
    Ok(match registration.expiry() {
        Some(Expiry::Interrupted(signal)) if closed == Closed::Signal => (closed, Some(signal)),
        _ => (closed, None),
    })
}

/// Shows a run while it goes on. `run` runs it and hands its events to the sink. If the view closes before the end,
/// the run is interrupted.
///
/// # Errors
///
/// The run failed, or there is no terminal.
pub fn live(run: impl FnOnce(&mut dyn Sink) -> Result<(), Error> + Send) -> Result<(), Error> {
    let (log, is_over) = (Mutex::default(), AtomicBool::new(false));
    let color = AutoStream::choice(&io::stdout()) != ColorChoice::Never;
    let mut errors_only = ErrorsOnly::new(color && io::stdout().is_terminal());
    let silence = stderr::hold_back();
    let (outcome, closed) = thread::scope(|scope| {
        let (log, is_over, errors_only) = (&log, &is_over, &mut errors_only);
        // This thread gives up its privileges before a guest runs. The run's thread has them until then.
        let (confine, confined) = mpsc::channel();
        let run = thread::Builder::new().name("run".into()).spawn_scoped(scope, move || {
            let _over = Over(is_over);
            match confined.recv() {
                Ok(()) => run(&mut RunLogSink::new(log, errors_only).with_most_turns(MOST_TURNS)),
                Err(mpsc::RecvError) => Ok(()),
            }
        });
        let run = run.map_err(|source| Error::Os { what: "start the run's thread", source })?;
        jail::give_up_rights().map_err(Error::Jail)?;
        // The run's thread waits for this message.
        let _ = confine.send(());
        let stage = Stage { log, is_over: Some(is_over) };
        let closed = if has_begun(&stage) { show(&stage, View::following()).map(Some) } else { Ok(None) };
        if !is_over.load(Ordering::Acquire) {
            signals::interrupt();
        }
        let outcome = run.join().unwrap_or_else(|_| Err(Error::Bug("the run's thread panicked".into())));
        Ok::<_, Error>((outcome, closed))
    })?;
    drop(silence);
    let said = say(&errors_only.0.into_writer()).map_err(Error::Output);
    match (outcome, closed) {
        // The run was over, and a signal closed the view.
        (Ok(()), Ok(Some((Closed::Signal, Some(signal))))) => Err(Error::Interrupted { signal, at: None }),
        // The run was interrupted because the view was closed.
        (Err(Error::Interrupted { at, .. }), Ok(Some((Closed::Quit, _)))) => Err(Error::ViewClosed { at }),
        (Ok(()) | Err(Error::Interrupted { .. }), Err(source)) => Err(terminal_error(source)),
        (outcome, _) => outcome.and(said),
    }
}

/// Writes what comes after the view, under watch: the terminal may not be read any more.
fn say(text: &[u8]) -> io::Result<()> {
    let watchdog = Watchdog::start(Duration::MAX)?;
    let _registration = watchdog.watch_this_thread(None);
    DeadlineWriter::new(io::stdout()).write_all(text)
}

/// Marks the run as over when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Waits until there is something to show; returns false if the run ends before.
fn has_begun(stage: &Stage<'_>) -> bool {
    loop {
        // Read before the log: the last events must not be missed.
        let is_over = stage.origin() == Origin::Over;
        let is_told = !stage.log.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if is_told || is_over {
            return is_told;
        }
        thread::sleep(LOOK);
    }
}

/// Returns the error for a terminal that cannot show a view.
pub(super) fn terminal_error(source: io::Error) -> Error {
    Error::Os { what: "show the view in the terminal", source }
}

/// A sink that keeps the end of a run as a transcript, to be printed after the view closed.
struct ErrorsOnly(Transcript<Vec<u8>>);

impl ErrorsOnly {
    fn new(color: bool) -> Self {
        Self(Transcript::new(Vec::new(), color, true, warn))
    }
}

impl Sink for ErrorsOnly {
    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Run(_) | Event::End(_) | Event::Dropped(_) | Event::Stats(_) | Event::Profile(_) => {
                self.0.event(event)
            }
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
