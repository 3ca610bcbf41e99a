//! The report about a search among interrupts.

use super::{
    config::InterruptsConfig,
    search::Searched,
    subject::{Ending, Subject},
    trial::Trials,
};
use crate::{
    cpu::{CpuState, MAX_INSTRUCTION, instruction},
    lab::error::Error,
    output,
    runlog::command_line::CommandLine,
    runlog::text::escape_line,
};

/// The report about the search for one guest or test.
pub(super) struct Report<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) config: &'a InterruptsConfig,
}

impl Report<'_> {
    /// Reports that the guest fails without an interrupt of the search.
    pub(super) fn fails_undisturbed(&self) -> Result<(), Error> {
        output::line(&format!("{}: it fails without an interrupt at a chosen place", self.subject.name()))
    }

    /// Returns the error for a bad end. The report about a test that did not panic is a line.
    pub(super) fn error(&self, ending: Ending) -> Result<Error, Error> {
        if let Ending::Failed(error) = ending {
            return Ok(Error::Guest(error));
        }
        output::line(&format!("{}: it did not panic, as it should", self.subject.name()))?;
        Ok(Error::Tests(1))
    }

    /// Reports that the guest holds, after so many instructions without an interrupt.
    pub(super) fn holds(&self, end: u64, searched: &Searched) -> Result<(), Error> {
        let name = self.subject.name();
        let Searched { places, is_whole, tried, states, pairs, all_pairs } = *searched;
        if places == 0 {
            return output::line(&format!(
                "{name}: there is no place where an interrupt can come: no timer runs while interrupts are on"
            ));
        }
        let places = match (is_whole, tried == places) {
            (true, true) => {
                format!("it holds at all {places} places ({states} states) of its {end} instructions")
            }
            (true, false) => {
                format!("it holds at {tried} of {places} places ({states} states) of its {end} instructions")
            }
            (false, _) => format!("it holds at {tried} places ({states} states) of its first instructions"),
        };
        let pairs = match (all_pairs, pairs) {
            (true, 0) => ", and no two interrupts can come".into(),
            (true, pairs) => format!(", and at all {pairs} pairs of places"),
            (false, pairs) => format!(", and at {pairs} pairs of places, chosen at random"),
        };
        output::line(&format!("{name}: {places}{pairs}"))
    }

    /// Reports the places at which the guest fails.
    pub(super) fn found(
        &self,
        trials: &mut Trials<'_, '_>,
        searched: &Searched,
        pauses: &[u64],
    ) -> Result<(), Error> {
        let tried = match searched.pairs {
            0 => format!("place {} of {}", searched.tried, searched.places),
            pairs => format!("pair {pairs}, after all {} places", searched.places),
        };
        output::line(&format!("{}: found at {tried}: the timer's interrupt", self.subject.name()))?;
        for (index, &at) in pauses.iter().enumerate() {
            let place = place(trials, &pauses[..index], at)?;
            output::line(&format!("  comes after {at} instructions, before {place}"))?;
        }
        output::line(&format!("this repeats it:\n  {}", command(self.subject, self.config, pauses)))
    }
}

/// Returns the instruction at a place, and its source.
fn place(trials: &mut Trials<'_, '_>, pauses: &[u64], at: u64) -> Result<String, Error> {
    trials.restart();
    trials.go_to(pauses, at)?;
    let vm = trials.vm();
    let state = vm.cpu_mut().registers()?;
    let text = disassembled(&state, |address, code| vm.read_linear(&state, address, code));
    let source = vm.origin().sources([state.instruction()]).pop().unwrap_or_default();
    let line = source.line.map(|(file, line)| format!(" at {}:{line}", escape_line(&file)));
    let function = source.function.map(|function| format!(" in {}", escape_line(&function)));
    Ok(format!("`{text}`{}{}", line.unwrap_or_default(), function.unwrap_or_default()))
}

fn disassembled(state: &CpuState, read: impl FnOnce(u64, &mut [u8]) -> usize) -> String {
    let mut code = [0; MAX_INSTRUCTION];
    let there = read(state.instruction(), &mut code);
    instruction::text(&instruction::decode(state.bits(), &code[..there], state.ip))
}

/// Returns the command that runs the guest with these interrupts.
pub(super) fn command(subject: &Subject<'_>, config: &InterruptsConfig, pauses: &[u64]) -> CommandLine {
    let guest = match &config.source.guest {
        Some(name) => vec![name.clone()],
        None => vec!["--image".into(), config.source.path.display().to_string()],
    };
    let numbers: Vec<String> = pauses.iter().map(u64::to_string).collect();
    let arguments = subject.test.map(|test| ["--".into(), test.name.clone()]);
    CommandLine::run(guest)
        .maybe("--mode", config.mode.map(|mode| mode.name()))
        .maybe("--memory", (config.memory != guest_abi::layout::DEFAULT_MEMORY).then_some(config.memory))
        .option("--seed", config.seed)
        .option("--interrupt-at", numbers.join(","))
        .words(arguments.as_ref().map_or(&[], |words| &words[..]))
}
