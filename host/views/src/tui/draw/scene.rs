//! The scene: a run, and the step and the parts of it that a view shows.

use guestlab_runlog::{
    event::ExitCounts,
    run_log::{RunLog, Turn},
};

use crate::tui::state::View;

/// The origin of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File,
    /// A run that goes on.
    Running,
    /// A run that is over.
    Over,
}

/// The log and the view that are drawn.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The log.
    pub log: &'a RunLog,
    /// The shown part of it.
    pub view: &'a View,
    /// The log's origin.
    pub origin: Origin,
}

impl<'a> Scene<'a> {
    /// The number of turns that are over at the step. A crash is not a turn.
    pub(super) fn turn(&self) -> usize {
        self.view.step().min(self.log.turns().len())
    }

    /// The turn of the step.
    pub(super) fn this_turn(&self) -> Option<&'a Turn> {
        let turn = self.turn().checked_sub(1)?;
        self.log.turns().get(turn).filter(|_| self.log.crash_at(self.view.step()).is_none())
    }

    /// The VM of the step.
    pub(super) fn actor(&self) -> Option<u32> {
        let crash = self.log.crash_at(self.view.step()).map(|crash| crash.vm);
        crash.or(self.this_turn().map(|turn| turn.vm))
    }

    /// Returns true at the last step.
    pub(super) fn is_at_end(&self) -> bool {
        self.view.step() >= self.log.steps()
    }

    /// All exits of a VM, with those of its boot. They are known at the end.
    pub(super) fn exits(&self, vm: u32) -> Option<&'a ExitCounts> {
        self.log.exits().get(&vm).filter(|_| self.is_at_end())
    }
}
