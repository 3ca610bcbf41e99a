//! A run in the terminal: from a file, or while it goes on.
//!
//! All data comes from a [`RunLog`]. [`View`] has the step that is shown, [`Scene`] draws it into a buffer of
//! characters, and [`show`] is the loop that owns the terminal. The first two do not use the terminal. [`svg`] makes a
//! picture of a buffer.

mod draw;
mod event_loop;
mod follow_item;
mod keys;
mod overlay;
mod picture;
mod state;
mod terminal;
#[cfg(test)]
mod testing;
mod theme;

use std::{
    env,
    io::{self, IsTerminal},
};

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
};

pub use draw::scene::{Origin, Scene};
pub use event_loop::{Closed, Stage, show};
pub use follow_item::ItemTrace;
pub use keys::Key;
pub use overlay::Page;
pub use picture::svg;
pub use ratatui::layout::Size;
pub use state::{Overlay, Prompt, Question, View, Wish};
pub use terminal::Process;

use guestlab_runlog::run_log::RunLog;

/// A picture (SVG) of a view of a file, as large as a terminal of this size.
pub fn picture_of(log: &RunLog, view: &View, size: Size) -> String {
    let mut buffer = Buffer::empty(Rect::from((Position::ORIGIN, size)));
    Scene { log, view, origin: Origin::File }.draw(&mut buffer);
    svg(&buffer)
}

/// The reason why there is no terminal for a view, if there is none.
pub fn missing_terminal() -> Option<&'static str> {
    match env::var_os("TERM") {
        _ if !io::stdout().is_terminal() => Some("standard output is none"),
        Some(name) if name == "dumb" => Some("the one here cannot move its cursor (TERM is dumb)"),
        _ => None,
    }
}
