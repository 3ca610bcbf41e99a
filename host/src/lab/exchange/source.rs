//! The source of an image: a file, or a guest with a name.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use crate::process::files::path_of_bytes;

/// The beginning of a path as a URL, which is the form in JSON of a path that is not UTF-8.
const URL: &str = "file://";

/// The source of an image: a file, perhaps of a guest with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// The guest's name, if the user gave one.
    pub guest: Option<String>,
}

impl Source {
    /// Returns the source of the guest with this name, whose image is at `path`.
    pub fn guest(name: &str, path: PathBuf) -> Self {
        Self { path, guest: Some(name.into()) }
    }

    /// Returns the source of a file.
    pub fn file(path: &Path) -> Self {
        Self { path: path.into(), guest: None }
    }

    /// Returns the text of the source in a recording: the guest's name, or the absolute path, so that the recording can be
    /// replayed from another folder. A path that is not UTF-8 is a URL.
    pub fn written(&self) -> String {
        if let Some(name) = &self.guest {
            return name.clone();
        }
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        path.to_str().map_or_else(|| url(&path), str::to_owned)
    }

    /// Reads such a text. `own` returns the path of a guest's image.
    pub fn read(text: &str, own: impl Fn(&str) -> PathBuf) -> Self {
        match (text.strip_prefix(URL), text.contains(['/', '\\'])) {
            (Some(escaped), _) => Self::file(&path(escaped)),
            (None, true) => Self::file(Path::new(text)),
            (None, false) => Self::guest(text, own(text)),
        }
    }
}

/// Returns a path as a URL, with escapes where they are necessary.
fn url(path: &Path) -> String {
    let mut url = String::from(URL);
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => url.push(char::from(byte)),
            _ => write!(url, "%{byte:02X}").expect("a String takes all text"),
        }
    }
    url
}

/// Returns the path of a URL. A `%` without two hexadecimal digits after it stays.
fn path(escaped: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = escaped.as_bytes();
    while let Some((&first, others)) = rest.split_first() {
        let hex = |digits: &[u8]| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok();
        let escaped = others.get(..2).filter(|_| first == b'%').and_then(hex);
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &others[2..] } else { others };
    }
    path_of_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    use super::*;

    #[test]
    fn a_source_is_read_as_it_was_written() {
        let own = |name: &str| Path::new("/images").join(name);
        for source in [
            Source::guest("hello", own("hello")),
            Source::file(Path::new("/some where/x.elf")),
            Source::file(Path::new(OsStr::from_bytes(b"/some %41 where/\xFF\xC3(%.elf"))),
        ] {
            assert_eq!(Source::read(&source.written(), own), source);
        }
        assert_eq!(Source::file(Path::new(OsStr::from_bytes(b"/a \xFF"))).written(), "file:///a%20%FF");
        assert!(Path::new(&Source::file(Path::new("x.elf")).written()).is_absolute());
        // A recording of Windows.
        assert_eq!(Source::read(r"C:\x.elf", own), Source::file(Path::new(r"C:\x.elf")));
    }
}
