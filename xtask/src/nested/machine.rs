//! A run of the nested machine, until it switches itself off.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::linux::Linux;
use super::plan::Report;
use crate::base::process::{self, ending, indented};
use crate::base::{files, output};
use crate::debian::{self, Apt, Recipe, is_shared_library};
use crate::error::{Error, Status};

/// A machine that takes longer is stopped.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// The time between two looks at the machine's output.
const INTERVAL: Duration = Duration::from_millis(50);

/// QEMU's options for the hardware.
const HARDWARE: [&str; 13] = [
    // One thread for all CPUs: with a thread each, QEMU sometimes hangs when Linux patches its own code, which KVM
    // causes for each VM.
    "-accel tcg,thread=single",
    "-machine pc",
    "-smp 2",
    // More than a guest with 2 GiB needs. QEMU takes the memory when it is written.
    "-m 4G",
    // All that can be emulated, but four levels of page tables, as most machines have.
    "-cpu max,la57=off",
    "-nodefaults",
    "-no-user-config",
    "-display none",
    // With `panic=-1` a crash of Linux is a reboot, and a reboot is the end.
    "-no-reboot",
    "-serial chardev:console",
    // Output to a port is in its file when the write returns.
    "-device virtio-serial-pci,ioeventfd=off",
    // The port that closes when xtask ends.
    "-chardev stdio,id=life,signal=off",
    "-device virtserialport,nr=4,chardev=life",
];

/// The ports, numbered from 1.
const PORTS: [&str; 3] = ["out", "err", "report"];

/// Options of Linux: its end, its clock (the other one is slow), and no work that is not needed here.
const KERNEL_OPTIONS: &str = "console=ttyS0 quiet loglevel=4 panic=-1 oops=panic tsc=reliable \
                              mitigations=off nokaslr audit=0 apparmor=0 random.trust_cpu=on";

/// A running machine. Dropping it switches it off.
#[derive(Debug)]
pub(crate) struct Machine {
    qemu: Child,
    /// The machine switches itself off when this closes.
    _life: Option<ChildStdin>,
    folder: PathBuf,
    started: Instant,
}

impl Machine {
    /// Switches the machine on. The files of its ports are in `folder`.
    pub(crate) fn start(qemu: &Qemu, linux: &Linux, archive: &Path, folder: &Path) -> Result<Machine, Error> {
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
        let mut child = qemu.spawn().map_err(|source| process::cannot_start(&qemu, source))?;
        let life = child.stdin.take();
        Ok(Machine { qemu: child, _life: life, folder: folder.to_path_buf(), started: Instant::now() })
    }

    /// Shows the machine's output until it ends, and returns its report.
    pub(crate) fn run_to_the_end(mut self) -> Result<Report, Error> {
        let mut out = Follower::open(&self.folder.join("out"), io::stdout())?;
        let mut err = Follower::open(&self.folder.join("err"), io::stderr())?;
        loop {
            // Before the output is read, so that none is lost at the end.
            let ended = self.qemu.try_wait().map_err(Error::file("wait for", Path::new("QEMU")))?;
            out.show()?;
            err.show()?;
            if let Some(ended) = ended {
                return self.report(ended);
            }
            if self.started.elapsed() > LIMIT {
                return Err(Error::cannot_run(format_args!(
                    "the nested machine was stopped: it did not come to its end in {} minutes\n\
                     fewer tests take less time: cargo xtask test --nested FILTER; its console says last:\n{}",
                    LIMIT.as_secs() / 60,
                    indented(&ending(&self.read("console")))
                )));
            }
            std::thread::sleep(INTERVAL);
        }
    }

    fn report(&self, ended: ExitStatus) -> Result<Report, Error> {
        Report::parse(&self.read("report")).ok_or_else(|| {
            let console = self.read("qemu") + &self.read("console");
            Error::cannot_run(format_args!(
                "the nested machine ended (QEMU with status {}) before all tests were run; its console says last:\n{}",
                Status::from(ended),
                indented(&ending(&console))
            ))
        })
    }

    fn read(&self, port: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.join(port)).unwrap_or_default()).into_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.qemu.kill().and_then(|()| self.qemu.wait());
    }
}

/// QEMU's arguments: the hardware, with the console and the ports as files.
fn arguments(folder: &Path) -> Vec<OsString> {
    let mut arguments = Vec::new();
    for id in ["console"].into_iter().chain(PORTS) {
        // A comma ends an option; two of them are one comma.
        let path = folder.join(id).display().to_string().replace(',', ",,");
        arguments.extend(["-chardev".into(), format!("file,id={id},path={path}")]);
    }
    arguments.extend(HARDWARE.iter().flat_map(|option| option.split(' ').map(String::from)));
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

/// A QEMU: the system's, or a private copy in this folder.
#[derive(Debug)]
pub(crate) enum Qemu {
    OnPath(PathBuf),
    Copied(PathBuf),
}

impl Qemu {
    /// Finds QEMU, or makes a copy.
    pub(crate) fn obtain() -> Result<Qemu, Error> {
        if let Some(program) = process::on_path(PROGRAM) {
            return Ok(Qemu::OnPath(program));
        }
        debian::obtain(&Copy).map(Qemu::Copied).map_err(|error| {
            error.map(|reason| {
                format!(
                    "there is no {PROGRAM} on PATH for the nested machine, and a private copy cannot be made: {reason}\n\
                     install QEMU (on Debian, Ubuntu: apt install {PACKAGE})"
                )
            })
        })
    }

    fn command(&self) -> Command {
        match self {
            Qemu::OnPath(program) => Command::new(program),
            Qemu::Copied(copy) => copied(copy),
        }
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

/// The recipe of the private copy.
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

/// Shows a file that grows. The machine writes into a file, so that a slow reader of our output cannot stop it.
#[derive(Debug)]
struct Follower<W> {
    path: PathBuf,
    from: File,
    to: W,
}

impl<W: Write> Follower<W> {
    fn open(path: &Path, to: W) -> Result<Follower<W>, Error> {
        let from = File::open(path).map_err(Error::file("read", path))?;
        Ok(Follower { path: path.to_path_buf(), from, to })
    }

    /// Shows the text that is new since the last call.
    fn show(&mut self) -> Result<(), Error> {
        let shown = io::copy(&mut self.from, &mut self.to).and_then(|_| self.to.flush());
        shown.map_err(Error::file("show", &self.path))
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
    fn what_has_come_is_shown_once() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut shown = Vec::new();
        let mut follower = Follower::open(file.path(), &mut shown).unwrap();
        for text in ["one\n", "", "two\n"] {
            file.write_all(text.as_bytes()).unwrap();
            follower.show().unwrap();
        }
        assert_eq!(shown, b"one\ntwo\n");
    }
}
