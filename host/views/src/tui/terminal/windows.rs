//! The console of Windows: its keys, as crossterm reads them. It has no signals.

use std::{io, time::Duration};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::input::Input;
use crate::tui::keys::Key;

/// The keys of the console.
pub(super) struct Keyboard(());

impl Keyboard {
    /// Checks nothing: crossterm opens the console itself.
    #[expect(clippy::unnecessary_wraps, reason = "a terminal may not open")]
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self(()))
    }

    /// Waits for keys, at most this long. A console whose keys cannot be read is gone.
    #[expect(clippy::unnecessary_wraps, reason = "a terminal may fail")]
    #[expect(clippy::unused_self, reason = "other systems have a file in it")]
    pub(super) fn wait(&mut self, most: Duration) -> io::Result<Input> {
        Ok(keys(most).map_or(Input::Gone, Input::Keys))
    }
}

/// Returns the keys that come in this time. The first of them ends the wait.
fn keys(most: Duration) -> io::Result<Vec<Key>> {
    let (mut keys, mut most) = (Vec::new(), most);
    while event::poll(most)? {
        most = Duration::ZERO;
        if let Event::Key(pressed) = event::read()? {
            keys.extend(key(&pressed));
        }
    }
    Ok(keys)
}

/// Returns the key of an event, if the view knows it. Releases are none.
fn key(event: &KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    Some(match event.code {
        KeyCode::Char('c') if event.modifiers.contains(KeyModifiers::CONTROL) => Key::Interrupt,
        KeyCode::Char(char @ ' '..='~') => Key::Char(char),
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Enter => Key::Enter,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Tab => Key::Tab,
        KeyCode::Esc => Key::Escape,
        _ => return None,
    })
}

/// Takes the console.
///
/// # Errors
///
/// It cannot be taken.
pub(super) fn taking(_keyboard: &Keyboard, take: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    take()
}

/// Does nothing: no handler was installed.
pub(super) fn given_back() {}

/// Returns false: no process stops here.
pub(super) fn is_resumed() -> bool {
    false
}

/// As [`is_resumed`].
pub(super) fn has_resumed() -> bool {
    false
}

/// Returns false: an error of the console is always unexpected.
pub(crate) fn is_gone(_error: &io::Error) -> bool {
    false
}

/// Returns true: the console takes all output.
#[expect(clippy::unnecessary_wraps, reason = "a terminal may fail")]
pub(super) fn can_write(_most: Duration) -> io::Result<bool> {
    Ok(true)
}
