//! `--trace FILE`: a run over time, in the Trace Event Format that Perfetto and chrome://tracing open.
//!
//! Each VM has a track. A slice is a turn, the boot, or a whole guest that runs alone. It contains slices for the time in
//! the guest and for the service of each exit. The number of items in the ring is a counter; a guest's output is an
//! instant. Times are real, so that no two traces are equal.
//!
//! A guest can cause many exits, so the file has a limit. The last record of a file at its limit says so.

mod record;

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde_json::{Value, json};

use guestlab_cpu::Calls;
use guestlab_process::{output_file::OutputFile, stderr::warn};
use guestlab_runlog::{
    error::WriteError,
    event::{Action, Console, Event, Log, Moved, Turn},
    json,
    sink::Sink,
};
use guestlab_vmm::{GuestSpan, Observer, stats::microseconds};
use record::Record;

/// The most bytes of records in a file.
const MOST: u64 = 256 << 20;

/// The trace file of `--trace`: an observer of machines, which [`TraceSink`] completes with the run's events.
#[derive(Clone)]
pub struct Timeline(Arc<Mutex<TraceFile>>);

impl Timeline {
    /// Returns a timeline for a file. [`TraceSink::prepare`](Sink::prepare) creates the file.
    pub fn to(path: &Path) -> Self {
        Self(Arc::new(Mutex::new(TraceFile::new(path))))
    }

    /// Adds records to the file.
    fn tell(&self, what: impl FnOnce(&mut TraceFile, Instant)) {
        let mut file = self.lock();
        let now = Instant::now();
        what(&mut file, now);
        file.fill(now);
    }

    /// Ends the file, if the run has begun.
    ///
    /// # Errors
    ///
    /// The file could not be written.
    pub fn end(&self) -> Result<(), WriteError> {
        self.lock().end()
    }

    fn lock(&self) -> MutexGuard<'_, TraceFile> {
        // A thread that panicked has written complete records.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls for Timeline {
    fn call(&self, _: &str, _: std::fmt::Arguments<'_>) {}
}

impl Observer for Timeline {
    fn begins(&self, vm: u32, name: &str) {
        self.tell(|file, now| file.begin(vm, name, now));
    }

    fn span(&self, vm: u32, span: GuestSpan) {
        self.tell(|file, now| file.exit(vm, span, now));
    }
}

/// A sink that adds events to a timeline, and passes them on.
pub struct TraceSink<'a> {
    timeline: Timeline,
    next: &'a mut dyn Sink,
}

impl<'a> TraceSink<'a> {
    /// Returns a sink in front of another one.
    pub fn new(timeline: &Timeline, next: &'a mut dyn Sink) -> Self {
        Self { timeline: timeline.clone(), next }
    }
}

impl Sink for TraceSink<'_> {
    fn prepare(&mut self) -> Result<(), WriteError> {
        self.timeline.lock().open()?;
        self.next.prepare()
    }

    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.timeline.tell(|file, now| file.event(event, now));
        self.next.event(event)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.next.flush()
    }
}

/// The file.
struct TraceFile {
    path: PathBuf,
    /// `None` before the run begins and after it has ended.
    writer: Option<BufWriter<OutputFile>>,
    /// The time of the first record, from which all times count.
    start: Option<Instant>,
    /// The file has a record.
    begun: bool,
    /// The open slice of each VM.
    open: BTreeMap<u32, Slice>,
    /// The first error of a write.
    failure: Option<io::Error>,
    /// The bytes that may still be written.
    room: u64,
    /// The file has reached its limit.
    is_full: bool,
}

/// A VM's slice.
struct Slice {
    /// The time of its start; `None` between two slices.
    began: Option<Instant>,
    /// The time at which its last exit was served.
    last: Instant,
}

impl TraceFile {
    fn new(path: &Path) -> Self {
        Self {
            path: path.into(),
            writer: None,
            start: None,
            begun: false,
            open: BTreeMap::new(),
            failure: None,
            room: MOST,
            is_full: false,
        }
    }

    fn open(&mut self) -> Result<(), WriteError> {
        let file = OutputFile::stream(&self.path).map_err(|source| self.error(source))?;
        self.writer = Some(BufWriter::new(file));
        Ok(())
    }

    fn error(&self, source: io::Error) -> WriteError {
        WriteError { what: "trace", path: self.path.clone(), source }
    }

    /// Ends the records at the limit: closes all slices, and adds a record that says so.
    fn fill(&mut self, now: Instant) {
        if self.room > 0 || self.is_full {
            return;
        }
        self.close_all();
        let text = format!("the trace has come to {} MiB: what happened later is not in it", MOST >> 20);
        let since = self.since(now);
        // A record on each track, so that it is visible on any of them.
        let vms: Vec<u32> = self.open.keys().copied().collect();
        for vm in vms {
            self.write(&Record::instant(vm, "the trace is cut", since, json!({ "text": text })));
        }
        self.is_full = true;
    }

    fn close_all(&mut self) {
        let open: Vec<u32> = self.open.keys().copied().collect();
        open.into_iter().for_each(|vm| self.close(vm, "run", json!({}), None));
    }

    fn begin(&mut self, vm: u32, name: &str, now: Instant) {
        self.start.get_or_insert(now);
        match self.open.get_mut(&vm) {
            None => {
                self.write(&Record::name(Some(vm), &format!("VM {vm} {name}")));
                self.open.insert(vm, Slice { began: Some(now), last: now });
            }
            Some(slice) if slice.began.is_none() => slice.began = Some(now),
            Some(_) => {
                // The first slice of a VM with turns is its boot.
                self.close(vm, "boot", json!({}), None);
                self.begin(vm, name, now);
            }
        }
    }

    fn exit(&mut self, vm: u32, GuestSpan { reason, entered, left }: GuestSpan, served: Instant) {
        self.write(&Record::slice(vm, "guest", self.span(entered, left), json!({})));
        if let Some(reason) = reason {
            self.write(&Record::slice(vm, &reason.to_string(), self.span(left, served), json!({})));
        }
        if let Some(slice) = self.open.get_mut(&vm) {
            slice.last = served;
        }
    }

    /// Closes a VM's slice, now or at the time its last exit was served.
    fn close(&mut self, vm: u32, name: &str, args: Value, now: Option<Instant>) {
        let Some(slice) = self.open.get_mut(&vm) else { return };
        let (Some(began), end) = (slice.began.take(), now.unwrap_or(slice.last)) else { return };
        self.write(&Record::slice(vm, name, self.span(began, end), args));
    }

    fn event(&mut self, event: &Event<'_>, now: Instant) {
        self.start.get_or_insert(now);
        match event {
            Event::Run(run) => {
                let name = format!("{}, schedule {}, seed {}", run.experiment, run.schedule, run.seed);
                self.write(&Record::name(None, &name));
                if run.capacity.is_some() {
                    self.count(now, 0);
                }
            }
            Event::Console(Console { vm, text, .. }) => {
                let text = String::from_utf8_lossy(text);
                self.write(&Record::instant(*vm, "print", self.since(now), json!({ "text": text })));
            }
            Event::Log(Log { vm, level, target, message, .. }) => {
                let args = json!({ "level": level.as_str(), "target": target, "message": message });
                self.write(&Record::instant(*vm, "log", self.since(now), args));
            }
            Event::Turn(Turn { turn, vm, action: Action::Moved(moved), .. }) => {
                let Moved { role, items, count, .. } = moved;
                let name = format!("turn {turn} {}", role.name());
                self.close(*vm, &name, json!({ "turn": turn, "items": items, "count": count }), Some(now));
                self.count(now, *count);
            }
            Event::Turn(Turn { turn, vm, action: Action::Left { mailbox, .. }, .. }) => {
                let args = json!({ "turn": turn, "mailbox": mailbox });
                self.close(*vm, &format!("turn {turn}"), args, Some(now));
            }
            Event::Crash(crash) => {
                self.close(crash.vm, &crash.reason, json!({ "message": crash.message }), None);
            }
            _ => {}
        }
    }

    /// Sets the counter of items in the ring.
    fn count(&mut self, now: Instant, items: u32) {
        self.write(&Record::counter("items in the ring", self.since(now), json!({ "items": items })));
    }

    fn end(&mut self) -> Result<(), WriteError> {
        self.close_all();
        if self.is_full {
            let (path, most) = (self.path.display(), MOST >> 20);
            warn(&format!("the trace {path} ends at {most} MiB: what happened later is not in it"));
        }
        // A run that ended before its first guest has no trace.
        let Some(mut writer) = self.writer.take().filter(|_| self.begun) else { return Ok(()) };
        let written = writer.write_all(b"\n]\n").and_then(|()| writer.flush());
        let (file, _) = writer.into_parts();
        self.failure
            .take()
            .map_or(written, Err)
            .and_then(|()| file.place())
            .map_err(|source| self.error(source))
    }

    /// Writes a record, unless the file is full. Readers accept a file without its end.
    fn write(&mut self, record: &Record<'_>) {
        let Some(writer) = self.writer.as_mut().filter(|_| !self.is_full) else { return };
        let mut line = if std::mem::replace(&mut self.begun, true) { *b",\n" } else { *b"[\n" }.to_vec();
        let written = json::write(&mut line, record);
        self.room = self.room.saturating_sub(line.len() as u64);
        if let Err(error) = written.and_then(|()| writer.write_all(&line)) {
            self.failure.get_or_insert(error);
        }
    }

    /// Returns the microseconds since the start.
    fn since(&self, time: Instant) -> f64 {
        self.start.map_or(0.0, |start| microseconds(time.saturating_duration_since(start)))
    }

    /// Returns the start and the duration of a slice.
    fn span(&self, from: Instant, to: Instant) -> (f64, f64) {
        (self.since(from), microseconds(to.saturating_duration_since(from)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_trace_is_whole_and_says_so_once() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let timeline = Timeline::to(file.path());
        timeline.lock().open().expect("a trace");
        timeline.lock().room = 5000;
        for vm in [1, 2] {
            timeline.begins(vm, "guest");
        }
        for _ in 0..1000 {
            let now = Instant::now();
            timeline.span(1, GuestSpan { reason: None, entered: now, left: now });
        }
        // Other turns begin and end after the limit.
        timeline.begins(2, "guest");
        timeline.end().expect("written");
        let text = std::fs::read_to_string(file.path()).expect("text");
        assert!(text.len() < 7000, "{}", text.len());
        let records: Vec<Value> = serde_json::from_str(&text).expect("a whole array");
        let count = |name: &str| records.iter().filter(|record| record["name"] == name).count();
        assert_eq!((count("the trace is cut"), count("run")), (2, 2));
        assert_eq!(records.last().expect("records")["name"], "the trace is cut");
    }
}
