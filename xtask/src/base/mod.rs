//! Services that every layer uses: other programs, output, the environment, and files.

pub(crate) mod cache;
pub(crate) mod environment;
pub(crate) mod files;
pub(crate) mod output;
pub(crate) mod process;
