//! The parts that differ between operating systems.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::{exec, signal};
#[cfg(windows)]
pub(crate) use windows::{exec, signal};
