//! What apt and dpkg print of packages, and what their names say.

use std::collections::BTreeSet;

/// Libraries that a copy would break rather than complete: they belong to the running system.
const NEVER: [&str; 2] = ["libc6", "libgcc-s1"];

/// One package, as it will be downloaded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Download {
    /// The file's name, `NAME_VERSION_ARCHITECTURE.deb`.
    pub(crate) file: String,
    /// Its size in bytes.
    pub(crate) size: u64,
}

impl Download {
    /// The package's name.
    pub(crate) fn package(&self) -> &str {
        self.file.split('_').next().unwrap_or_default()
    }

    /// The package's version; apt writes the epoch's colon as `%3a`.
    pub(crate) fn version(&self) -> String {
        self.file.split('_').nth(1).unwrap_or_default().replace("%3a", ":")
    }
}

/// Reads the names off `apt-cache depends --recurse`: a name stands at the line's start, its
/// relations are indented, and what is only provided by others is in angle brackets.
pub(crate) fn parse_depends(printed: &str) -> BTreeSet<String> {
    let is_name = |line: &&str| line.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    // `name:architecture` is a package of another architecture.
    printed.lines().filter(is_name).filter(|line| !line.contains(':')).map(str::to_owned).collect()
}

/// Reads the names off `apt-cache depends`, where those of the relations that count are marked.
/// Of alternatives (`|Depends`) each is named.
pub(crate) fn parse_direct_depends(printed: &str) -> BTreeSet<String> {
    let marks = ["Depends: ", "|Depends: ", "PreDepends: "];
    let name = |line: &str| marks.iter().find_map(|mark| line.trim().strip_prefix(mark).map(str::to_owned));
    printed.lines().filter_map(name).filter(|name| !name.starts_with('<')).collect()
}

/// Reads the names of installed packages off `dpkg-query`.
pub(crate) fn parse_installed(printed: &str) -> BTreeSet<String> {
    printed.lines().filter_map(|line| line.strip_prefix("ii ")).map(|name| name.trim().to_owned()).collect()
}

/// Says whether a package holds a shared library, by Debian's rules for names, and whether it may
/// be copied at all.
pub(crate) fn is_shared_library(name: &str) -> bool {
    let library = name.starts_with("lib") || name.starts_with("zlib");
    library && !name.ends_with("-dev") && !NEVER.contains(&name)
}

/// Reads `apt-get download --print-uris`: `'URI' FILE SIZE HASH` a line.
pub(crate) fn parse_uris(printed: &str) -> Vec<Download> {
    let download = |line: &str| {
        let mut words = line.strip_prefix('\'')?.split(' ').skip(1);
        Some(Download { file: words.next()?.to_owned(), size: words.next()?.parse().ok()? })
    };
    printed.lines().filter_map(download).collect()
}

/// The size of all of them, in bytes.
pub(crate) fn total_size(downloads: &[Download]) -> u64 {
    downloads.iter().map(|download| download.size).sum()
}

#[cfg(test)]
mod tests {
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
    fn only_what_is_wholly_installed_counts() {
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
