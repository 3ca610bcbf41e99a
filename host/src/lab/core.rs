//! The core file of a run: that of the guest that failed.

use std::path::{Path, PathBuf};

use crate::{
    debug::core_file::{Core, Signal},
    lab::{error::Error, failure::GuestError, guest_end::GuestEnd, vm::Vm},
    output,
    process::output_file::OutputFile,
    runlog::error::WriteError,
    vmm::Crash,
};

/// The core file of a run, if there is to be one.
///
/// It is open from the beginning, because threads that run guests cannot open files. Without a failure nothing is
/// written, and an older file stays as it is.
pub struct CoreFile(Option<(PathBuf, OutputFile)>);

impl CoreFile {
    /// Begins the file.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn begin(path: Option<&Path>) -> Result<Self, Error> {
        let begin = |path: &Path| match OutputFile::whole(path) {
            Ok(file) => Ok((path.to_owned(), file)),
            Err(source) => Err(WriteError { what: WHAT, path: path.into(), source }),
        };
        Ok(Self(path.map(begin).transpose()?))
    }

    /// Writes the core of the guest that failed, if one did. Returns the outcome of the run.
    ///
    /// # Errors
    ///
    /// The run failed. If the file could not be written, too, that is only printed.
    pub fn conclude(self, outcome: Result<(), Error>, machines: &mut [Vm]) -> Result<(), Error> {
        let (Some((path, file)), Err(Error::Guest(error))) = (self.0, &outcome) else { return outcome };
        let written = write(&path, file, error, machines);
        output::both(outcome, written)
    }
}

const WHAT: &str = "core file";

fn write(path: &Path, mut file: OutputFile, error: &GuestError, machines: &mut [Vm]) -> Result<(), Error> {
    let machine = machines.iter_mut().find(|machine| machine.vm() == error.at.vm);
    let (Some(machine), Some(evidence)) = (machine, &error.evidence) else {
        return Err(Error::Bug("a guest failed that has no machine".into()));
    };
    let file_name = machine.file().to_owned();
    let core = Core::of(machine, &file_name, evidence, signal(&error.end));
    let written = core.write(machine.cpu().memory(), &mut file).and_then(|()| file.place());
    written.map_err(|source| WriteError { what: WHAT, path: path.into(), source })?;
    let (vm, name, path) = (machine.vm(), machine.name(), path.display());
    let image =
        if machine.origin().is_elf() { format!("{} ", machine.file().display()) } else { String::new() };
    output::warn(&format!("VM {vm}, {name}: its core is in {path}: gdb {image}{path}"));
    if evidence.registers().is_none() {
        output::warn("the core has memory only: the CPU was reset, and its registers are lost");
    }
    if core.is_cut_off() {
        output::warn("the core has a part of the memory only: the guest has mapped more than 4 GiB");
    }
    Ok(())
}

/// Returns the signal by which gdb names an end. A guest that exits, or breaks a rule of its experiment, got none.
fn signal(end: &GuestEnd) -> Option<Signal> {
    Some(match end {
        GuestEnd::Exited(_) | GuestEnd::ExitPort(_) | GuestEnd::Refused(_) => return None,
        GuestEnd::Panicked(_) => Signal::Abort,
        GuestEnd::Deadline(_) | GuestEnd::TurnTimeout(_) => Signal::Alarm,
        GuestEnd::Exits(_) => Signal::CpuLimit,
        GuestEnd::Crashed(crash) => match vector(crash) {
            Some(0 | 4 | 16 | 19) => Signal::Fpe,
            Some(1 | 3) => Signal::Trap,
            Some(6) => Signal::Ill,
            _ => Signal::Segv,
        },
    })
}

/// Returns the vector of an exception that the guest did not handle.
fn vector(crash: &Crash) -> Option<u32> {
    match crash {
        Crash::Trap(report) => Some(report.record.vector),
        Crash::Unhandled(unhandled) => Some(unhandled.report.record.vector),
        _ => None,
    }
}
