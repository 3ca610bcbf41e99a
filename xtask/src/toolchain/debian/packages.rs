//! Which packages a private copy is made of; all of it decided from what apt and dpkg print.

use std::collections::BTreeSet;

use super::Error;
use crate::toolchain::Version;

/// The compiler, the library's source, and what lints guests; the rest follows from these.
pub(crate) const WANTED: [&str; 3] = ["rustc-web", "rust-web-src", "rust-web-clippy"];

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

    /// Says whether this is the library's source.
    pub(crate) fn is_source(&self) -> bool {
        self.package().ends_with("-src")
    }
}

/// Reads the names off `apt-cache depends --recurse`: a name stands at the line's start, its
/// relations are indented, and what is only provided by others is in angle brackets.
pub(crate) fn parse_depends(printed: &str) -> BTreeSet<String> {
    let is_name = |line: &&str| line.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    // `name:architecture` is a package of another architecture.
    printed.lines().filter(is_name).filter(|line| !line.contains(':')).map(str::to_owned).collect()
}

/// Reads the names of installed packages off `dpkg-query`.
pub(crate) fn parse_installed(printed: &str) -> BTreeSet<String> {
    printed.lines().filter_map(|line| line.strip_prefix("ii ")).map(|name| name.trim().to_owned()).collect()
}

/// Chooses what to download: the compiler with its LLVM always, the libraries they need only
/// where the system lacks them.
pub(crate) fn choose(names: &BTreeSet<String>, installed: &BTreeSet<String>) -> Vec<String> {
    let chosen = |name: &&String| {
        let compiler = name.contains("rust") || name.starts_with("libllvm");
        compiler || (is_shared_library(name) && !installed.contains(*name))
    };
    names.iter().filter(chosen).cloned().collect()
}

fn is_shared_library(name: &str) -> bool {
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

/// Refuses a compiler that is too old before it is downloaded.
pub(crate) fn check_version(downloads: &[Download], pinned: Version) -> Result<(), Error> {
    let compiler = downloads.iter().find(|download| download.package() == WANTED[0]);
    let found = compiler.map(Download::version).unwrap_or_default();
    if Version::parse(&found).is_some_and(|version| version >= pinned) {
        return Ok(());
    }
    Err(Error::TooOld { found, pinned })
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
    fn the_compiler_is_always_taken_and_libraries_only_where_they_lack() {
        let all = names(&[
            "rustc-web",
            "rust-web-src",
            "libstd-rust-web-dev",
            "libllvm22",
            "gcc",
            "libedit2",
            "zlib1g",
            "libz3-4",
            "libc6",
            "libc6-dev",
            "libgcc-s1",
        ]);
        let installed = names(&["libedit2", "libllvm22", "rustc-web"]);
        let expected = ["libllvm22", "libstd-rust-web-dev", "libz3-4", "rust-web-src", "rustc-web", "zlib1g"];
        assert_eq!(choose(&all, &installed), expected);
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

    #[test]
    fn a_compiler_that_is_too_old_or_missing_is_refused() {
        let pinned = Version::parse("1.95.0").unwrap();
        let of = |file: &str| [Download { file: file.into(), size: 1 }];
        assert!(check_version(&of("rustc-web_1.96.0+dfsg1-1_amd64.deb"), pinned).is_ok());
        let error = check_version(&of("rustc-web_1.85.0+dfsg3-1_amd64.deb"), pinned).unwrap_err();
        assert!(error.to_string().contains("1.85.0") && error.to_string().contains("1.95.0"), "{error}");
        assert!(check_version(&of("libllvm22_22_amd64.deb"), pinned).is_err());
    }
}
