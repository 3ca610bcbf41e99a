//! Failures of engines.

use alloc::{boxed::Box, string::String};

/// A failure of the engine. It is not the guest's fault.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A call of the engine's interface failed.
    #[error("{call} failed: {source}")]
    Call {
        /// The call's name.
        call: &'static str,
        /// The system's own error.
        source: Box<dyn core::error::Error + Send + Sync>,
    },
    /// The system has no memory for the guest.
    #[error("the system gave no {size:#x} bytes of guest memory: {source}")]
    Memory {
        /// The size in bytes.
        size: u64,
        /// The system's own error.
        source: Box<dyn core::error::Error + Send + Sync>,
    },
    /// The engine cannot do what was asked.
    #[error("{engine} cannot {what}")]
    Unsupported {
        /// The engine's name.
        engine: String,
        /// The thing that it cannot do, as a verb with its object.
        what: &'static str,
    },
}
