//! The records of the Trace Event Format, by the names of its description.

use serde::Serialize;
use serde_json::{Value, json};

/// One record.
#[derive(Serialize)]
pub(super) struct Record<'a> {
    name: &'a str,
    ph: Phase,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<u32>,
    /// In microseconds.
    ts: f64,
    /// In microseconds, of a slice.
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    /// The scope of an instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    args: Value,
}

/// The type of a record.
#[derive(Clone, Copy, Serialize)]
enum Phase {
    /// A slice with its duration: a complete event.
    #[serde(rename = "X")]
    Slice,
    /// A counter's value.
    #[serde(rename = "C")]
    Counter,
    /// An instant.
    #[serde(rename = "i")]
    Instant,
    /// A name of a track.
    #[serde(rename = "M")]
    Metadata,
}

impl<'a> Record<'a> {
    fn new(ph: Phase, name: &'a str, tid: Option<u32>, ts: f64, args: Value) -> Self {
        Self { name, ph, pid: std::process::id(), tid, ts, dur: None, s: None, args }
    }

    pub(super) fn slice(vm: u32, name: &'a str, (begin, duration): (f64, f64), args: Value) -> Self {
        Self { dur: Some(duration), ..Self::new(Phase::Slice, name, Some(vm), begin, args) }
    }

    pub(super) fn instant(vm: u32, name: &'a str, ts: f64, args: Value) -> Self {
        let thread = "t";
        Self { s: Some(thread), ..Self::new(Phase::Instant, name, Some(vm), ts, args) }
    }

    pub(super) fn counter(name: &'a str, ts: f64, args: Value) -> Self {
        Self::new(Phase::Counter, name, None, ts, args)
    }

    /// Returns the name of a VM's track, or of the process.
    pub(super) fn name(vm: Option<u32>, name: &str) -> Self {
        let what = if vm.is_some() { "thread_name" } else { "process_name" };
        Self::new(Phase::Metadata, what, vm, 0.0, json!({ "name": name }))
    }
}
