//! Compiler versions: of rustc, of Debian's packages and of `rust-toolchain.toml`.

use std::fmt;

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    /// Returns the version that `rust-toolchain.toml` pins; 0.0.0 if its channel has no number.
    pub(crate) fn pinned() -> Version {
        let file = include_str!("../../../rust-toolchain.toml");
        pinned_in(file).unwrap_or(Version { major: 0, minor: 0, patch: 0 })
    }

    /// Reads `1.96.0` or `1.96`, and ignores what follows (`+dfsg1-1`, `-nightly`, ` (ac68faa20 ...)`).
    pub(crate) fn parse(text: &str) -> Option<Version> {
        let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
        let mut parts = text[..end.unwrap_or(text.len())].split('.').map(str::parse);
        let mut part = || parts.next().and_then(Result::ok);
        Some(Version { major: part()?, minor: part()?, patch: part().unwrap_or(0) })
    }

    /// Returns an error text if `found` is older than this version.
    pub(crate) fn check(self, found: Version) -> Result<(), String> {
        if found >= self {
            Ok(())
        } else {
            Err(format!("rustc {found} is older than {self}, the pinned version"))
        }
    }

    pub(crate) fn of_rustc(printed: &str) -> Option<Version> {
        Version::parse(printed.strip_prefix("rustc ")?)
    }
}

fn pinned_in(file: &str) -> Option<Version> {
    let line = file.lines().find_map(|line| line.trim().strip_prefix("channel"))?;
    Version::parse(line.trim_start_matches([' ', '=', '"']))
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1_96: Version = Version { major: 1, minor: 96, patch: 0 };

    #[test]
    fn versions_are_read_wherever_they_stand() {
        for text in ["1.96.0", "1.96", "1.96.0+dfsg1-1~deb12u2", "1.96.0-nightly"] {
            assert_eq!(Version::parse(text), Some(V1_96), "{text}");
        }
        let printed = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\n";
        assert_eq!(Version::of_rustc(printed), Some(V1_96));
    }

    #[test]
    fn other_text_is_not_a_version() {
        for text in ["", "stable", "1", "1.x"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
        assert_eq!(Version::of_rustc("clang version 19.0"), None);
    }

    #[test]
    fn order_is_by_number_not_by_letter() {
        assert!(Version::parse("1.100.0") > Version::parse("1.96.0"));
        assert!(Version::parse("1.63.0") < Version::parse("1.95.0"));
    }

    #[test]
    fn the_pin_is_found_in_the_file() {
        assert_eq!(pinned_in("# channel\n[toolchain]\nchannel = \"1.96.0\"\n"), Some(V1_96));
        assert_eq!(pinned_in("[toolchain]\nchannel = \"stable\"\n"), None);
        assert!(Version::pinned() >= Version::parse("1.95.0").unwrap());
    }
}
