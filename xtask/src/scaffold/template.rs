//! The beginnings of new packages. The sources are examples of guest-rt, guest-c and the host, so that they are formatted,
//! linted, built and run.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

const GUEST: &str = include_str!("files/guest.toml");
/// The guest that prints a line.
pub(crate) const FIRST: &str = include_str!("../../../guest-rt/examples/first.rs");
const TIMER: &str = include_str!("../../../guest-rt/examples/timer.rs");
const PRODUCER: &str = include_str!("../../../guest-rt/examples/first-producer.rs");
const CONSUMER: &str = include_str!("../../../guest-rt/examples/first-consumer.rs");
const PINGPONG: &str = include_str!("../../../guest-rt/examples/experiments/pingpong.rs");
/// An experiment of two VMs with the guest `pingpong`.
const PINGPONG_FILE: &str = include_str!("../../../guest-rt/examples/experiments/pingpong.toml");

const C_GUEST: &str = include_str!("files/c.toml");
const C_BUILD: &str = include_str!("files/build.rs");
const C_LINK: &str = include_str!("files/main.rs");
const C_FIRST: &str = include_str!("../../../guest-rt/c/examples/hello.c");
const C_PRODUCER: &str = include_str!("../../../guest-rt/c/examples/producer.c");
const C_CONSUMER: &str = include_str!("../../../guest-rt/c/examples/consumer.c");

const HOST: &str = include_str!("files/host.toml");
const TWO_VMS: &str = include_str!("../../../host/examples/two_vms.rs");

/// The names in these files that the name of the new package replaces.
const NAMES: [&str; 4] = ["first-producer", "first-consumer", "pingpong", "NAME"];

/// Guestlab's crates that a package may depend on, and their folders.
pub(crate) const CRATES: [(&str, &str); 8] = [
    ("guest-abi", "guest-rt/abi"),
    ("guest-c", "guest-rt/c"),
    ("guest-c-build", "guest-rt/c/build"),
    ("guest-rt", "guest-rt"),
    ("guestlab-cpu", "host/cpu"),
    ("guestlab-kvm", "host/kvm"),
    ("guestlab-soft", "host/soft"),
    ("guestlab-vmm", "host/vmm"),
];

/// The beginning of a new package.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Template {
    /// A guest that prints a line.
    Hello,
    /// A guest that exchanges messages with another VM, turn by turn; with a file that lists the VMs.
    Mailbox,
    /// A guest that waits for a timer's interrupts, and handles them.
    Interrupt,
    /// A producer for `run prodcons`: one item per turn.
    Producer,
    /// A consumer for `run prodcons`: one item per turn.
    Consumer,
    /// A guest in C that prints a line.
    C,
    /// A producer in C.
    CProducer,
    /// A consumer in C.
    CConsumer,
    /// A hypervisor of two VMs, which does not yet copy between them. Its folder must be outside of this one.
    Host,
}

/// A package that is made.
#[derive(Debug)]
pub(super) struct Package<'a> {
    pub(super) name: &'a str,
    /// The folder as it was typed, and the path from it to Guestlab's, for a package outside of Guestlab's workspace.
    pub(super) elsewhere: Option<(&'a str, PathBuf)>,
}

impl Template {
    /// The files of a package, from its folder.
    pub(super) fn files(self, package: &Package<'_>) -> Vec<(PathBuf, String)> {
        let rust = |source| vec![("Cargo.toml", GUEST), ("src/main.rs", source)];
        let c = |source| {
            vec![
                ("Cargo.toml", C_GUEST),
                ("build.rs", C_BUILD),
                ("src/main.rs", C_LINK),
                ("src/main.c", source),
            ]
        };
        let files = match self {
            Template::Hello => rust(FIRST),
            Template::Mailbox => [rust(PINGPONG), vec![("NAME.toml", PINGPONG_FILE)]].concat(),
            Template::Interrupt => rust(TIMER),
            Template::Producer => rust(PRODUCER),
            Template::Consumer => rust(CONSUMER),
            Template::C => c(C_FIRST),
            Template::CProducer => c(C_PRODUCER),
            Template::CConsumer => c(C_CONSUMER),
            Template::Host => vec![("Cargo.toml", HOST), ("src/main.rs", TWO_VMS)],
        };
        files.into_iter().map(|(path, text)| package.file(path, text)).collect()
    }

    /// The command that runs the package.
    pub(super) fn run(self, package: &Package<'_>) -> String {
        package.text(match self {
            Template::Hello | Template::Interrupt | Template::C => "cargo xtask run NAME",
            Template::Mailbox => "cargo xtask run --experiment guest-rt/examples/experiments/NAME.toml",
            Template::Producer | Template::CProducer => {
                "cargo xtask run prodcons --producer NAME --preset basic"
            }
            Template::Consumer | Template::CConsumer => {
                "cargo xtask run prodcons --consumer NAME --preset basic"
            }
            Template::Host => {
                "cargo xtask build-guests guest-producer guest-consumer && cd NAME && cargo run"
            }
        })
    }
}

/// The files of a package in Guestlab's workspace, apart from its C files.
pub(crate) fn c_package(name: &str) -> Vec<(PathBuf, String)> {
    let mut files = Template::C.files(&Package { name, elsewhere: None });
    files.retain(|(path, _)| path.extension().is_none_or(|end| end != "c"));
    files
}

impl Package<'_> {
    /// A file of this package, from one with another name in it.
    fn file(&self, path: &str, text: &str) -> (PathBuf, String) {
        let text = if path == "Cargo.toml" { self.manifest(text) } else { self.text(text) };
        (path.replace("NAME", self.name).into(), text)
    }

    /// Makes a manifest: outside of the workspace Guestlab's crates have a path.
    fn manifest(&self, text: &str) -> String {
        let text = text.replace("NAME", self.name);
        let Some((_, guestlab)) = &self.elsewhere else { return text };
        let with_paths = CRATES.iter().fold(text, |text, (name, folder)| {
            let path = escaped(&guestlab.join(folder));
            text.replace(
                &format!("\n{name}.workspace = true"),
                &format!("\n{name} = {{ path = \"{path}\" }}"),
            )
        });
        with_paths + "\n# A workspace of its own, in whatever folder it lies.\n[workspace]\n"
    }

    /// Gives the commands and paths in a text this package's name and place.
    fn text(&self, text: &str) -> String {
        let text = match &self.elsewhere {
            None => text.replace("guest-rt/examples/experiments", self.name),
            Some((typed, guestlab)) => {
                let (typed, images) = (quoted(typed), escaped(&guestlab.join("target/guests")));
                text.replace("cargo xtask run NAME", &format!("cargo xtask run --manifest-path {typed}"))
                    .replace(" prodcons ", &format!(" prodcons --manifest-path {typed} "))
                    .replace(
                        " --experiment guest-rt/examples/experiments",
                        &format!(" --manifest-path {typed} --experiment {typed}"),
                    )
                    .replace("cargo run --example two_vms", "cargo run")
                    .replace("cd NAME", &format!("cd {typed}"))
                    .replace("target/guests", &images)
            }
        };
        NAMES.iter().fold(text, |text, name| text.replace(name, self.name))
    }
}

/// A path between the quotes of Rust or TOML.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"")
}

/// A path for a shell.
fn quoted(path: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-~+@%".contains(c);
    if path.chars().all(is_plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member() -> Package<'static> {
        Package { name: "demo", elsewhere: None }
    }

    fn elsewhere() -> Package<'static> {
        Package { name: "demo", elsewhere: Some(("../my labs/demo", "../../guestlab".into())) }
    }

    #[test]
    fn a_new_package_does_not_name_its_example() {
        for (package, template) in [member(), elsewhere()]
            .iter()
            .flat_map(|it| Template::value_variants().iter().map(move |other| (it, other)))
        {
            for (path, text) in template.files(package) {
                let old = NAMES.iter().find(|name| text.contains(**name));
                assert_eq!(old, None, "{path:?}: {text}");
                assert!(!text.contains("examples"), "{path:?}: {text}");
            }
        }
    }

    #[test]
    fn outside_of_the_workspace_every_dependency_has_a_path() {
        for template in Template::value_variants() {
            let (_, manifest) = template.files(&elsewhere()).swap_remove(0);
            assert!(!manifest.contains("workspace = true"), "{manifest}");
            assert!(
                manifest.contains(" = { path = \"../../guestlab/") && manifest.ends_with("\n[workspace]\n"),
                "{manifest}"
            );
        }
    }

    #[test]
    fn an_experiment_names_the_guest_and_the_command_that_runs_it() {
        for (package, command) in [
            (member(), "cargo xtask run --experiment demo/demo.toml"),
            (
                elsewhere(),
                "cargo xtask run --manifest-path '../my labs/demo' --experiment '../my labs/demo'/demo.toml",
            ),
        ] {
            let (path, text) = Template::Mailbox.files(&package).pop().unwrap();
            assert_eq!(path, PathBuf::from("demo.toml"));
            assert_eq!(text.matches("guest = \"demo\"").count(), 2, "{text}");
            assert_eq!(Template::Mailbox.run(&package), command);
            assert!(text.contains(command), "{text}");
        }
    }

    #[test]
    fn the_commands_in_a_source_are_those_of_its_place() {
        let source = |template: Template, package: &Package<'_>| template.files(package).pop().unwrap().1;
        for template in [Template::Producer, Template::CConsumer] {
            let run = template.run(&member());
            assert!(source(template, &member()).contains(&run), "{run}");
            let run = template.run(&elsewhere());
            assert!(
                run.starts_with("cargo xtask run prodcons --manifest-path '../my labs/demo' --"),
                "{run}"
            );
            assert!(source(template, &elsewhere()).contains(&run), "{run}");
        }
        let host = source(Template::Host, &elsewhere());
        assert!(host.contains("[\"../../guestlab/target/guests/guest-producer.elf\", "), "{host}");
    }
}
