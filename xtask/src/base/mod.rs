//! Services that every layer uses: other programs, output, environment, files, downloads.

pub(crate) mod cache;
pub(crate) mod environment;
pub(crate) mod files;
pub(crate) mod output;
pub(crate) mod process;
pub(crate) mod store;
pub(crate) mod system;
