//! The judgement of one submission: a search in a process of its own.

use std::{
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use guest_abi::transition::Role;

use super::list::Entry;
use crate::{
    lab::error::{Error, Status},
    runlog::{
        command_line::CommandLine,
        grade::{Grade, Row},
        verdict::Verdict,
    },
};

/// The most bytes of each output of a search that are read. A verdict is one line with a bounded report.
const MAX_OUTPUT: u64 = 16 << 20;

/// Runs the searches.
pub(super) struct Judge<'a> {
    program: PathBuf,
    /// The options of `explore` for each search.
    search: &'a [String],
    limit: Duration,
    recordings: PathBuf,
}

/// A row, and whether its search had a bug.
pub(super) struct Judged {
    pub(super) row: Row,
    pub(super) has_bug: bool,
}

/// The end of a search.
enum Ended {
    /// It ended by itself.
    Exited { status: ExitStatus, out: Vec<u8>, err: Vec<u8> },
    /// Its time was up.
    Expired,
}

impl<'a> Judge<'a> {
    pub(super) fn new(search: &'a [String], limit: Duration, recordings: PathBuf) -> Result<Self, Error> {
        let program = env::current_exe().map_err(|source| Error::Os { what: "find this program", source })?;
        Ok(Self { program, search, limit, recordings })
    }

    /// Judges a submission. Whatever it does, the result is a row.
    pub(super) fn judge(&self, entry: &Entry) -> Judged {
        let submission = &entry.submission;
        let unusable =
            |reason: &str| Judged { row: Row::new(submission, Grade::Unusable, reason), has_bug: false };
        match (&submission.problem, &entry.image, submission.role) {
            (Some(problem), ..) => unusable(problem),
            (None, None, _) => unusable("there is no image"),
            (None, Some(_), None) => unusable("it is not known whether it is a producer or a consumer"),
            (None, Some(image), Some(role)) => self.search(entry, image, role),
        }
    }

    fn search(&self, entry: &Entry, image: &Path, role: Role) -> Judged {
        let recording = self.recordings.join(format!("{}.jsonl", entry.file));
        // The recording of an earlier time must not look like one of this time.
        let _ = fs::remove_file(&recording);
        let undecided = |reason: String, has_bug| Judged {
            row: Row::new(&entry.submission, Grade::Undecided, reason),
            has_bug,
        };
        let words = self.words(image, role);
        let mut command = Command::new(&self.program);
        command
            .arg("explore")
            .args(&words)
            .args(["--format", "jsonl", "--quiet", "--record"])
            .arg(&recording);
        match run(&mut command, self.limit) {
            Err(error) => undecided(format!("the search cannot be started: {error}"), false),
            Ok(Ended::Expired) => {
                undecided(format!("the search was not over after {} s", self.limit.as_secs_f64()), false)
            }
            Ok(Ended::Exited { status, out, err }) => {
                let again = CommandLine::explore(words).to_string();
                let err = String::from_utf8_lossy(&err);
                match serde_json::from_slice::<Verdict>(&out) {
                    Ok(verdict) => {
                        Judged { row: Row::judged(&entry.submission, &verdict, again), has_bug: false }
                    }
                    Err(_) if status.code() == Some(Status::BadInput as i32) => {
                        let (reason, details) = reason(&err);
                        let row = Row::new(&entry.submission, Grade::Unusable, reason);
                        Judged { row: Row { details, ..row }, has_bug: false }
                    }
                    Err(_) => {
                        let (reason, details) = reason(&err);
                        let reason = match status.code() {
                            Some(_) => reason,
                            None => format!("the search was killed ({status})"),
                        };
                        let Judged { row, .. } = undecided(reason, false);
                        let has_bug = status.code() == Some(Status::Bug as i32);
                        Judged { row: Row { details, command: Some(again), ..row }, has_bug }
                    }
                }
            }
        }
    }

    /// Returns the words of `explore` that choose the search.
    fn words(&self, image: &Path, role: Role) -> Vec<String> {
        let image = match image.is_absolute() || image.components().count() > 1 {
            true => image.to_path_buf(),
            // A word without a slash could be the name of a guest.
            false => Path::new(".").join(image),
        };
        let side = match role {
            Role::Producer => "--producer",
            Role::Consumer => "--consumer",
        };
        let own = ["prodcons".to_owned(), side.to_owned(), image.to_string_lossy().into_owned()];
        own.into_iter().chain(self.search.iter().cloned()).collect()
    }
}

/// Returns the first line of a program's messages without the program's name, and the other lines.
fn reason(err: &str) -> (String, Option<String>) {
    let text = err.trim().strip_prefix("guestlab: ").unwrap_or(err.trim());
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let first = if first.is_empty() { "the search ended without a verdict" } else { first };
    (first.to_owned(), Some(rest.to_owned()).filter(|rest| !rest.is_empty()))
}

/// Runs a program, and kills it when its time is up.
fn run(command: &mut Command, limit: Duration) -> std::io::Result<Ended> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (out, err) = (read(child.stdout.take()), read(child.stderr.take()));
    let until = Instant::now() + limit;
    let next = |output: &mpsc::Receiver<Vec<u8>>| {
        output.recv_timeout(until.saturating_duration_since(Instant::now()))
    };
    match (next(&out), next(&err)) {
        (Ok(out), Ok(err)) => Ok(Ended::Exited { status: child.wait()?, out, err }),
        _ => kill(&mut child).map(|()| Ended::Expired),
    }
}

fn kill(child: &mut Child) -> std::io::Result<()> {
    child.kill()?;
    child.wait().map(drop)
}

/// Reads an output to its end on a thread.
fn read(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What cannot be read is missing, and then there is no verdict.
        let _ = pipe.into_iter().try_for_each(|pipe| pipe.take(MAX_OUTPUT).read_to_end(&mut bytes).map(drop));
        let _ = sender.send(bytes);
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_reason() {
        assert_eq!(reason("guestlab: no ELF\n  try: it\n"), ("no ELF".into(), Some("  try: it".into())));
        assert_eq!(reason(""), ("the search ended without a verdict".into(), None));
    }

    #[test]
    fn a_program_that_does_not_end_is_killed() {
        let mut sleeps = Command::new("sleep");
        assert!(matches!(run(sleeps.arg("600"), Duration::from_millis(50)), Ok(Ended::Expired)));
        let mut prints = Command::new("sh");
        prints.args(["-c", "echo out; echo err >&2; exit 3"]);
        match run(&mut prints, Duration::from_secs(60)).expect("it starts") {
            Ended::Exited { status, out, err } => {
                assert_eq!((status.code(), &*out, &*err), (Some(3), &b"out\n"[..], &b"err\n"[..]));
            }
            Ended::Expired => panic!("it ends"),
        }
    }
}
