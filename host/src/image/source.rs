//! Where an image comes from.

use std::path::{Path, PathBuf};

/// Where an image comes from: a file, which is perhaps that of a guest that is known by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// The guest's name, where that was what the user said.
    pub guest: Option<String>,
}

impl Source {
    /// The image of the guest of this name, which is at `path`.
    pub fn guest(name: &str, path: PathBuf) -> Self {
        Self { path, guest: Some(name.into()) }
    }

    /// A file of the user's.
    pub fn file(path: &Path) -> Self {
        Self { path: path.into(), guest: None }
    }

    /// The source as a recording has it: the guest's name, or the absolute path, so that the recording
    /// can be replayed from another folder.
    pub fn written(&self) -> String {
        match &self.guest {
            Some(name) => name.clone(),
            None => std::path::absolute(&self.path).as_ref().unwrap_or(&self.path).display().to_string(),
        }
    }

    /// The source that was written so; `own` says where a guest's image is.
    pub fn read(text: &str, own: impl Fn(&str) -> PathBuf) -> Self {
        match text.contains('/') {
            true => Self::file(Path::new(text)),
            false => Self::guest(text, own(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_read_as_it_was_written() {
        let own = |name: &str| Path::new("/images").join(name);
        for source in [Source::guest("hello", own("hello")), Source::file(Path::new("/some where/x.elf"))] {
            assert_eq!(Source::read(&source.written(), own), source);
        }
        assert!(Path::new(&Source::file(Path::new("x.elf")).written()).is_absolute());
    }
}
