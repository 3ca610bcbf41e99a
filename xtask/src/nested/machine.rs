//! A run of the nested machine, until it switches itself off.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, ffi::OsString};

use super::linux::Linux;
use super::plan::Report;
use crate::base::process::{self, ending, indented};
use crate::base::{files, output};
use crate::debian::{self, Apt, Recipe, is_shared_library};
use crate::error::{Error, Status};

const LIMIT: Duration = Duration::from_secs(30 * 60);

const INTERVAL: Duration = Duration::from_millis(50);

/// QEMU's options for the hardware, with comments.
const HARDWARE: &str = include_str!("hardware.txt");

const PORTS: [&str; 3] = ["out", "err", "report"];

/// Options of Linux: its end, its clock (the other one is slow), and no work that is not needed here.
const KERNEL_OPTIONS: &str = "console=ttyS0 quiet loglevel=4 panic=-1 oops=panic tsc=reliable \
                              mitigations=off nokaslr audit=0 apparmor=0 random.trust_cpu=on";

/// Runs the machine and shows its output until it switches itself off. Returns its report. The files of its ports are
/// in `folder`.
pub(crate) fn run(qemu: &Qemu, linux: &Linux, archive: &Path, folder: &Path) -> Result<Report, Error> {
    output::note(
        "nested machine: starting Linux in an emulated PC, with KVM as on AMD's hardware; this is slow",
    );
    for port in PORTS.into_iter().chain(["console"]) {
        files::create(&folder.join(port))?;
    }
    let mut qemu = qemu.command();
    qemu.args(arguments(folder)).arg("-kernel").arg(&linux.kernel).arg("-initrd").arg(archive);
    qemu.args(["-append", KERNEL_OPTIONS]).stdin(Stdio::piped()).stdout(Stdio::null());
    qemu.stderr(files::create(&folder.join("qemu"))?);
    // Its stdin stays open until xtask ends: then the machine switches itself off.
    let mut child = qemu.spawn().map_err(|source| process::cannot_start(&qemu, source))?;
    let ended = wait(&mut child, folder);
    // It may have ended by itself.
    let _ = child.kill().and_then(|()| child.wait());
    let ended = ended?;
    let read = |port| String::from_utf8_lossy(&fs::read(folder.join(port)).unwrap_or_default()).into_owned();
    let console = indented(&ending(&(read("qemu") + &read("console"))));
    let problem = match ended.map(Status::from) {
        Some(status) => match Report::parse(&read("report")) {
            Some(report) => return Ok(report),
            None => format!("ended (QEMU with status {status}) before all tests were run"),
        },
        None => format!(
            "was stopped: it did not end within {} minutes\n\
             fewer tests take less time: cargo xtask test --nested FILTER",
            LIMIT.as_secs() / 60
        ),
    };
    Err(Error::cannot_run(format_args!(
        "the nested machine {problem}\nthe last lines of its console:\n{console}"
    )))
}

/// Shows the machine's output until it ends or takes too long. The machine writes into files, so that a slow reader of
/// our output cannot stop it.
fn wait(child: &mut Child, folder: &Path) -> Result<Option<ExitStatus>, Error> {
    let open = |port| File::open(folder.join(port)).map_err(Error::file("read", folder));
    let (mut out, mut err, started) = (open("out")?, open("err")?, Instant::now());
    while started.elapsed() < LIMIT {
        // Before the output is read, so that none is lost at the end.
        let ended = child.try_wait().map_err(Error::file("wait for", Path::new("QEMU")))?;
        let shown = show(&mut out, &mut io::stdout()).and_then(|()| show(&mut err, &mut io::stderr()));
        shown.map_err(Error::file("show the output in", folder))?;
        if ended.is_some() {
            return Ok(ended);
        }
        std::thread::sleep(INTERVAL);
    }
    Ok(None)
}

/// Shows the text that a file has gained since the last call.
fn show(from: &mut File, to: &mut impl Write) -> io::Result<()> {
    io::copy(from, to)?;
    to.flush()
}

fn arguments(folder: &Path) -> Vec<OsString> {
    let mut arguments = Vec::new();
    for id in ["console"].into_iter().chain(PORTS) {
        // A comma ends an option; two of them are one comma.
        let path = folder.join(id).display().to_string().replace(',', ",,");
        arguments.extend(["-chardev".into(), format!("file,id={id},path={path}")]);
    }
    let options = HARDWARE.lines().filter(|line| !line.starts_with('#'));
    arguments.extend(options.flat_map(str::split_whitespace).map(String::from));
    for (id, number) in PORTS.iter().zip(1..) {
        arguments.extend(["-device".into(), format!("virtserialport,nr={number},chardev={id}")]);
    }
    arguments.into_iter().map(OsString::from).collect()
}

const PROGRAM: &str = "qemu-system-x86_64";
const PACKAGE: &str = "qemu-system-x86";

/// The folders of shared libraries in a copy, which the system's loader does not search.
const LIBRARIES: [&str; 4] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib", "lib"];

/// The folders of firmware, and of the code that boots a kernel, in a copy.
const DATA: [&str; 2] = ["usr/share/qemu", "usr/share/seabios"];

/// The system's QEMU, or that of the private copy in this folder.
#[derive(Debug)]
pub(crate) struct Qemu(Option<PathBuf>);

impl Qemu {
    pub(crate) fn obtain() -> Result<Qemu, Error> {
        if process::on_path(PROGRAM).is_some() {
            return Ok(Qemu(None));
        }
        debian::obtain(&Copy).map(|copy| Qemu(Some(copy))).map_err(|error| {
            error.map(|reason| {
                format!(
                    "there is no {PROGRAM} on PATH for the nested machine, and a private copy cannot be made: {reason}\n\
                     install QEMU (on Debian, Ubuntu: apt install {PACKAGE})"
                )
            })
        })
    }

    fn command(&self) -> Command {
        self.0.as_deref().map_or_else(|| Command::new(PROGRAM), copied)
    }
}

fn copied(copy: &Path) -> Command {
    let mut command = Command::new(copy.join("usr/bin").join(PROGRAM));
    if let Ok(path) = env::join_paths(LIBRARIES.map(|folder| copy.join(folder))) {
        command.env("LD_LIBRARY_PATH", path);
    }
    command.env("QEMU_MODULE_DIR", copy.join(LIBRARIES[0]).join("qemu"));
    for folder in DATA {
        command.arg("-L").arg(copy.join(folder));
    }
    command
}

#[derive(Debug)]
struct Copy;

impl Recipe for Copy {
    fn name(&self) -> &'static str {
        "nested qemu"
    }

    /// Chooses the emulator, its data, and the libraries that the system lacks. The libraries of its many modules for
    /// sound and screens are left out.
    fn choose(&self, apt: &Apt) -> Result<Vec<String>, Error> {
        let direct = apt.direct_dependencies(PACKAGE)?;
        let (libraries, others): (Vec<_>, Vec<_>) =
            direct.into_iter().partition(|name| is_shared_library(name));
        let libraries = apt.dependencies(&libraries)?;
        let installed = debian::installed(&libraries)?;
        let missing = libraries.into_iter().filter(|it| is_shared_library(it) && !installed.contains(it));
        let data = others.into_iter().filter(|name| name.starts_with("qemu-system-") || name == "seabios");
        Ok(std::iter::once(PACKAGE.to_owned()).chain(data).chain(missing).collect())
    }

    /// Asks for the emulation, which may be a module of its own.
    fn check(&self, copy: &Path) -> Result<(), String> {
        let printed =
            process::output(copied(copy).args(["-accel", "help"])).map_err(|error| error.to_string())?;
        let has_emulation = printed.lines().any(|line| line.trim() == "tcg");
        has_emulation.then_some(()).ok_or_else(|| format!("{PROGRAM} lacks its emulation (tcg)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_has_its_file_and_its_number() {
        let arguments = arguments(Path::new("/target/a,b"));
        for (id, number) in [("out", 1), ("err", 2), ("report", 3)] {
            let file = format!("file,id={id},path=/target/a,,b/{id}");
            assert!(arguments.contains(&file.into()), "{arguments:?}");
            let port = format!("virtserialport,nr={number},chardev={id}");
            assert!(arguments.contains(&port.into()), "{arguments:?}");
        }
    }

    #[test]
    fn the_kernels_options_are_one_line_with_all_that_ends_a_crash() {
        let options: Vec<&str> = KERNEL_OPTIONS.split(' ').collect();
        assert!(options.iter().all(|option| !option.trim().is_empty()), "{options:?}");
        assert!(["console=ttyS0", "panic=-1", "oops=panic"].iter().all(|it| options.contains(it)));
    }
}

#[cfg(test)]
mod ports_tests {
    use super::*;

    #[test]
    fn new_text_is_shown_once() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let (mut from, mut shown) = (File::open(file.path()).unwrap(), Vec::new());
        for text in ["one\n", "", "two\n"] {
            file.write_all(text.as_bytes()).unwrap();
            show(&mut from, &mut shown).unwrap();
        }
        assert_eq!(shown, b"one\ntwo\n");
    }
}
