//! `view`: a run from a file, shown in the terminal.

use std::{path::PathBuf, sync::Mutex};

use clap::Args;

use crate::{
    cli::{
        terminal::{show, terminal_error},
        values::parse_screen,
    },
    lab::{error::Error, run_files::open_run},
    process::output_file::{Named, OutputFile, check_distinct},
    views::tui::{self, Size, Stage, View},
};

/// Show a run in the terminal, forwards and backwards: a recording or the output of `--format jsonl`.
///
/// The view needs neither KVM nor images. `?` shows the keys.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo xtask view run.jsonl
  cargo xtask view run.jsonl --at 24 --svg turn24.svg")]
pub struct ViewArgs {
    /// A file from `run prodcons --record FILE`, or the output of `run ... --format jsonl`.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The first turn to show [default: before the first].
    #[arg(long, value_name = "TURN")]
    at: Option<usize>,
    /// The value of an item to follow from its producer to its consumer.
    #[arg(long, value_name = "VALUE")]
    item: Option<u32>,
    /// Write a picture (SVG) of the view instead of showing it.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// The size of the picture in columns and rows.
    #[arg(long, value_name = "COLUMNSxROWS", value_parser = parse_screen, default_value = "100x30", requires = "svg")]
    size: Size,
    /// As for `run`.
    #[arg(long, hide = true)]
    needs: bool,
}

impl ViewArgs {
    /// Returns true if only the needed images are asked for. There are none.
    pub fn asks_for_needs(&self) -> bool {
        self.needs
    }

    /// The options as a configuration.
    pub fn config(&self) -> Plan {
        let size = self.size;
        Plan {
            file: self.file.clone(),
            at: self.at,
            item: self.item,
            picture: self.svg.clone().map(|file| Picture { file, size }),
        }
    }
}

/// The configuration of a view.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The file.
    pub file: PathBuf,
    /// The first turn to show.
    pub at: Option<usize>,
    /// The value of an item to follow.
    pub item: Option<u32>,
    /// A picture to make instead of a view.
    pub picture: Option<Picture>,
}

/// A picture to write.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The file.
    pub file: PathBuf,
    /// The terminal's size.
    pub size: Size,
}

/// Shows a run from a file, or writes a picture of it.
///
/// # Errors
///
/// The file has no run, there is no terminal, or the picture cannot be written.
pub fn open(plan: &Plan) -> Result<(), Error> {
    let picture = plan.picture.iter().map(|picture| Named::new("--svg", &picture.file));
    check_distinct([Named::new("the run", &plan.file)].into(), picture.collect())?;
    let log = open_run(&plan.file)?;
    if let Some(why) = tui::missing_terminal().filter(|_| plan.picture.is_none()) {
        return Err(Error::Usage(format!(
            "a view needs a terminal, and {why}; --svg FILE makes a picture of a turn"
        )));
    }
    let mut view = View::new();
    if let Some(value) = plan.item {
        view.find(value, &log);
    }
    if let Some(turn) = plan.at {
        view.go(turn, &log);
    }
    match &plan.picture {
        Some(Picture { file, size }) => OutputFile::whole(file)
            .and_then(|to| to.write_and_place(tui::picture_of(&log, &view, *size).as_bytes()))
            .map_err(|source| Error::Write { what: "picture", path: file.into(), source }),
        None => {
            let stage = Stage { log: &Mutex::new(log), is_over: None };
            match show(&stage, view).map_err(terminal_error)? {
                (_, Some(signal)) => Err(Error::Interrupted { signal, at: None }),
                (_, None) => Ok(()),
            }
        }
    }
}
