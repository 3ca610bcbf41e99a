//! Snapshots: an exchange between two turns, in a file from which it goes on, on any engine.
//!
//! The file is a line with the version, a line of JSON with everything but memory, the pages of memory of all VMs that are
//! not zero, and the SHA-256 of all that.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use guestlab_cpu::PAGE;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    lab::{error::Error, vm::Vm},
    process::{
        files,
        output_file::{Named, OutputFile},
    },
    runlog::{
        error::{self, Kind, Problem, WriteError},
        event::{Guest, Run},
        header::Options,
        json,
        ring_check::{Exchange, SavedExchange},
    },
    vmm::SavedMachine,
};

/// The first line, up to the version.
const MAGIC: &str = "guestlab snapshot ";

/// The version of the format.
const VERSION: u32 = 1;

/// The size limit of a file, in bytes.
const MAX_SIZE: u64 = 4 << 30;

const CHECKSUM: usize = 32;

/// All of a snapshot but the pages.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    options: Options,
    run: Run,
    /// The number of turns that are over.
    turns: u64,
    exchange: SavedExchange,
    vms: Vec<SavedVm>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedVm {
    machine: SavedMachine,
    /// The addresses of its pages, in their order in the file.
    pages: Vec<u64>,
}

/// A snapshot that was read.
#[derive(Debug)]
pub struct Snapshot {
    path: PathBuf,
    contents: Contents,
    /// The pages of all VMs, one after the other.
    memory: Vec<u8>,
}

/// The order for a snapshot: the number of turns before it, and the file.
#[derive(Clone, Debug)]
pub struct SaveAt {
    /// The turn behind which the exchange is saved.
    pub turn: u64,
    /// The file.
    pub path: PathBuf,
}

/// A snapshot's file that is open, because a guest's thread can open none.
pub struct Saver {
    order: SaveAt,
    options: Options,
    file: Option<OutputFile>,
}

impl SaveAt {
    /// Returns the file, for comparison with others.
    pub fn named(&self) -> Named {
        Named::new("--save-at", &self.path)
    }

    /// Opens the file, for a run with these options.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn open(&self, options: Options) -> Result<Saver, Error> {
        let file = OutputFile::whole(&self.path).map_err(|source| self.failed(source))?;
        Ok(Saver { order: self.clone(), options, file: Some(file) })
    }

    fn failed(&self, source: io::Error) -> Error {
        WriteError { what: "snapshot", path: self.path.clone(), source }.into()
    }
}

impl Saver {
    /// Saves the exchange if this is the turn.
    ///
    /// # Errors
    ///
    /// The engine failed, or the file cannot be written.
    pub fn turn_ended(
        &mut self,
        turns: u64,
        run: &Run,
        exchange: &Exchange,
        machines: &mut [Vm],
    ) -> Result<(), Error> {
        let Some(mut file) = self.file.take_if(|_| turns == self.order.turn) else { return Ok(()) };
        let saved = machines.iter_mut().map(|machine| machine.save()).collect::<Result<Vec<_>, _>>()?;
        let (machines, memory): (Vec<_>, Vec<_>) = saved.into_iter().unzip();
        let vms = machines.into_iter().zip(&memory).map(|(machine, pages)| SavedVm {
            machine,
            pages: pages.iter().map(|(address, _)| *address).collect(),
        });
        let contents = Contents {
            options: self.options.clone(),
            run: run.clone(),
            turns,
            exchange: exchange.save(),
            vms: vms.collect(),
        };
        let pages = memory.iter().flatten().map(|(_, bytes)| &bytes[..]);
        write(&mut file, &contents, pages)
            .and_then(|()| file.place())
            .map_err(|error| self.order.failed(error))
    }
}

fn write<'a>(
    file: &mut impl Write,
    contents: &Contents,
    pages: impl IntoIterator<Item = &'a [u8]>,
) -> io::Result<()> {
    let mut start = format!("{MAGIC}{VERSION}\n").into_bytes();
    json::write_line(&mut start, contents)?;
    let mut checksum = Sha256::new();
    let mut add = |bytes: &[u8]| {
        checksum.update(bytes);
        file.write_all(bytes)
    };
    add(&start)?;
    pages.into_iter().try_for_each(&mut add)?;
    file.write_all(&checksum.finalize())
}

impl Snapshot {
    /// Reads a snapshot.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is none, or is damaged.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let refused = |problem| refused(path, problem);
        let bytes = files::read(path, MAX_SIZE).map_err(|source| refused(Problem::Read(source)))?;
        let (contents, memory) = parse(bytes).map_err(refused)?;
        Ok(Self { path: path.into(), contents, memory })
    }

    /// Returns the options of the run.
    pub fn options(&self) -> &Options {
        &self.contents.options
    }

    /// Returns the beginning of the run.
    pub fn run(&self) -> &Run {
        &self.contents.run
    }

    /// Returns the number of turns that are over.
    pub fn turns(&self) -> u64 {
        self.contents.turns
    }

    /// Checks that the guests are those of the run.
    ///
    /// # Errors
    ///
    /// One has another image.
    pub fn check_guests(&self, guests: &[Guest]) -> Result<(), Error> {
        let mut pairs = self.contents.run.guests.iter().zip(guests);
        match pairs.find(|(saved, here)| saved.sha256 != here.sha256) {
            None => Ok(()),
            Some((saved, here)) => Err(refused(&self.path, Problem::image(saved, here))),
        }
    }

    /// Puts the machines of a new run into the saved state.
    ///
    /// # Errors
    ///
    /// They cannot be in it.
    pub fn restore(&self, machines: &mut [Vm]) -> Result<(), Error> {
        let mut memory = self.memory.as_chunks().0.iter();
        for (machine, SavedVm { machine: saved, pages }) in machines.iter_mut().zip(&self.contents.vms) {
            let pages = pages.iter().copied().zip(&mut memory);
            machine.restore(saved, pages).map_err(|error| self.unsound(&error.to_string()))?;
        }
        Ok(())
    }

    /// Returns the state of the exchange, for the parties of a new run. `exchange` makes one with this state.
    ///
    /// # Errors
    ///
    /// No exchange can be in it.
    pub fn exchange(
        &self,
        exchange: impl FnOnce(SavedExchange) -> Option<Exchange>,
    ) -> Result<Exchange, Error> {
        exchange(self.contents.exchange.clone())
            .ok_or_else(|| self.unsound("its ring and its accounts differ"))
    }

    fn unsound(&self, problem: &str) -> Error {
        refused(&self.path, Problem::Unsound(problem.into()))
    }
}

fn refused(path: &Path, problem: Problem) -> Error {
    error::Error { kind: Kind::Snapshot, path: path.into(), line: None, problem }.into()
}

/// Returns the parts of a file.
fn parse(mut bytes: Vec<u8>) -> Result<(Contents, Vec<u8>), Problem> {
    let line = |bytes: &[u8]| bytes.iter().position(|&byte| byte == b'\n');
    let end = line(&bytes[..bytes.len().min(64)]);
    let first = end.and_then(|end| str::from_utf8(&bytes[..end]).ok());
    let found = first.and_then(|first| first.strip_prefix(MAGIC)).ok_or(Problem::NoSnapshot)?;
    if found != VERSION.to_string() {
        return Err(Problem::Version { found: found.into(), known: VERSION });
    }
    let start = end.map_or(0, |end| end + 1);
    let checked = bytes.len().checked_sub(CHECKSUM).filter(|&len| len > start).ok_or(Problem::Damaged)?;
    if Sha256::digest(&bytes[..checked])[..] != bytes[checked..] {
        return Err(Problem::Damaged);
    }
    bytes.truncate(checked);
    let unsound = |problem: &str| Problem::Unsound(problem.into());
    let end = start + line(&bytes[start..]).ok_or_else(|| unsound("it has no contents"))?;
    let contents: Contents =
        serde_json::from_slice(&bytes[start..end]).map_err(|error| unsound(&error.to_string()))?;
    bytes.drain(..=end);
    let Contents { options, run, vms, .. } = &contents;
    if run.abi != guest_abi::VERSION.to_string() {
        return Err(Problem::Abi { abi: run.abi.clone() });
    }
    let pages: usize = vms.iter().map(|vm| vm.pages.len()).sum();
    if pages.checked_mul(PAGE) != Some(bytes.len()) {
        return Err(unsound("its pages are not those that it names"));
    }
    let count = options.producers.saturating_add(options.consumers);
    let is_sound = options.is_sound() && run.ring().is_some() && [run.guests.len(), vms.len()] == [count; 2];
    match is_sound {
        true => Ok((contents, bytes)),
        false => Err(unsound("its VMs or options are not those of an exchange")),
    }
}
