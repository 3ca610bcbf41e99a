//! apt, with folders of its own: it reads the system's configuration and writes none of the system's files.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{collections::BTreeSet, ffi::OsStr, fs, time::Duration};

use crate::base::{files, process};
use crate::error::Error;

const INTERVAL: Duration = Duration::from_millis(200);

/// Relations between packages that need no download.
const NOT_NEEDED: [&str; 6] = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"];

#[derive(Debug)]
pub(crate) struct Apt {
    folder: PathBuf,
}

impl Apt {
    pub(crate) fn new(folder: &Path) -> Result<Apt, Error> {
        files::create_folder(&folder.join("lists/partial"))?;
        files::create_folder(&folder.join("cache/archives/partial"))?;
        let apt = Apt { folder: folder.to_path_buf() };
        let path = apt.configuration_file();
        let configuration = include_str!("apt.conf").replace("FOLDER", &folder.display().to_string());
        fs::write(&path, configuration).map_err(Error::file("write", &path))?;
        Ok(apt)
    }

    /// Reads the package lists and returns apt's messages. A source that does not answer is no error: perhaps it is
    /// not needed.
    pub(crate) fn update(&self) -> Result<String, Error> {
        let output = process::capture(self.command("apt-get").arg("update"))?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The names of these packages and of all packages that they depend on, directly or not.
    pub(crate) fn dependencies(&self, of: &[impl AsRef<OsStr>]) -> Result<BTreeSet<String>, Error> {
        let mut ask = self.command("apt-cache");
        ask.args(["depends", "--recurse"]).args(NOT_NEEDED.map(|it| format!("--no-{it}")));
        Ok(parse_depends(&process::output(ask.args(of))?))
    }

    pub(crate) fn direct_dependencies(&self, of: &str) -> Result<BTreeSet<String>, Error> {
        let mut ask = self.command("apt-cache");
        Ok(parse_direct_depends(&process::output(ask.args(["depends", of]))?))
    }

    pub(crate) fn downloads(&self, names: &[String]) -> Result<Vec<Download>, Error> {
        let mut ask = self.command("apt-get");
        let printed = process::output(ask.args(["download", "--print-uris"]).args(names))?;
        Ok(parse_uris(&printed))
    }

    /// Downloads these packages into the folder; apt checks them. `on_progress` gets the number of bytes so far.
    pub(crate) fn download(&self, names: &[String], mut on_progress: impl FnMut(u64)) -> Result<(), Error> {
        let mut download = self.command("apt-get");
        download.arg("download").args(names).stdin(Stdio::null());
        download.stdout(Stdio::null()).stderr(Stdio::piped());
        let spawned = download.spawn();
        let mut child = spawned.map_err(|source| process::cannot_start(&download, source))?;
        // An unknown state is waited for.
        while matches!(child.try_wait(), Ok(None)) {
            on_progress(
                size_of_files(&self.folder) + size_of_files(&self.folder.join("cache/archives/partial")),
            );
            std::thread::sleep(INTERVAL);
        }
        let output = child.wait_with_output();
        let output = output.map_err(|source| process::cannot_start(&download, source))?;
        if output.status.success() { Ok(()) } else { Err(process::failed(&download, &output)) }
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

pub(crate) fn installed(names: &BTreeSet<String>) -> Result<BTreeSet<String>, Error> {
    let mut ask = Command::new("dpkg-query");
    ask.args(["--show", "--showformat", "${db:Status-Abbrev}${Package}\\n"]).args(names);
    // It fails if it does not know one of the names, but prints the others.
    let output = process::capture(&mut ask)?;
    Ok(parse_installed(&String::from_utf8_lossy(&output.stdout)))
}

fn size_of_files(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| entry.metadata().ok()).filter(|it| it.is_file());
    files.map(|file| file.len()).sum()
}

/// Libraries of the running system, which a copy would break.
const NEVER: [&str; 2] = ["libc6", "libgcc-s1"];

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Download {
    /// `NAME_VERSION_ARCHITECTURE.deb`.
    pub(crate) file: String,
    pub(crate) size: u64,
}

impl Download {
    pub(crate) fn package(&self) -> &str {
        self.file.split('_').next().unwrap_or_default()
    }

    /// The package's version. apt writes the epoch's colon as `%3a`.
    pub(crate) fn version(&self) -> String {
        self.file.split('_').nth(1).unwrap_or_default().replace("%3a", ":")
    }
}

/// Reads `apt-cache depends --recurse`: names are at the start of a line, their relations are indented, and virtual
/// packages are in angle brackets.
fn parse_depends(printed: &str) -> BTreeSet<String> {
    let is_name = |line: &&str| line.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    // `name:architecture` is a package of another architecture.
    printed.lines().filter(is_name).filter(|line| !line.contains(':')).map(str::to_owned).collect()
}

/// Reads `apt-cache depends`. It names every alternative (`|Depends`).
fn parse_direct_depends(printed: &str) -> BTreeSet<String> {
    let marks = ["Depends: ", "|Depends: ", "PreDepends: "];
    let name = |line: &str| marks.iter().find_map(|mark| line.trim().strip_prefix(mark).map(str::to_owned));
    printed.lines().filter_map(name).filter(|name| !name.starts_with('<')).collect()
}

fn parse_installed(printed: &str) -> BTreeSet<String> {
    printed.lines().filter_map(|line| line.strip_prefix("ii ")).map(|name| name.trim().to_owned()).collect()
}

/// Returns true for the package of a shared library, by Debian's rules for names, that may be copied.
pub(crate) fn is_shared_library(name: &str) -> bool {
    let is_library = name.starts_with("lib") || name.starts_with("zlib");
    is_library && !name.ends_with("-dev") && !NEVER.contains(&name)
}

/// Reads `apt-get download --print-uris`: lines of `'URI' FILE SIZE HASH`.
fn parse_uris(printed: &str) -> Vec<Download> {
    let download = |line: &str| {
        let mut words = line.strip_prefix('\'')?.split(' ').skip(1);
        Some(Download { file: words.next()?.to_owned(), size: words.next()?.parse().ok()? })
    };
    printed.lines().filter_map(download).collect()
}

pub(crate) fn total_size(downloads: &[Download]) -> u64 {
    downloads.iter().map(|download| download.size).sum()
}

#[cfg(test)]
mod packages_tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    const DEPENDS: &str = "\
rustc-web
  Depends: libc6
  Depends: libstd-rust-web-dev
    libstd-rust-web-dev:i386
 |Depends: gcc
  Depends: <libc-dev>
    libc6-dev
libstd-rust-web-1.96
<libc-dev>
libllvm22
libllvm22:i386
libedit2
";

    #[test]
    fn names_are_told_from_relations() {
        let expected = names(&["rustc-web", "libstd-rust-web-1.96", "libllvm22", "libedit2"]);
        assert_eq!(parse_depends(DEPENDS), expected);
    }

    #[test]
    fn direct_dependencies_are_told_from_other_relations() {
        let printed = "qemu\n  Depends: libaio1\n |Depends: seabios\n  Depends: <firmware>\n    seabios\n  Recommends: ovmf\n";
        assert_eq!(parse_direct_depends(printed), names(&["libaio1", "seabios"]));
    }

    #[test]
    fn the_running_systems_own_libraries_are_never_copied() {
        assert!(is_shared_library("libz3-4") && is_shared_library("zlib1g"));
        assert!(
            !is_shared_library("libc6") && !is_shared_library("libedit-dev") && !is_shared_library("gcc")
        );
    }

    #[test]
    fn only_packages_that_are_wholly_installed_count() {
        let printed = "ii libedit2\nrc libz3-4\nun libffi8\nii zlib1g\n";
        assert_eq!(parse_installed(printed), names(&["libedit2", "zlib1g"]));
    }

    #[test]
    fn a_download_is_read_with_its_size_and_version() {
        let printed = "'http://deb/libllvm22_1%3a22.1.8-1_amd64.deb' libllvm22_1%3a22.1.8-1_amd64.deb 29378692 SHA256:1c\n\
            W: something else\n";
        let [download] = &parse_uris(printed)[..] else { panic!("one package is expected") };
        assert_eq!((download.package(), download.version().as_str()), ("libllvm22", "1:22.1.8-1"));
        assert_eq!(total_size(&parse_uris(printed)), 29_378_692);
    }
}
