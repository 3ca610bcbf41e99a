//! apt, with folders of its own: it reads the system's configuration and writes nothing of it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::packages::{self, Download};
use crate::error::Error;
use crate::process;

/// How often the progress of a download is looked at.
const GLANCE: Duration = Duration::from_millis(200);

/// Relations that are no reason to download something.
const NOT_NEEDED: [&str; 6] = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"];

/// apt in a folder of its own.
#[derive(Debug)]
pub(crate) struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// Makes the folders and the configuration.
    pub(crate) fn new(folder: &Path) -> Result<Apt, Error> {
        for name in ["lists/partial", "cache/archives/partial"] {
            let path = folder.join(name);
            fs::create_dir_all(&path).map_err(Error::file("create", &path))?;
        }
        let apt = Apt { folder: folder.to_path_buf() };
        let path = apt.configuration_file();
        fs::write(&path, configuration(folder)).map_err(Error::file("write", &path))?;
        Ok(apt)
    }

    /// Reads the package lists. A source that cannot be reached is no failure: it may not be the
    /// one that matters. What apt has to say about it is returned.
    pub(crate) fn update(&self) -> Result<String, Error> {
        let output = process::capture(self.command("apt-get").arg("update"))?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The names of these packages and of all that they depend on, however far.
    pub(crate) fn dependencies(&self, of: &[impl AsRef<OsStr>]) -> Result<BTreeSet<String>, Error> {
        let mut ask = self.command("apt-cache");
        ask.args(["depends", "--recurse"]).args(NOT_NEEDED.map(|it| format!("--no-{it}")));
        Ok(packages::parse_depends(&process::output(ask.args(of))?))
    }

    /// The names of what one package itself depends on.
    pub(crate) fn direct_dependencies(&self, of: &str) -> Result<BTreeSet<String>, Error> {
        let mut ask = self.command("apt-cache");
        Ok(packages::parse_direct_depends(&process::output(ask.args(["depends", of]))?))
    }

    /// What a download of these packages consists of.
    pub(crate) fn downloads(&self, names: &[String]) -> Result<Vec<Download>, Error> {
        let mut ask = self.command("apt-get");
        let printed = process::output(ask.args(["download", "--print-uris"]).args(names))?;
        Ok(packages::parse_uris(&printed))
    }

    /// Downloads these packages into the folder; apt checks them. `glance` is told now and then
    /// how many bytes have come.
    pub(crate) fn download(&self, names: &[String], mut glance: impl FnMut(u64)) -> Result<(), Error> {
        let mut download = self.command("apt-get");
        download.arg("download").args(names).stdin(Stdio::null());
        download.stdout(Stdio::null()).stderr(Stdio::piped());
        let spawned = download.spawn();
        let mut child = spawned.map_err(|source| process::cannot_start(&download, source))?;
        while !has_ended(&mut child) {
            glance(self.downloaded());
            std::thread::sleep(GLANCE);
        }
        let output = child.wait_with_output();
        let output = output.map_err(|source| process::cannot_start(&download, source))?;
        if output.status.success() { Ok(()) } else { Err(process::failed(&download, &output)) }
    }

    fn downloaded(&self) -> u64 {
        [self.folder.clone(), self.folder.join("cache/archives/partial")]
            .iter()
            .map(|it| size_of_files(it))
            .sum()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-q").arg("-c").arg(self.configuration_file());
        command.current_dir(&self.folder).env("LC_ALL", "C");
        command
    }

    fn configuration_file(&self) -> PathBuf {
        self.folder.join("apt.conf")
    }
}

/// What apt is told beyond the system's configuration, which it still reads for its sources,
/// keys and proxies.
fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"// Everything that apt writes is in this folder, so no lock of the system's is needed.
Dir::State::Lists "{folder}/lists";
Dir::Cache "{folder}/cache";
Debug::NoLocking "true";
// The user that apt downloads as when it is root cannot write into a private folder.
APT::Sandbox::User "root";
// Hooks of the system would act on the system.
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
// Lists that are of no use here, and big.
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
// A source that does not answer shall not hold us up for long.
Acquire::Retries "1";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
"#
    )
}

/// The names among these whose packages the system has.
pub(crate) fn installed(names: &BTreeSet<String>) -> Result<BTreeSet<String>, Error> {
    let mut ask = Command::new("dpkg-query");
    ask.args(["--show", "--showformat", "${db:Status-Abbrev}${Package}\\n"]).args(names);
    // It fails where it does not know one of the names, but prints the others.
    let output = process::capture(&mut ask)?;
    Ok(packages::parse_installed(&String::from_utf8_lossy(&output.stdout)))
}

fn has_ended(child: &mut Child) -> bool {
    // What cannot be asked is waited for.
    child.try_wait().map_or(true, |ended| ended.is_some())
}

fn size_of_files(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| entry.metadata().ok()).filter(|it| it.is_file());
    files.map(|file| file.len()).sum()
}
