//! Experiment files.

use std::path::Path;

use guest_abi::layout::{MAX_ARGUMENTS_SIZE, MAX_MEMORY, PAGE_SIZE};
use guestlab::lab::pipeline::Experiment;

/// Reads an experiment's text. A schedule's file does not exist.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Experiment::parse(text, Path::new("/nonexistent")) {
        Ok(experiment) => {
            assert!((1..=32).contains(&experiment.vms.len()));
            for vm in &experiment.vms {
                assert!(vm.memory > 0 && vm.memory <= MAX_MEMORY && vm.memory.is_multiple_of(PAGE_SIZE));
                let len: usize = vm.arguments.iter().map(|argument| argument.len() + 1).sum();
                assert!(len <= MAX_ARGUMENTS_SIZE as usize);
            }
        }
        Err((place, problem)) => {
            assert!(!problem.is_empty());
            // The end of a text without its last line's end is behind that.
            let lines = text.matches('\n').count() + 1;
            assert!(place.is_none_or(|place| (1..=lines).contains(&place.line) && place.column >= 1));
        }
    }
}
