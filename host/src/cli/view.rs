//! `view`: a run that was written down, shown in the terminal.

use std::path::PathBuf;

use clap::Args;
use ratatui::layout::Size;

use crate::{
    cli::values::parse_screen,
    views::tui::{Picture, Plan},
};

/// Show a run in the terminal, forwards and backwards: a recording, or what `--format jsonl` wrote.
///
/// Needs no KVM and no images. `?` shows the keys.
#[derive(Debug, Args)]
pub struct ViewArgs {
    /// What `run prodcons --record FILE` or `run ... --format jsonl` wrote.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The turn to begin at [default: before the first].
    #[arg(long, value_name = "TURN")]
    at: Option<usize>,
    /// The value of an item to follow from its producer to its consumer.
    #[arg(long, value_name = "VALUE")]
    item: Option<u32>,
    /// Make a picture (SVG) of what would be shown, and show nothing.
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
    /// Whether only the needed images are asked for: there are none.
    pub fn asks_for_needs(&self) -> bool {
        self.needs
    }

    /// What is to be shown.
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
