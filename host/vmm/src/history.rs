//! The last exits of a machine.

use std::collections::VecDeque;

use guestlab_cpu::Exit;

/// The number of exits that are remembered.
const REMEMBERED: usize = 16;

/// The last exits of a machine, the newest last.
#[derive(Clone, Debug, Default)]
pub struct History(VecDeque<Exit>);

impl History {
    /// Remembers an exit, and forgets the oldest one if there are too many.
    pub fn push(&mut self, exit: &Exit) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(exit.clone());
    }

    /// Returns the newest exit.
    pub fn last(&self) -> Option<&Exit> {
        self.0.back()
    }

    /// Returns the exits, the newest last.
    pub fn iter(&self) -> impl Iterator<Item = &Exit> {
        self.0.iter()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
