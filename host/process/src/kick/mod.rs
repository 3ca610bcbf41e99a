//! Interruptions of other threads: a blocking system call of the thread returns early.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::{Target, is_kick, prepare};
#[cfg(windows)]
pub(crate) use windows::{Target, is_kick, prepare};
