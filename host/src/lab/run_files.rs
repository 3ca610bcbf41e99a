//! Opens, reads and checks files of runs.

use std::path::Path;

use crate::{
    lab::{
        error::Error,
        input_files,
        schedule::{Schedule, ScheduleError, ScheduleSpec},
    },
    runlog::{
        error::{self as log_error, Kind, Problem},
        recording::{Recording, vm_name},
        run_log::RunLog,
    },
};

/// The size limit of a file for a view, in bytes. The run in memory is not larger than its file.
const MAX_RUN_SIZE: u64 = 1 << 30;

/// The size limit of a recording for a replay, in bytes.
const MAX_RECORDING_SIZE: u64 = 4 << 30;

/// Reads a recording, or the output of `--format jsonl`.
///
/// # Errors
///
/// The file cannot be read, has nothing of a run, or has a line that does not fit.
pub fn open_run(path: &Path) -> Result<RunLog, Error> {
    let error = |line, problem| refuse(Kind::Run, path, line, problem);
    let file =
        input_files::open_run(path, MAX_RUN_SIZE).map_err(|source| error(None, Problem::Read(source)))?;
    let log = RunLog::read(file).map_err(|(line, problem)| error(Some(line), problem))?;
    match log.is_empty() {
        true => Err(error(None, Problem::Nothing)),
        false => Ok(log),
    }
}

/// Reads a recording that can be replayed.
///
/// # Errors
///
/// The file cannot be read, is no recording, or was edited.
pub fn open_recording(path: &Path) -> Result<Recording, Error> {
    let error = |line, problem| refuse(Kind::Recording, path, line, problem);
    let file = input_files::open_run(path, MAX_RECORDING_SIZE)
        .map_err(|source| error(None, Problem::Read(source)))?;
    let recording = Recording::read(file).map_err(|(line, problem)| error(Some(line), problem))?;
    check_schedule(&recording).map_err(|problem| error(Some(2), problem))?;
    Ok(recording)
}

fn refuse(kind: Kind, path: &Path, line: Option<usize>, problem: Problem) -> Error {
    log_error::Error { kind, path: path.into(), line, problem }.into()
}

/// Checks that a recording's turns are those of its schedule. A schedule from a file is not checked, since the file
/// may have changed.
///
/// # Errors
///
/// The schedule cannot be used, or the turns differ.
pub fn check_schedule(recording: &Recording) -> Result<(), Problem> {
    let run = &recording.run;
    let spec =
        run.schedule.parse().map_err(|error: ScheduleError| Problem::RecordedJson(error.to_string()))?;
    if matches!(spec, ScheduleSpec::File(_)) {
        return Ok(());
    }
    let schedule = Schedule::new(&spec, run.guests.len(), run.turns, run.seed)
        .map_err(|_| Problem::Contradiction("the schedule"))?;
    let planned = schedule.into_turns().filter_map(|vm| u32::try_from(vm + 1).ok()).filter_map(vm_name);
    let recorded = recording.schedule();
    let is_planned = recorded.chars().zip(planned).all(|(one, other)| one == other);
    match is_planned && run.turns.is_none_or(|turns| recorded.len() as u64 <= turns) {
        true => Ok(()),
        false => Err(Problem::Contradiction("the schedule is not that of the turns")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDING: &str = r#"{"event":"recording","version":1,"options":{"producer":"p","consumer":"c","producers":1,"consumers":1,"produce":null,"consume":3,"mode":"long","memory":2097152}}
{"event":"run","experiment":"prodcons","abi":"1.0","seed":7,"capacity":6,"schedule":"alternate","turns":2,"guests":[{"vm":1,"name":"p","role":"producer","sha256":"aa"},{"vm":2,"name":"c","role":"consumer","sha256":"bb"}]}
{"event":"turn","turn":1,"vm":1,"role":"producer","items":[1],"prod_p":1,"cons_p":0,"count":1,"exits":1}
"#;

    #[track_caller]
    fn checked(from: &str, to: &str) -> bool {
        let text = RECORDING.replace(from, to);
        check_schedule(&Recording::read(text.as_bytes()).expect("a recording")).is_ok()
    }

    #[test]
    fn turns_are_those_of_the_schedule() {
        assert!(checked("", ""));
        assert!(checked("alternate", "file:x"));
        assert!(!checked(r#""turn":1,"vm":1"#, r#""turn":1,"vm":2"#));
        assert!(!checked("alternate", "string:21"));
        assert!(!checked("alternate", "free"));
        assert!(!checked("alternate", "burst:0"));
        assert!(!checked("\"turns\":2", "\"turns\":0"));
    }
}
