//! A run as a whole, to be looked at forwards and backwards: what its JSON lines tell, kept.
//!
//! There is one way in: lines, be they those of `--format jsonl`, of a recording, or of a run that is
//! watched while it goes on (see [`Narrator`]). Each line is checked against those before it, so that
//! whatever is shown of a story agrees with itself.

mod items;
mod line;
mod narrator;
mod problem;

use std::{collections::BTreeMap, path::Path};

use guest_abi::{
    ring::{Capacity, Pointers},
    transition::Role,
};

pub use items::{Item, Items};
pub use line::{Crash, End, ExitCounts, Guest, Output, Run, StatsRow, VmStats};
pub use narrator::Narrator;
pub use problem::{Problem, StoryError};

use crate::{files, recording::Options};
use line::Line;

/// The largest file that is read, in bytes.
const MAX_FILE_SIZE: u64 = 1 << 30;

/// A run, as far as it has been told.
#[derive(Clone, Debug, Default)]
pub struct Story {
    options: Option<Options>,
    run: Option<Run>,
    turns: Vec<Turn>,
    items: Items,
    outputs: Vec<Output>,
    crash: Option<Crash>,
    end: Option<End>,
    exits: BTreeMap<u32, ExitCounts>,
    stats: Vec<VmStats>,
}

/// A turn that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The VM's number.
    pub vm: u32,
    /// The number of VM exits that it cost.
    pub exits: u64,
    /// What it did.
    pub deed: Deed,
}

/// What a turn did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It moved items through the ring.
    Moved {
        /// Which side the VM is on.
        role: Role,
        /// How many items.
        items: usize,
        /// The ring's pointers after it.
        pointers: Pointers,
    },
    /// It left these words in the mailbox.
    Left(Vec<u32>),
}

impl Deed {
    /// Which side of a ring the turn's VM is on.
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Moved { role, .. } => Some(*role),
            Self::Left(_) => None,
        }
    }
}

impl Story {
    /// Reads a recording, or what `--format jsonl` wrote. Of a file that was cut off the whole lines count.
    ///
    /// # Errors
    ///
    /// The file cannot be read; a line of it is none of a run's, or contradicts those before it.
    pub fn open(path: &Path) -> Result<Self, StoryError> {
        let error = |line, problem| StoryError { path: path.into(), line, problem };
        let bytes = files::read(path, MAX_FILE_SIZE).map_err(|source| error(None, Problem::Read(source)))?;
        let story = Self::parse(&bytes).map_err(|(line, problem)| error(Some(line), problem))?;
        match story.run.is_none() && story.exits.is_empty() && story.crash.is_none() {
            true => Err(error(None, Problem::Nothing)),
            false => Ok(story),
        }
    }

    /// Reads whole lines; an error comes with its line, from 1.
    fn parse(bytes: &[u8]) -> Result<Self, (usize, Problem)> {
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(&[][..], |end| &bytes[..end]);
        let mut story = Self::default();
        for (number, line) in (1..).zip(whole.split(|&byte| byte == b'\n')).filter(|_| !whole.is_empty()) {
            story.tell(line).map_err(|problem| (number, problem))?;
        }
        Ok(story)
    }

    /// Takes one more line.
    ///
    /// # Errors
    ///
    /// It is none of a run's, or contradicts what is known; the story is as before.
    pub fn tell(&mut self, line: &[u8]) -> Result<(), Problem> {
        match serde_json::from_slice(line).map_err(|source| Problem::json(&source))? {
            Line::Recording { options } if self.begins() => self.options = Some(options),
            Line::Run(run) if self.run.is_none() => self.run(run)?,
            Line::Recording { .. } | Line::Run(_) => {
                return Err(Problem::Contradiction("a second beginning"));
            }
            Line::Turn(turn) => self.turn(turn)?,
            Line::Console { vm, text } => self.output(vm, text),
            // A record is one line, as the transcript has it.
            Line::Log { vm, level, target, message } => {
                let line = format!("{:<5} {target}: {message}", level.to_uppercase()).replace('\n', "\\n");
                self.output(vm, line + "\n");
            }
            Line::Crash(crash) => self.crash = Some(crash),
            Line::End(end) => self.end(end)?,
            Line::Exit { vm, exits } => {
                self.exits.insert(vm, exits);
            }
            Line::Stats { vms } => self.stats = vms,
            Line::Other => {}
        }
        Ok(())
    }

    fn output(&mut self, vm: u32, text: String) {
        self.outputs.push(Output { turns: self.turns.len(), vm, text });
    }

    fn begins(&self) -> bool {
        self.options.is_none() && self.run.is_none()
    }

    fn run(&mut self, run: Run) -> Result<(), Problem> {
        if run.capacity.is_some_and(|items| Capacity::new(items).is_none()) {
            return Err(Problem::Contradiction("the ring's capacity"));
        }
        if !(1..).zip(&run.guests).all(|(vm, guest)| guest.vm == vm) {
            return Err(Problem::Contradiction("the numbers of the VMs"));
        }
        self.run = Some(run);
        Ok(())
    }

    fn turn(&mut self, told: line::Turn) -> Result<(), Problem> {
        let (number, vm, exits) = (told.turn, told.vm, told.exits);
        if number != self.turns.len() as u64 + 1 {
            return Err(Problem::Contradiction("the number of the turn"));
        }
        let run = self.run.as_ref().ok_or(Problem::Contradiction("a turn before the run"))?;
        let guest = run.guest(vm).ok_or(Problem::Contradiction("the number of the turn's VM"))?;
        let deed = match (run.ring(), guest.role(), told.deed) {
            (Some(capacity), Some(role), line::Deed::Moved(moved)) => {
                let pointers = self.items.turn(self.turns.len(), vm, role, &moved, capacity)?;
                Deed::Moved { role, items: moved.items.len(), pointers }
            }
            (None, None, line::Deed::Left { mailbox }) => Deed::Left(mailbox),
            _ => return Err(Problem::Contradiction("a turn of another experiment")),
        };
        self.turns.push(Turn { vm, exits, deed });
        Ok(())
    }

    fn end(&mut self, end: End) -> Result<(), Problem> {
        let account = end.account.is_none_or(|account| {
            let (produced, consumed) = (self.items.produced(), self.items.consumed());
            (account.produced, account.consumed) == (produced as u64, consumed as u64)
                && account.left as usize == produced - consumed
        });
        if end.turns != self.turns.len() as u64 || !account {
            return Err(Problem::Contradiction("the end's numbers"));
        }
        self.exits.extend(end.exits.clone());
        self.end = Some(end);
        Ok(())
    }

    /// The options of the run, where it is a recording's.
    pub fn options(&self) -> Option<&Options> {
        self.options.as_ref()
    }

    /// How the run began; `None` for a guest that runs alone.
    pub fn beginning(&self) -> Option<&Run> {
        self.run.as_ref()
    }

    /// The turns that are over, in order.
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// All items that were made, and what became of them.
    pub fn items(&self) -> &Items {
        &self.items
    }

    /// What guests printed, in order.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The crash that ended the run.
    pub fn crash(&self) -> Option<&Crash> {
        self.crash.as_ref()
    }

    /// The end, where the run came to one.
    pub fn ending(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The exits of each VM that has ended, by kind.
    pub fn exits(&self) -> &BTreeMap<u32, ExitCounts> {
        &self.exits
    }

    /// Exits and times of each VM, where the run was asked for statistics.
    pub fn stats(&self) -> &[VmStats] {
        &self.stats
    }

    /// The VM's exits up to and with turn `turns`, its boot left out.
    pub fn exits_in_turns(&self, vm: u32, turns: usize) -> u64 {
        self.turns.iter().take(turns).filter(|turn| turn.vm == vm).map(|turn| turn.exits).sum()
    }

    /// The ring's pointers after `turns` turns; `None` where there is no ring.
    pub fn pointers(&self, turns: usize) -> Option<Pointers> {
        let capacity = self.run.as_ref()?.ring()?;
        match turns.checked_sub(1).and_then(|last| self.turns.get(last)) {
            Some(Turn { deed: Deed::Moved { pointers, .. }, .. }) => Some(*pointers),
            _ => Some(Pointers::empty(capacity)),
        }
    }

    /// The ring's slots after `turns` turns, each with the number of its item in [`items`](Self::items).
    pub fn ring(&self, turns: usize) -> Vec<Option<usize>> {
        let Some(Pointers { capacity, cons_p, count, .. }) = self.pointers(turns) else { return Vec::new() };
        let first = self.items.consumed_after(turns);
        let place = |slot: u32| (slot + capacity - cons_p) % capacity;
        (0..capacity).map(|slot| (place(slot) < count).then(|| first + place(slot) as usize)).collect()
    }

    /// The numbers of the items that turn `turn`, from 1, moved.
    pub fn moved(&self, turn: usize) -> std::ops::Range<usize> {
        match turn.checked_sub(1).and_then(|last| self.turns.get(last)).map(|turn| &turn.deed) {
            Some(Deed::Moved { role: Role::Producer, .. }) => {
                self.items.produced_after(turn - 1)..self.items.produced_after(turn)
            }
            Some(Deed::Moved { role: Role::Consumer, .. }) => {
                self.items.consumed_after(turn - 1)..self.items.consumed_after(turn)
            }
            _ => 0..0,
        }
    }
}

#[cfg(test)]
mod tests;
