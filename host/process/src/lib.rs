//! process

pub mod clerk;
pub mod deadline_writer;
pub mod files;
pub mod jail;
pub mod output_file;
pub mod signals;
pub mod stack;
pub mod stderr;
pub mod watchdog;
