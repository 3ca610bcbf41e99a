//! A run as a picture in a terminal: of a file, or while it goes on.
//!
//! What is shown is a [`RunLog`], and there is no other source: [`View`] says which step of it, [`Scene`]
//! draws it into a buffer of characters, and `show` is the loop that has the terminal. The first two know
//! of no terminal; [`svg`] makes a picture of what they draw.

mod draw;
mod event_loop;
mod follow_item;
mod keys;
mod overlay;
mod picture;
mod signals;
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

/// Why there is no terminal to show something in, if there is none.
pub fn missing_terminal() -> Option<&'static str> {
    match env::var_os("TERM") {
        _ if !io::stdout().is_terminal() => Some("standard output is none"),
        Some(name) if name == "dumb" => Some("the one here cannot move its cursor (TERM is dumb)"),
        _ => None,
    }
}
