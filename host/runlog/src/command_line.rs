//! Command lines that the user can type to repeat a run.

use std::fmt;

use crate::{event::Run, header::Options};

/// The guest that produces if no other is named.
pub const PRODUCER: &str = "guest-producer";

/// The guest that consumes if no other is named.
pub const CONSUMER: &str = "guest-consumer";

/// A command line. Its text is quoted for a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    words: Vec<String>,
}

/// Options of `run` that name an output file, each with a value. They do not change the run.
const OUTPUT_OPTIONS: [&str; 6] = ["--report", "--trace", "--record", "--core", "--coverage", "--flame"];

/// Options of `run` that change the amount of output, each without a value.
const OUTPUT_FLAGS: [&str; 3] = ["--tui", "--quiet", "--stats"];

impl CommandLine {
    /// `cargo xtask run` with these words.
    pub fn run(words: impl IntoIterator<Item = String>) -> Self {
        Self { words: ["cargo", "xtask", "run"].map(String::from).into_iter().chain(words).collect() }
    }

    /// `cargo xtask explore` with these words.
    pub fn explore(words: impl IntoIterator<Item = String>) -> Self {
        Self { words: ["cargo", "xtask", "explore"].map(String::from).into_iter().chain(words).collect() }
    }

    /// Adds an option.
    #[must_use]
    pub fn option(mut self, name: &str, value: impl ToString) -> Self {
        self.words.extend([name.to_owned(), value.to_string()]);
        self
    }

    /// Adds an option if there is a value.
    #[must_use]
    pub fn maybe(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.option(name, value),
            None => self,
        }
    }

    /// Adds words that are options.
    #[must_use]
    pub fn words(mut self, words: &[String]) -> Self {
        self.words.extend_from_slice(words);
        self
    }

    /// Returns the command that repeats an exchange. Options with default values are left out.
    pub fn exchange(options: &Options, run: &Run) -> Self {
        let Options { producer, consumer, producers, consumers, produce, consume, mode, memory, max_exits } =
            options;
        let other = |name: &String, default: &str| (name != default).then(|| name.clone());
        let many = |number: usize| (number != 1).then_some(number);
        // A written schedule ends the run without `--turns`, unless the number differs.
        let written = run.schedule.strip_prefix("string:");
        let written = written.map(|turns| turns.split_whitespace().map(str::len).sum::<usize>() as u64);
        let turns = run.turns.filter(|&turns| Some(turns) != written);
        Self::run(["prodcons".to_owned()])
            .maybe("--producer", other(producer, PRODUCER))
            .maybe("--consumer", other(consumer, CONSUMER))
            .maybe("--producers", many(*producers))
            .maybe("--consumers", many(*consumers))
            .maybe("--produce", *produce)
            .maybe("--consume", *consume)
            .maybe("--mode", mode.as_ref())
            .maybe("--memory", (*memory != guest_abi::layout::DEFAULT_MEMORY).then_some(memory))
            .maybe("--max-exits", *max_exits)
            .maybe("--capacity", run.capacity)
            .option("--seed", run.seed)
            .option("--schedule", &run.schedule)
            .maybe("--turns", turns)
            .maybe("--items", run.items)
    }

    /// Returns the command of a run from the words after `run`, with the run's seed and without the output options.
    pub fn again(given: impl IntoIterator<Item = String>, seed: u64) -> Self {
        let mut given: Vec<String> = given.into_iter().collect();
        // The words after `--` are for the guest.
        let end = given.iter().position(|word| word == "--").unwrap_or(given.len());
        let guests = given.split_off(end);
        let mut kept = without_output_options(given);
        if !kept.iter().any(|word| is(word, "--seed")) {
            kept.extend(["--seed".into(), seed.to_string()]);
        }
        Self::run(kept.into_iter().chain(guests))
    }
}

/// Removes the options that only change where and in which form the output goes.
fn without_output_options(given: Vec<String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = given.into_iter().peekable();
    while let Some(word) = words.next() {
        let value = word.split_once('=').map(|(_, value)| value).or(words.peek().map(String::as_str));
        // `--format` may also name the format of an image.
        let is_form = is(&word, "--format") && matches!(value, Some("text" | "jsonl"));
        match is_form || OUTPUT_OPTIONS.iter().any(|option| is(&word, option)) {
            true if !word.contains('=') => drop(words.next()),
            true => {}
            false if OUTPUT_FLAGS.contains(&word.as_str()) => {}
            false => kept.push(word),
        }
    }
    kept
}

/// Returns true if a word is this option, with its value after a `=` or in the next word.
fn is(word: &str, option: &str) -> bool {
    word.strip_prefix(option).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A word with a NUL cannot come from a command line.
        match shlex::try_join(self.words.iter().map(String::as_str)) {
            Ok(line) => f.write_str(&line),
            Err(_) => f.write_str(&self.words.join(" ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn again(given: &str, line: &str) {
        let words = given.split(' ').map(str::to_owned);
        assert_eq!(CommandLine::again(words, 7).to_string(), format!("cargo xtask run {line}"));
    }

    #[test]
    fn the_same_again_has_the_seed_and_writes_no_report() {
        again("hello --report x.html --mode long", "hello --mode long --seed 7");
        again("hello --report=x.html --seed=3", "hello '--seed=3'");
        again("--report x.html --image y.elf --seed 3", "--image y.elf --seed 3");
        again("hello -- --report x --seed 3", "hello --seed 7 -- --report x --seed 3");
        again("hello --report", "hello --seed 7");
    }

    #[test]
    fn the_same_again_is_not_told_anywhere() {
        again(
            "hello --trace t.json --tui --coverage c.info --flame f.svg --report=r --quiet --stats --seed 1",
            "hello --seed 1",
        );
        again("x --format jsonl --format flat --format=text --seed 1", "x --format flat --seed 1");
        again("x --trace-instructions 7 --seed 1", "x --trace-instructions 7 --seed 1");
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        let line = CommandLine::run(["a b".to_owned()]).maybe("--x", Some("it's")).maybe("--y", None::<u8>);
        assert_eq!(line.to_string(), r#"cargo xtask run 'a b' --x "it's""#);
    }
}
