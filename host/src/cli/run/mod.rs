//! `run`: an experiment or a guest.

mod args;
mod check;
mod config;

pub use args::RunArgs;
pub use config::RunConfig;

#[cfg(test)]
mod tests;
