//! The first line of a recording: the options of the run that its `run` event does not have.

use guest_abi::{mode::CpuMode, ring::MAX_CAPACITY};
use serde::{Deserialize, Serialize};

/// The version of the format.
pub const VERSION: u32 = 1;

/// The first line of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the format.
    pub version: u32,
    /// The options of the run.
    pub options: Options,
}

/// The options of a run that its `run` event does not have. A replay would ignore an unknown option, so a recording
/// with one is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The producers' image: a path, or a guest's name.
    pub producer: String,
    /// The consumers' image: a path, or a guest's name.
    pub consumer: String,
    /// The number of producers.
    pub producers: usize,
    /// The number of consumers.
    pub consumers: usize,
    /// The items that a producer adds in each turn; `None` is a random number.
    pub produce: Option<u32>,
    /// The items that a consumer takes in each turn; `None` is a random number.
    pub consume: Option<u32>,
    /// The mode that was asked for.
    pub mode: Option<String>,
    /// Each guest's memory in bytes.
    pub memory: u32,
    /// The number of exits that a VM may cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_exits: Option<u64>,
}

/// Returns the CPU mode of this name. It is not in guest-abi, because guests' images would change with it.
pub fn mode_of(name: &str) -> Option<CpuMode> {
    CpuMode::ALL.into_iter().find(|mode| mode.name() == name)
}

impl Options {
    /// The mode that was asked for.
    pub fn mode(&self) -> Option<CpuMode> {
        mode_of(self.mode.as_deref()?)
    }

    /// Returns true if a run can have these numbers and names.
    pub fn is_sound(&self) -> bool {
        let quota = |items: Option<u32>| items.is_none_or(|items| items <= MAX_CAPACITY);
        let vms = 1..=16;
        let source = |text: &str| text.contains(['/', '\\']) || is_guest_name(text);
        source(&self.producer)
            && source(&self.consumer)
            && vms.contains(&self.producers)
            && vms.contains(&self.consumers)
            && quota(self.produce)
            && quota(self.consume)
            && self.mode.is_none() == self.mode().is_none()
    }
}

/// Returns true if a guest, or an experiment, can have this name. A guest's name is part of its image's file name.
pub fn is_guest_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}
