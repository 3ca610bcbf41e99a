//! Colours, and text that is safe to draw. Each VM has the same colour everywhere.

use ratatui::{
    layout::Size,
    style::{Color, Modifier, Style},
};

use guestlab_runlog::text::escape_line;

/// The smallest terminal that has room for all parts.
pub(super) const LEAST: Size = Size::new(80, 24);

/// The VMs' colours, the first of which are a producer's and a consumer's in the transcript.
const VMS: [Color; 6] =
    [Color::Green, Color::Cyan, Color::Magenta, Color::Blue, Color::LightRed, Color::LightMagenta];

/// Less important text.
pub(super) const FAINT: Style = Style::new().fg(Color::DarkGray);
/// A good result.
pub(super) const GOOD: Style = Style::new().fg(Color::Green).add_modifier(Modifier::BOLD);
/// A bad result.
pub(super) const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
/// Important text.
pub(super) const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);
/// The step that is shown.
pub(super) const HERE: Style = Style::new().add_modifier(Modifier::REVERSED);
/// The item that is followed.
pub(super) const FOLLOWED: Style = Style::new()
    .fg(Color::Black)
    .bg(Color::LightYellow)
    .add_modifier(Modifier::BOLD)
    .remove_modifier(Modifier::REVERSED);

/// A VM's colour.
pub(super) fn vm(vm: u32) -> Style {
    Style::new().fg(color(vm))
}

/// A cell of a VM, filled with its colour.
pub(super) fn filled(vm: u32) -> Style {
    Style::new().fg(Color::Black).bg(color(vm))
}

fn color(vm: u32) -> Color {
    VMS[(vm as usize).wrapping_sub(1) % VMS.len()]
}

/// Text of a guest or a file as one line without control characters.
pub(super) fn clean(text: &str) -> String {
    escape_line(text).replace('\t', "    ")
}
