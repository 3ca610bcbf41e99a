//! The log of a run, indexed, so that views can show the run at any turn.
//!
//! All data comes from events: lines of `--format jsonl` or of a recording, or the events of a run that goes on (see
//! [`live`](crate::live)). Each event is checked against those before it, so that all views of a log agree.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, io::BufRead};

use guest_abi::{
    ring::{Capacity, Pointers},
    transition::Role,
};

use crate::{
    command_line::CommandLine,
    counters::{Counters, Counts},
    error::Problem,
    event::{
        self, CheckResult, Console, Crash, Dropped, End, Event, ExitCounts, Exited, Log, Run, Screen, VmStats,
    },
    header::Options,
    items::Items,
    lines::lines,
    status::Status,
    text::screen_text,
};

/// The largest number of VMs, and of kinds of exits of each, that are kept: more than there can be.
const MOST_EXITS: usize = 1000;

/// The log of a run, as far as the run has come.
#[derive(Clone, Debug, Default)]
pub struct RunLog {
    options: Option<Options>,
    run: Option<Run>,
    /// The name of the first guest that an event other than `run` names.
    only_guest: Option<String>,
    turns: Vec<Turn>,
    items: Items,
    counters: BTreeMap<u32, Counters>,
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
    /// The number of VM exits in the turn.
    pub exits: u64,
    /// The action of the VM's guest.
    pub action: Action,
}

/// The action of a guest in a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It moved items through the ring.
    Moved {
        /// The side of the VM.
        role: Role,
        /// The number of items.
        items: usize,
        /// The ring's pointers after it.
        pointers: Pointers,
    },
    /// It left this message in the mailbox, as words.
    Left(Vec<u32>),
}

impl Action {
    /// Returns the side of the turn's VM, in an exchange.
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Moved { role, .. } => Some(*role),
            Self::Left(_) => None,
        }
    }
}

/// Text that a guest printed, or a record of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The number of turns that were over by then.
    pub turns: usize,
    /// The VM's number.
    pub vm: u32,
    /// The text, with all its control characters.
    pub text: String,
}

impl RunLog {
    /// Creates the log of an exchange with these options, as a recording begins.
    pub fn recorded(options: Options) -> Self {
        Self { options: Some(options), ..Self::default() }
    }

    /// Creates the log of a run that this command repeats.
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
        let mut log = Self::default();
        for (number, line) in lines(from) {
            line.map_err(Problem::Read)
                .and_then(|line| log.add_line(&line))
                .map_err(|problem| (number, problem))?;
        }
        Ok(log)
    }

    /// Adds an event that was read from a line.
    ///
    /// # Errors
    ///
    /// The line is not one of a run, or contradicts those before it. The log is as before.
    pub fn add_line(&mut self, line: &[u8]) -> Result<(), Problem> {
        self.add(&serde_json::from_slice(line).map_err(|source| Problem::json(&source))?)
    }

    /// Adds an event.
    ///
    /// # Errors
    ///
    /// The event contradicts those before it. The log is as before.
    pub fn add(&mut self, event: &Event<'_>) -> Result<(), Problem> {
        match event {
            Event::Recording(header) if self.begins() => self.options = Some(header.options.clone()),
            Event::Run(run) if self.run.is_none() => self.run(run)?,
            Event::Recording(_) | Event::Run(_) => return Err(Problem::Contradiction("a second beginning")),
            Event::Turn(turn) => self.turn(turn)?,
            Event::Console(Console { vm, name, text }) => {
                self.output(*vm, name, &String::from_utf8_lossy(text));
            }
            // A record is one line, as in the transcript.
            Event::Log(Log { vm, name, level, target, message }) => {
                let line = format!("{:<5} {target}: {message}", level.as_str()).replace('\n', "\\n");
                self.output(*vm, name, &(line + "\n"));
            }
            Event::Screen(Screen { vm, name, lines, .. }) => self.output(*vm, name, &screen_text(lines)),
            Event::Crash(crash) => {
                self.only_guest.get_or_insert_with(|| crash.name.clone());
                self.crash = Some((**crash).clone());
            }
            Event::End(end) => self.end(end)?,
            Event::Exit(exited) => {
                self.only_guest.get_or_insert_with(|| exited.name.clone());
                self.exits_of(&BTreeMap::from([(exited.vm, exited.exits.clone())]))?;
                self.exited = Some(exited.clone());
            }
            Event::Dropped(dropped) => self.dropped.push(dropped.clone()),
            Event::Stats(stats) => self.stats.clone_from(&stats.vms),
            Event::Profile(_) | Event::Other => {}
        }
        Ok(())
    }

    /// Returns true if there is no event of a run yet.
    pub fn is_empty(&self) -> bool {
        self.run.is_none() && self.exits.is_empty() && self.crash.is_none() && self.outputs.is_empty()
    }

    fn begins(&self) -> bool {
        self.options.is_none() && self.run.is_none()
    }

    fn run(&mut self, run: &Run) -> Result<(), Problem> {
        if run.capacity.is_some_and(|items| Capacity::new(items).is_none()) {
            return Err(Problem::Contradiction("the ring's capacity"));
        }
        if !(1..).zip(&run.guests).all(|(vm, guest)| guest.vm == vm) {
            return Err(Problem::Contradiction("the numbers of the VMs"));
        }
        self.run = Some(run.clone());
        Ok(())
    }

    fn turn(&mut self, turn: &event::Turn<'_>) -> Result<(), Problem> {
        let &event::Turn { turn: number, vm, ref action, exits, .. } = turn;
        if number != self.turns.len() as u64 + 1 {
            return Err(Problem::Contradiction("the number of the turn"));
        }
        let run = self.run.as_ref().ok_or(Problem::Contradiction("a turn before the run"))?;
        let guest = run.guest(vm).ok_or(Problem::Contradiction("the number of the turn's VM"))?;
        let (action, items) = match (run.ring(), guest.role, action) {
            (Some(capacity), Some(role), event::Action::Moved(moved)) => {
                let (items, pointers) = (moved.items.len(), self.items.turn(vm, role, moved, capacity)?);
                (Action::Moved { role, items, pointers }, items)
            }
            (None, None, event::Action::Left { mailbox, .. }) => (Action::Left(mailbox.to_vec()), 0),
            _ => return Err(Problem::Contradiction("a turn of another experiment")),
        };
        self.turns.push(Turn { vm, exits, action });
        self.counters.entry(vm).or_default().enter(self.turns.len(), items, exits);
        Ok(())
    }

    /// Adds text to the last output if nothing came between: a guest may print character by character.
    fn output(&mut self, vm: u32, name: &str, text: &str) {
        self.only_guest.get_or_insert_with(|| name.into());
        let turns = self.turns.len();
        match self.outputs.last_mut() {
            Some(last) if (last.turns, last.vm) == (turns, vm) => last.text.push_str(text),
            _ => self.outputs.push(Output { turns, vm, text: text.into() }),
        }
    }

    fn end(&mut self, end: &End) -> Result<(), Problem> {
        let totals = end.totals.is_none_or(|totals| {
            let (produced, consumed) = (self.items.produced(), self.items.consumed());
            (totals.produced, totals.consumed) == (produced as u64, consumed as u64)
                && totals.left as usize == produced - consumed
        });
        if end.turns != self.turns.len() as u64 || !totals {
            return Err(Problem::Contradiction("the end's numbers"));
        }
        self.exits_of(&end.exits)?;
        self.end = Some(end.clone());
        Ok(())
    }

    /// Adds the exits of VMs that have ended.
    fn exits_of(&mut self, exits: &BTreeMap<u32, ExitCounts>) -> Result<(), Problem> {
        let vms = self.exits.len() + exits.len();
        if vms > MOST_EXITS || exits.values().any(|kinds| kinds.len() > MOST_EXITS) {
            return Err(Problem::Contradiction("more VMs, or kinds of exits, than there can be"));
        }
        self.exits.extend(exits.iter().map(|(&vm, kinds)| (vm, kinds.clone())));
        Ok(())
    }

    /// The options of the run, in a recording.
    pub fn options(&self) -> Option<&Options> {
        self.options.as_ref()
    }

    /// The beginning of the run; `None` for a guest that runs alone.
    pub fn beginning(&self) -> Option<&Run> {
        self.run.as_ref()
    }

    /// The name of a guest that runs alone, once it is known.
    pub fn only_guest(&self) -> Option<&str> {
        self.only_guest.as_deref().filter(|name| self.run.is_none() && !name.is_empty())
    }

    /// The turns that are over, in order.
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// The number of steps of the run: its turns, and the crash that ended it.
    pub fn steps(&self) -> usize {
        self.turns.len() + usize::from(self.crash.is_some())
    }

    /// Returns the crash if it is step number `step`, from 1.
    pub fn crash_at(&self, step: usize) -> Option<&Crash> {
        self.crash.as_ref().filter(|_| step > self.turns.len())
    }

    /// All items of the run.
    pub fn items(&self) -> &Items {
        &self.items
    }

    /// The text that guests printed, in order.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The crash that ended the run.
    pub fn crash(&self) -> Option<&Crash> {
        self.crash.as_ref()
    }

    /// The end, if the run came to it.
    pub fn ending(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Returns the VM whose guest left an experiment without a ring and so ended the run early.
    pub fn leaver(&self) -> Option<u32> {
        let (run, end) = (self.run.as_ref()?, self.end.as_ref()?);
        let is_early = end.totals.is_none() && end.turns < run.turns?;
        self.turns.last().filter(|_| is_early).map(|turn| turn.vm)
    }

    /// The exits of each VM that has ended, by kind.
    pub fn exits(&self) -> &BTreeMap<u32, ExitCounts> {
        &self.exits
    }

    /// Exits and times of each VM, if the run wrote statistics.
    pub fn stats(&self) -> &[VmStats] {
        &self.stats
    }

    /// The end of a guest that ran alone.
    pub fn exited(&self) -> Option<&Exited> {
        self.exited.as_ref()
    }

    /// The parts of guests' text that were dropped.
    pub fn dropped(&self) -> &[Dropped] {
        &self.dropped
    }

    /// The exit status of the run; `None` if it did not come to its end.
    pub fn status(&self) -> Option<Status> {
        let audit = |end: &End| match end.totals.map(|totals| totals.audit) {
            None | Some(CheckResult::Ok) => Status::Success,
            Some(CheckResult::Failed) => Status::Bug,
        };
        let crash = self.crash.as_ref().map(|crash| Status::of_end(&crash.reason));
        let exited = self.exited.as_ref().map(|exited| match exited.status {
            0 => Status::Success,
            _ => Status::GuestFailed,
        });
        crash.or(exited).or(self.end.as_ref().map(audit))
    }

    /// Returns the command that repeats the run, if it is known: as given, or made of the options of an exchange.
    pub fn command(&self) -> Option<String> {
        let of_options =
            || Some(CommandLine::exchange(self.options.as_ref()?, self.run.as_ref()?).to_string());
        self.command.clone().or_else(of_options)
    }

    /// Returns the number of items that turn `turn`, from 1, could have moved: the free slots, or the items in the
    /// ring.
    pub fn possible(&self, turn: usize) -> Option<u32> {
        let role = self.turns.get(turn.checked_sub(1)?)?.action.role()?;
        let Pointers { capacity, count, .. } = self.pointers(turn - 1)?;
        Some(if role == Role::Producer { capacity - count } else { count })
    }

    /// The counters of a VM after `turns` turns.
    pub fn counts(&self, vm: u32, turns: usize) -> Counts {
        self.counters.get(&vm).map_or(Counts::default(), |counters| counters.after(turns))
    }

    /// The VM's exits in the first `turns` turns. Its boot is not counted.
    pub fn exits_in_turns(&self, vm: u32, turns: usize) -> u64 {
        self.counts(vm, turns).exits
    }

    /// The ring's pointers after `turns` turns; `None` without a ring.
    pub fn pointers(&self, turns: usize) -> Option<Pointers> {
        let capacity = self.run.as_ref()?.ring()?;
        match turns.checked_sub(1).and_then(|last| self.turns.get(last)) {
            Some(Turn { action: Action::Moved { pointers, .. }, .. }) => Some(*pointers),
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
        match turn.checked_sub(1).and_then(|last| self.turns.get(last)).map(|turn| &turn.action) {
            Some(Action::Moved { role: Role::Producer, .. }) => {
                self.items.produced_after(turn - 1)..self.items.produced_after(turn)
            }
            Some(Action::Moved { role: Role::Consumer, .. }) => {
                self.items.consumed_after(turn - 1)..self.items.consumed_after(turn)
            }
            _ => 0..0,
        }
    }
}
