//! The second exchange of a check of determinism, a turn behind the first.

use super::turns::{TurnRunner, boot_all};
use crate::{
    lab::{
        error::Error,
        session::Session,
        twins::{difference, differs, same_end},
        vm::Vm,
    },
    output,
};

/// The second exchange.
pub(super) struct Twins<'a> {
    pub(super) machines: Vec<Vm>,
    pub(super) turns: TurnRunner,
    pub(super) session: Session<'a>,
    /// The VM of each turn, by its index.
    pub(super) order: Box<dyn Iterator<Item = usize>>,
    pub(super) is_booted: bool,
}

impl Twins<'_> {
    /// Does what the first exchange has done: boots, or runs a turn. Compares the states.
    pub(super) fn follow(&mut self, machines: &mut [Vm]) -> Result<(), Error> {
        if !std::mem::replace(&mut self.is_booted, true) {
            same_end("before the first turn", Ok(()), boot_all(&self.session, &mut self.machines))?;
            return machines.iter_mut().zip(&mut self.machines).try_for_each(|(first, second)| {
                difference(first, second)?
                    .map_or(Ok(()), |found| Err(differs("before the first turn", &found)))
            });
        }
        let Some(vm) = self.order.next() else { return Ok(()) };
        let second = &mut self.machines[vm];
        let place = format!("behind turn {}", self.turns.turns() + 1);
        same_end(&place, Ok(()), self.turns.turn(&self.session, second, vm))?;
        difference(&mut machines[vm], second)?.map_or(Ok(()), |found| Err(differs(&place, &found)))
    }

    /// Compares the ends. A guest that failed must fail here, too.
    pub(super) fn end(mut self, outcome: Result<(), Error>) -> Result<(), Error> {
        match outcome {
            Ok(()) => {
                let turns = self.turns.turns();
                output::warn(&format!(
                    "deterministic: the second run had the same states, up to turn {turns}"
                ));
                Ok(())
            }
            Err(Error::Guest(error)) if !error.end.is_time_dependent() => {
                let place =
                    error.at.turn.map_or("before the first turn".into(), |turn| format!("in turn {turn}"));
                let second = match (error.at.turn, self.order.next()) {
                    (Some(_), Some(vm)) => self.turns.turn(&self.session, &mut self.machines[vm], vm),
                    _ => boot_all(&self.session, &mut self.machines),
                };
                same_end(&place, Err(Error::Guest(error)), second).inspect_err(|error| {
                    if matches!(error, Error::Guest(_)) {
                        output::warn("deterministic: the second run failed in the same way");
                    }
                })
            }
            outcome => outcome,
        }
    }
}
