//! Grades a class: searches each submission for failures, in a process of its own, and writes a table, JSON lines and
//! a page.
//!
//! ```text
//! list of submissions -> a process `explore` for each -> Row -> table on standard output, grades.jsonl, index.html
//! ```
//!
//! A submission is searched together with Guestlab's own guest of the other side, so that no submission fails for the fault
//! of another. A process can be killed when its time is up, and a bug of the host ends one row only.

mod judge;
mod list;
mod table;

use std::{
    fs,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use indicatif::ProgressBar;

use crate::{
    lab::{error::Error, open},
    output,
    process::output_file::{Named, OutputFile, check_distinct},
    runlog::{grade::Row, json, sink::Form},
    views::html::class_page,
    vmm::Request,
};
use judge::{Judge, Judged};
use list::Entry;

/// The file of all rows, as JSON lines.
const LINES: &str = "grades.jsonl";

/// The page.
const PAGE: &str = "index.html";

/// The folder of the recordings.
const RECORDINGS: &str = "recordings";

/// The configuration of `grade`.
#[derive(Clone, Debug)]
pub struct GradeConfig {
    /// The list of submissions.
    pub list: PathBuf,
    /// The folder of the grades.
    pub out: PathBuf,
    /// Guestlab's own guests, with which submissions are searched.
    pub own: [PathBuf; 2],
    /// The options of `explore` for each search.
    pub search: Vec<String>,
    /// The time that one search may take.
    pub limit: Duration,
    /// The number of searches at the same time.
    pub jobs: usize,
    /// The form of the output.
    pub form: Form,
    /// True if progress is not shown.
    pub quiet: bool,
}

/// Grades all submissions of the list. The grades do not change the outcome.
///
/// # Errors
///
/// The list cannot be read, the grades cannot be written, or the host failed in a search.
pub fn run(config: &GradeConfig) -> Result<(), Error> {
    let (lines, page) = (config.out.join(LINES), config.out.join(PAGE));
    let outputs = [Named::new("the rows", &lines), Named::new("the page", &page)];
    check_distinct([Named::new("the list", &config.list)].into(), outputs.into())?;
    let entries = list::read(&config.list)?;
    // Without them every submission would seem unusable.
    config.own.iter().try_for_each(|path| open::read_image(path, Request::default()).map(drop))?;
    let recordings = config.out.join(RECORDINGS);
    fs::create_dir_all(&recordings).map_err(|source| Error::Write {
        what: "grades",
        path: recordings.clone(),
        source,
    })?;
    let judge = Judge::new(&config.search, config.limit, recordings)?;
    let judged = judge_all(config, &judge, &entries);
    let rows: Vec<&Row> = judged.iter().map(|judged| &judged.row).collect();

    let text: String = rows.iter().map(|row| json::text(row) + "\n").collect();
    for (what, path, text) in [("rows", &lines, &text), ("page", &page, &class_page(&rows))] {
        OutputFile::whole(path)
            .and_then(|file| file.write_and_place(text.as_bytes()))
            .map_err(|source| Error::Write { what, path: path.clone(), source })?;
    }
    match config.form {
        Form::JsonLines => output::line(text.trim_end())?,
        Form::Text => {
            output::line(&table::text(&rows))?;
            output::line(&format!("rows: {}\npage: {}", lines.display(), page.display()))?;
        }
    }
    match judged.iter().filter(|judged| judged.has_bug).count() {
        0 => Ok(()),
        bugs => Err(Error::Bug(format!("{bugs} of the searches failed; their rows say undecided"))),
    }
}

/// Judges all submissions, several at the same time. The rows have the order of the list.
fn judge_all(config: &GradeConfig, judge: &Judge, entries: &[Entry]) -> Vec<Judged> {
    let progress = if config.quiet { ProgressBar::hidden() } else { ProgressBar::new(entries.len() as u64) };
    let next = AtomicUsize::new(0);
    let judged = Mutex::new(Vec::with_capacity(entries.len()));
    thread::scope(|scope| {
        for _ in 0..config.jobs.clamp(1, entries.len().max(1)) {
            scope.spawn(|| {
                while let Some((at, entry)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, entries.get(at)?)))
                {
                    let row = judge.judge(entry);
                    judged.lock().unwrap_or_else(PoisonError::into_inner).push((at, row));
                    progress.inc(1);
                }
            });
        }
    });
    progress.finish_and_clear();
    let mut judged = judged.into_inner().unwrap_or_else(PoisonError::into_inner);
    judged.sort_by_key(|(at, _)| *at);
    judged.into_iter().map(|(_, judged)| judged).collect()
}
