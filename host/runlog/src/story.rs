//! A run as a whole, to be looked at forwards and backwards: what its JSON lines tell, kept.
//!
//! There is one way in: lines, be they those of `--format jsonl`, of a recording, or of a run that is
//! watched while it goes on (see [`live`](crate::live)). Each line is checked against those before it, so that
//! whatever is shown of a story agrees with itself.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, io::BufRead};

use guest_abi::{
    ring::{Capacity, Pointers},
    transition::Role,
};

pub use crate::error::Problem;
pub use crate::event::{StatsRow, VmStats};
pub use crate::items::{Item, Items};
pub use crate::line::{Crash, Dropped, End, ExitCounts, Exited, Guest, Output, Run};
pub use crate::tally::Counts;

use crate::{
    command_line::CommandLine,
    event::Audit,
    line::{self, Line},
    lines::lines,
    recording::Options,
    status::Status,
    tally::Tally,
    text::screen_text,
};

/// The most VMs whose exits are kept, and the most kinds of exits of each: more than there can be.
const MOST_EXITS: usize = 1000;

/// A run, as far as it has been told.
#[derive(Clone, Debug, Default)]
pub struct Story {
    options: Option<Options>,
    run: Option<Run>,
    /// The first guest that was named other than by the run.
    soloist: Option<String>,
    turns: Vec<Turn>,
    items: Items,
    tallies: BTreeMap<u32, Tally>,
    outputs: Vec<Output>,
    crash: Option<Crash>,
    end: Option<End>,
    exits: BTreeMap<u32, ExitCounts>,
    stats: Vec<VmStats>,
    exited: Option<Exited>,
    dropped: Vec<Dropped>,
    command: Option<String>,
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
    /// A story that begins as a recording does, with the options of an exchange.
    pub fn recorded(options: Options) -> Self {
        Self { options: Some(options), ..Self::default() }
    }

    /// A story of which it is known which command repeats it.
    pub fn repeated_by(command: &CommandLine) -> Self {
        Self { command: Some(command.to_string()), ..Self::default() }
    }

    /// Reads complete lines: a recording, or the output of `--format jsonl`. A last line that was cut off is left out.
    ///
    /// # Errors
    ///
    /// The input cannot be read; a line is not one of a run, or contradicts those before it. The error has the line's
    /// number, from 1.
    pub fn read(from: impl BufRead) -> Result<Self, (usize, Problem)> {
        let mut story = Self::default();
        for (number, line) in lines(from) {
            line.map_err(Problem::Read)
                .and_then(|line| story.tell(&line))
                .map_err(|problem| (number, problem))?;
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
            Line::Console { vm, name, text } => {
                self.soloist.get_or_insert(name);
                self.output(vm, &text);
            }
            // A record is one line, as the transcript has it.
            Line::Log { vm, name, level, target, message } => {
                self.soloist.get_or_insert(name);
                let line = format!("{:<5} {target}: {message}", level.to_uppercase()).replace('\n', "\\n");
                self.output(vm, &(line + "\n"));
            }
            Line::Screen { vm, name, lines } => {
                self.soloist.get_or_insert(name);
                self.output(vm, &screen_text(&lines));
            }
            Line::Crash(crash) => {
                self.soloist.get_or_insert_with(|| crash.name.clone());
                self.crash = Some(crash);
            }
            Line::End(end) => self.end(end)?,
            Line::Exit(exited) => {
                self.soloist.get_or_insert_with(|| exited.name.clone());
                self.exits_of(&BTreeMap::from([(exited.vm, exited.exits.clone())]))?;
                self.exited = Some(exited);
            }
            Line::Dropped(dropped) => self.dropped.push(dropped),
            Line::Stats { vms } => self.stats = vms,
            Line::Other => {}
        }
        Ok(())
    }

    /// Whether nothing of a run was told yet.
    pub fn is_empty(&self) -> bool {
        self.run.is_none() && self.exits.is_empty() && self.crash.is_none() && self.outputs.is_empty()
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
                let pointers = self.items.turn(vm, role, &moved, capacity)?;
                Deed::Moved { role, items: moved.items.len(), pointers }
            }
            (None, None, line::Deed::Left { mailbox }) => Deed::Left(mailbox),
            _ => return Err(Problem::Contradiction("a turn of another experiment")),
        };
        let items = match deed {
            Deed::Moved { items, .. } => items,
            Deed::Left(_) => 0,
        };
        self.turns.push(Turn { vm, exits, deed });
        self.tallies.entry(vm).or_default().enter(self.turns.len(), items, exits);
        Ok(())
    }

    /// Guests that print character by character are no reason to keep as many texts.
    fn output(&mut self, vm: u32, text: &str) {
        let turns = self.turns.len();
        match self.outputs.last_mut() {
            Some(last) if (last.turns, last.vm) == (turns, vm) => last.text.push_str(text),
            _ => self.outputs.push(Output { turns, vm, text: text.into() }),
        }
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
        self.exits_of(&end.exits)?;
        self.end = Some(end);
        Ok(())
    }

    /// Takes the exits of VMs that have ended.
    fn exits_of(&mut self, exits: &BTreeMap<u32, ExitCounts>) -> Result<(), Problem> {
        let vms = self.exits.len() + exits.len();
        if vms > MOST_EXITS || exits.values().any(|kinds| kinds.len() > MOST_EXITS) {
            return Err(Problem::Contradiction("more VMs, or kinds of exits, than there can be"));
        }
        self.exits.extend(exits.iter().map(|(&vm, kinds)| (vm, kinds.clone())));
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

    /// The name of a guest that runs alone, once it is known.
    pub fn soloist(&self) -> Option<&str> {
        self.soloist.as_deref().filter(|name| self.run.is_none() && !name.is_empty())
    }

    /// The turns that are over, in order.
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// How many steps the run has taken: its turns, and the crash that ended it.
    pub fn steps(&self) -> usize {
        self.turns.len() + usize::from(self.crash.is_some())
    }

    /// The crash, if step number `step`, from 1, is that.
    pub fn crash_at(&self, step: usize) -> Option<&Crash> {
        self.crash.as_ref().filter(|_| step > self.turns.len())
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

    /// The VM whose guest left an experiment without a ring, which ended the run before all its turns.
    pub fn leaver(&self) -> Option<u32> {
        let (run, end) = (self.run.as_ref()?, self.end.as_ref()?);
        let is_early = end.account.is_none() && end.turns < run.turns?;
        self.turns.last().filter(|_| is_early).map(|turn| turn.vm)
    }

    /// The exits of each VM that has ended, by kind.
    pub fn exits(&self) -> &BTreeMap<u32, ExitCounts> {
        &self.exits
    }

    /// Exits and times of each VM, where the run was asked for statistics.
    pub fn stats(&self) -> &[VmStats] {
        &self.stats
    }

    /// How the guest ended, where it ran alone.
    pub fn exited(&self) -> Option<&Exited> {
        self.exited.as_ref()
    }

    /// What of guests' text is missing.
    pub fn dropped(&self) -> &[Dropped] {
        &self.dropped
    }

    /// The exit status of the run; `None` where it did not come to an end.
    pub fn status(&self) -> Option<Status> {
        let audit = |end: &End| match end.account.map(|account| account.audit) {
            None | Some(Audit::Ok) => Status::Success,
            Some(Audit::Failed) => Status::Bug,
        };
        let crash = self.crash.as_ref().map(|crash| Status::of_end(&crash.reason));
        let exited = self.exited.as_ref().map(|exited| match exited.status {
            0 => Status::Success,
            _ => Status::GuestFailed,
        });
        crash.or(exited).or(self.end.as_ref().map(audit))
    }

    /// The command that repeats the run, where that is known: said by whoever ran it, or made of the
    /// options of an exchange.
    pub fn command(&self) -> Option<String> {
        let of_options =
            || Some(CommandLine::exchange(self.options.as_ref()?, self.run.as_ref()?).to_string());
        self.command.clone().or_else(of_options)
    }

    /// How many items turn `turn`, from 1, could have moved: as many as there was room for, or as there
    /// were.
    pub fn possible(&self, turn: usize) -> Option<u32> {
        let role = self.turns.get(turn.checked_sub(1)?)?.deed.role()?;
        let Pointers { capacity, count, .. } = self.pointers(turn - 1)?;
        Some(if role == Role::Producer { capacity - count } else { count })
    }

    /// What a VM had done after `turns` turns.
    pub fn counts(&self, vm: u32, turns: usize) -> Counts {
        self.tallies.get(&vm).map_or(Counts::default(), |tally| tally.after(turns))
    }

    /// The VM's exits up to and with turn `turns`, its boot left out.
    pub fn exits_in_turns(&self, vm: u32, turns: usize) -> u64 {
        self.counts(vm, turns).exits
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
