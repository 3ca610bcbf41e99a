//! The scene: a run, and the step and the parts of it that a view shows.

use guestlab_runlog::{
    event::ExitCounts,
    run_log::{RunLog, Turn},
};

use crate::tui::state::View;

/// How the log that is shown comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was read from a file.
    File,
    /// Its run goes on.
    Running,
    /// Its run is over.
    Over,
}

/// What is drawn.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The log.
    pub log: &'a RunLog,
    /// What is shown of it.
    pub view: &'a View,
    /// How it comes about.
    pub origin: Origin,
}

impl<'a> Scene<'a> {
    /// The number of turns that are over at the step; a crash is no turn.
    pub(super) fn turn(&self) -> usize {
        self.view.step().min(self.log.turns().len())
    }

    /// The turn that is the step.
    pub(super) fn this_turn(&self) -> Option<&'a Turn> {
        let turn = self.turn().checked_sub(1)?;
        self.log.turns().get(turn).filter(|_| self.log.crash_at(self.view.step()).is_none())
    }

    /// The VM whose step it is.
    pub(super) fn actor(&self) -> Option<u32> {
        let crash = self.log.crash_at(self.view.step()).map(|crash| crash.vm);
        crash.or(self.this_turn().map(|turn| turn.vm))
    }

    /// Whether it is the last step that there is.
    pub(super) fn is_at_end(&self) -> bool {
        self.view.step() >= self.log.steps()
    }

    /// All exits of a VM, its boot's included: they are known at the end.
    pub(super) fn exits(&self, vm: u32) -> Option<&'a ExitCounts> {
        self.log.exits().get(&vm).filter(|_| self.is_at_end())
    }
}
