//! The last exits of a machine.

use guestlab_cpu::Exit;

/// The number of exits that are remembered.
const REMEMBERED: usize = 16;

/// The last exits of a machine.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The exits. Once there are [`REMEMBERED`], each new one takes the place of the oldest.
    exits: Vec<Exit>,
    /// The place of the next exit.
    next: usize,
}

impl History {
    /// Remembers an exit, and forgets the oldest one if there are too many.
    #[inline]
    pub fn push(&mut self, exit: &Exit) {
        match self.exits.get_mut(self.next) {
            Some(oldest) => oldest.clone_from(exit),
            None => self.exits.push(exit.clone()),
        }
        self.next = (self.next + 1) % REMEMBERED;
    }

    /// Returns the newest exit.
    pub fn last(&self) -> Option<&Exit> {
        self.iter().last()
    }

    /// Returns the exits, the newest last.
    pub fn iter(&self) -> impl Iterator<Item = &Exit> {
        let (newer, older) = self.exits.split_at(self.next);
        older.iter().chain(newer)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.exits.clear();
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_exits_are_remembered_in_their_order() {
        let mut history = History::default();
        assert_eq!(history.last(), None);
        for count in 1..=40 {
            history.push(&Exit::Other { reason: count });
            let oldest = count.saturating_sub(15).max(1);
            let expected: Vec<_> = (oldest..=count).map(|reason| Exit::Other { reason }).collect();
            assert!(history.iter().eq(&expected), "{history:?}");
            assert_eq!(history.last(), expected.last());
        }
        history.clear();
        assert_eq!(history.iter().count(), 0);
        history.push(&Exit::Shutdown);
        assert_eq!(history.last(), Some(&Exit::Shutdown));
    }
}
