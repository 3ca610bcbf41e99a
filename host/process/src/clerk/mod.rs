//! A clerk: it renames or removes one file. Every output file has one (see [`output_file`](crate::output_file)).
//!
//! On Linux it is a process of its own, because a process in the jail may not rename files. Elsewhere it is a part of this
//! process: if that is killed, an incomplete file stays under its present name.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::Clerk;
#[cfg(target_os = "linux")]
pub(crate) use linux::Clerk;
