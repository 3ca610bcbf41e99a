//! Text files of the user's. A file that another command takes is refused with advice.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Take},
    path::Path,
};

use crate::process::files;

/// Reads a whole regular file of text, as [`files::read`] does.
///
/// # Errors
///
/// As [`files::read`], or the file is not UTF-8, or is an image or a recording.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    let bytes = files::read(path, limit)?;
    check_kind(&bytes, &KINDS)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// Opens a regular file of lines for reading.
///
/// # Errors
///
/// As [`files::open`], or the file is of a kind that another command takes.
pub fn open_run(path: &Path, limit: u64) -> io::Result<BufReader<Take<File>>> {
    let mut file = BufReader::new(files::open(path, limit)?.0);
    check_kind(file.fill_buf()?, &KINDS[..1])?;
    Ok(file)
}

/// The first bytes of a recording, and of a run that was printed as JSON lines.
const RUN_START: &[u8] = br#"{"event":"#;

/// Kinds of files by their first bytes, with the command that takes each.
const KINDS: [(&[u8], &str); 2] = [
    (b"\x7FELF", "it is an ELF file; an image is run with `cargo xtask run --image FILE`"),
    (
        RUN_START,
        "it is the record of a run; `cargo xtask replay FILE` runs it again, `cargo xtask view FILE` shows it",
    ),
];

/// Refuses a file that begins like one of these kinds.
fn check_kind(start: &[u8], kinds: &[(&[u8], &'static str)]) -> io::Result<()> {
    match kinds.iter().find(|(magic, _)| start.starts_with(magic)) {
        Some((_, is)) => Err(io::Error::new(io::ErrorKind::InvalidData, *is)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_of_another_kind_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        let error = |bytes: &[u8]| {
            fs::write(&path, bytes).expect("written");
            read_text(&path, 100).err().map(|error| error.to_string())
        };
        assert_eq!(error(b"1212"), None);
        assert_eq!(error(b"\xFF").as_deref(), Some("it is not UTF-8 text"));
        assert!(error(b"\x7FELF...").is_some_and(|error| error.contains("ELF")));
        assert!(error(br#"{"event":"run"}"#).is_some_and(|error| error.contains("replay")));
        assert!(open_run(&path, 100).is_ok());
    }
}
