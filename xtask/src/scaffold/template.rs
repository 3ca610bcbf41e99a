//! The beginnings of new guests. The sources are examples of guest-rt, so that they are formatted, linted, built and run.

use std::path::PathBuf;

use clap::ValueEnum;

/// The manifest of a guest with the name `NAME`.
const MANIFEST: &str = include_str!("guest.toml");

const FIRST: &str = include_str!("../../../guest-rt/examples/first.rs");
const TIMER: &str = include_str!("../../../guest-rt/examples/timer.rs");
const PINGPONG: &str = include_str!("../../../guest-rt/examples/experiments/pingpong.rs");

/// An experiment of two VMs with the guest `pingpong`.
const PINGPONG_FILE: &str = include_str!("../../../guest-rt/examples/experiments/pingpong.toml");
const PINGPONG_FILE_PATH: &str = "guest-rt/examples/experiments/pingpong.toml";
const PINGPONG_NAME: &str = "pingpong";

/// The beginning of a new guest.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Template {
    /// Prints a line.
    Hello,
    /// Exchanges messages with another VM, turn by turn; with a file that lists the VMs.
    Mailbox,
    /// Waits for a timer's interrupts, and handles them.
    Interrupt,
}

impl Template {
    /// The files of a guest of this name, from its folder.
    pub(super) fn files(self, name: &str) -> Vec<(PathBuf, String)> {
        let source = match self {
            Template::Hello => FIRST,
            Template::Mailbox => PINGPONG,
            Template::Interrupt => TIMER,
        };
        let mut files = vec![
            ("Cargo.toml".into(), MANIFEST.replace("NAME", name)),
            ("src/main.rs".into(), source.to_owned()),
        ];
        if self == Template::Mailbox {
            let file = PINGPONG_FILE.replace(PINGPONG_FILE_PATH, &experiment(name));
            files.push((format!("{name}.toml").into(), file.replace(PINGPONG_NAME, name)));
        }
        files
    }

    /// The arguments of `cargo xtask run`.
    pub(super) fn run(self, name: &str) -> String {
        match self {
            Template::Hello | Template::Interrupt => name.to_owned(),
            Template::Mailbox => format!("--experiment {}", experiment(name)),
        }
    }
}

/// The experiment's file, from the workspace's root.
fn experiment(name: &str) -> String {
    format!("{name}/{name}.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_guest_does_not_name_its_example() {
        for template in Template::value_variants() {
            for (path, text) in template.files("demo") {
                assert!(!text.contains("NAME") && !text.contains(PINGPONG_NAME), "{path:?}: {text}");
            }
        }
    }

    #[test]
    fn an_experiment_names_the_guest_and_the_command_that_runs_it() {
        let files = Template::Mailbox.files("demo");
        let (path, text) = files.last().unwrap();
        assert_eq!(path, &PathBuf::from("demo.toml"));
        assert_eq!(text.matches("guest = \"demo\"").count(), 2, "{text}");
        let run = Template::Mailbox.run("demo");
        assert_eq!(run, "--experiment demo/demo.toml");
        assert!(text.contains(&format!("cargo xtask run {run}")), "{text}");
    }
}
