//! The sandbox of a build, by bubblewrap: no network, no other process, and one folder that can be written.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, io::Read, sync::mpsc, thread};

use crate::base::process;
use crate::guests::{Library, Mode};
use crate::toolchain::{self, Toolchain};
use crate::{error::Error, workspace::Workspace};

const PROGRAM: &str = "bwrap";

/// The system's programs and libraries. None of these folders has a user's files.
const SYSTEM: [&str; 9] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
];

/// Limits for each program in the sandbox: a file has at most 1 GiB, a program 8 GiB of addresses.
const LIMITS: &str = "ulimit -c 0; ulimit -f 2097152; ulimit -v 8388608; exec \"$@\"";

/// The most bytes of each output that are read.
const MAX_OUTPUT: u64 = 4 << 20;

/// A sandbox, which works on this machine.
#[derive(Debug)]
pub(super) struct Sandbox {
    /// The files and folders that can be read.
    readable: Vec<PathBuf>,
    cargo: PathBuf,
    cargo_home: PathBuf,
}

/// The end of a program in the sandbox.
#[derive(Debug)]
pub(super) enum Ended {
    /// It succeeded. This is its standard output.
    Well(String),
    /// It failed. This is its standard error.
    Badly(String),
    /// Its time was up.
    Expired,
}

impl Sandbox {
    /// Finds out if builds can be confined here. The inner error is the reason why not.
    pub(super) fn find(
        workspace: &Workspace,
        toolchain: &Toolchain,
        mode: Mode,
    ) -> Result<Result<Sandbox, String>, Error> {
        if process::on_path(PROGRAM).is_none() {
            return Ok(Err("bubblewrap is not installed (on Debian, Ubuntu: apt install bubblewrap)".into()));
        }
        let active = toolchain::active(&workspace.root)?;
        let cargo = active.join("bin/cargo");
        let cargo = if cargo.is_file() { Some(cargo) } else { process::on_path("cargo") };
        let Some((cargo, cargo_home)) = cargo.zip(cargo_home()) else {
            return Ok(Err("cargo, or its folder, was not found: set CARGO_HOME".into()));
        };
        let mut readable: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
        readable.extend([active, toolchain.sysroot.path().into()]);
        // Some libraries of a private copy are beside its `usr`.
        let beside = toolchain.sysroot.path().parent().map(|parent| parent.join("lib"));
        readable.extend(beside.into_iter().chain([toolchain.linker.clone()]));
        readable.push(Library::obtain(toolchain, mode)?.sysroot);
        readable.extend(["guest-rt", "Cargo.toml"].map(|name| workspace.root.join(name)));
        readable.push(cargo_home.join("registry"));
        let sandbox = Sandbox { readable, cargo, cargo_home };
        let here = env::temp_dir();
        let tried = process::capture(&mut sandbox.command(&here, &Command::new("true")))?;
        Ok(match tried.status.success() {
            true => Ok(sandbox),
            false => {
                let said = String::from_utf8_lossy(&tried.stderr).trim().to_owned();
                Err(format!("bubblewrap does not work here: {said}"))
            }
        })
    }

    /// Returns a command that runs another one in the sandbox, with this folder writable.
    fn command(&self, folder: &Path, inner: &Command) -> Command {
        let mut outer = Command::new(PROGRAM);
        outer.args([
            "--unshare-all",
            "--die-with-parent",
            "--new-session",
            "--cap-drop",
            "ALL",
            "--clearenv",
        ]);
        for path in &self.readable {
            outer.arg("--ro-bind-try").args([path, path]);
        }
        outer.args(["--proc", "/proc", "--dev", "/dev", "--bind"]).args([folder, folder]);
        outer.args(["--remount-ro", "/", "--remount-ro", "/dev"]);
        outer.arg("--chdir").arg(inner.get_current_dir().unwrap_or(folder));
        for (name, value) in self.environment(folder, inner) {
            outer.arg("--setenv").args([name, value]);
        }
        outer.args(["sh", "-c", LIMITS, "sh"]).arg(inner.get_program()).args(inner.get_args());
        outer
    }

    /// The variables in the sandbox. None of the user's others is there: they may be secrets.
    fn environment(&self, folder: &Path, inner: &Command) -> Vec<(OsString, OsString)> {
        let own = inner.get_envs().filter_map(|(name, value)| Some((name.into(), value?.into())));
        let compiler = env::var_os("CC").map(|value| ("CC".into(), value));
        let fixed = [
            ("PATH", OsString::from("/usr/local/bin:/usr/bin:/bin")),
            ("HOME", folder.into()),
            ("TMPDIR", folder.into()),
            ("CARGO_HOME", self.cargo_home.clone().into()),
            ("CARGO_NET_OFFLINE", "true".into()),
            ("CARGO_TERM_COLOR", "never".into()),
        ];
        let fixed = fixed.into_iter().map(|(name, value)| (name.into(), value));
        fixed.chain(compiler).chain(own).collect()
    }

    /// Runs cargo as this command does, in the sandbox.
    pub(super) fn run(&self, folder: &Path, cargo: &Command, limit: Duration) -> Result<Ended, Error> {
        let mut inner = Command::new(&self.cargo);
        inner.args(cargo.get_args());
        cargo.get_current_dir().map(|folder| inner.current_dir(folder));
        for (name, value) in cargo.get_envs() {
            value.map(|value| inner.env(name, value));
        }
        run(&mut self.command(folder, &inner), limit)
    }
}

/// Cargo's folder of the user.
pub(super) fn cargo_home() -> Option<PathBuf> {
    let named = env::var_os("CARGO_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))
}

/// Runs a program, and kills it when its time is up. With bubblewrap ends everything in the sandbox.
fn run(command: &mut Command, limit: Duration) -> Result<Ended, Error> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|source| process::cannot_start(command, source))?;
    let (out, err) = (read(child.stdout.take()), read(child.stderr.take()));
    let until = Instant::now() + limit;
    let next = |output: &mpsc::Receiver<String>| {
        output.recv_timeout(until.saturating_duration_since(Instant::now())).ok()
    };
    let outputs = next(&out).zip(next(&err));
    if outputs.is_none() {
        // It may have ended by itself meanwhile.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|source| process::cannot_start(command, source))?;
    Ok(match outputs {
        None => Ended::Expired,
        Some((out, _)) if status.success() => Ended::Well(out),
        Some((_, err)) => Ended::Badly(err),
    })
}

/// Reads an output to its end on a thread. What is too much of it is dropped.
fn read(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // An output that cannot be read ends here, as a shorter one.
            let _ = pipe.by_ref().take(MAX_OUTPUT).read_to_end(&mut bytes);
            let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        }
        // The receiver is gone if the time is up.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_sandbox(script: &str, limit: Duration) -> Option<Ended> {
        process::on_path(PROGRAM)?;
        let folder = tempfile::tempdir().unwrap();
        let readable = SYSTEM.iter().map(PathBuf::from).collect();
        let sandbox = Sandbox { readable, cargo: "sh".into(), cargo_home: "/nonexistent".into() };
        let mut inner = Command::new("cargo");
        inner.args(["-c", script]).current_dir(folder.path());
        let ended = run(&mut sandbox.command(folder.path(), &Command::new("true")), limit).unwrap();
        if !matches!(ended, Ended::Well(_)) {
            eprintln!("skipped: bubblewrap does not work here: {ended:?}");
            return None;
        }
        Some(sandbox.run(folder.path(), &inner, limit).unwrap())
    }

    #[test]
    fn a_build_writes_into_its_own_folder_only() {
        let script =
            "set -e; touch here; ! touch /tmp/x; ! touch /dev/x; ! touch /usr/x; ! touch /x; echo done";
        match in_sandbox(script, Duration::from_secs(60)) {
            None => {}
            Some(Ended::Well(out)) => assert_eq!(out, "done\n"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_build_sees_no_network_no_variable_no_process_and_no_device() {
        let script = "set -e; ! test -e /dev/kvm; test -z \"$CARGO_MANIFEST_DIR\"; test ! -e /home; test ! -e /root; \
                      test \"$(cat /proc/net/dev | grep -c :)\" = 1; test \"$(ls -d /proc/[0-9]* | wc -l)\" -le 6; \
                      echo done";
        match in_sandbox(script, Duration::from_secs(60)) {
            None => {}
            Some(Ended::Well(out)) => assert_eq!(out, "done\n"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_build_that_does_not_end_is_ended() {
        let ended = in_sandbox("sleep 600 & sleep 600", Duration::from_secs(2));
        assert!(matches!(ended, None | Some(Ended::Expired)), "{ended:?}");
    }
}
