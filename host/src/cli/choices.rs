//! Options with a choice of names.

use clap::ValueEnum;
use guest_abi::{mailbox::Quota, mode::CpuMode};

use crate::{lab::schedule::ScheduleSpec, runlog::sink::Form};

/// A form of output, or of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Output for people, the default.
    Text,
    /// Output of one JSON object a line.
    Jsonl,
    /// An image that is an ELF file, the default.
    Elf,
    /// An image that is loaded as it is.
    Flat,
}

/// The form of a verdict or of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum VerdictForm {
    /// For people.
    Text,
    /// One JSON object.
    Jsonl,
}

impl From<VerdictForm> for Form {
    fn from(form: VerdictForm) -> Self {
        match form {
            VerdictForm::Text => Self::Text,
            VerdictForm::Jsonl => Self::JsonLines,
        }
    }
}

/// A CPU mode.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Mode {
    /// 16-bit code in real mode.
    Real,
    /// 32-bit protected mode without paging.
    Protected,
    /// 32-bit protected mode with paging.
    Paged,
    /// 64-bit mode.
    Long,
}

impl From<Mode> for CpuMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Real => Self::Real,
            Mode::Protected => Self::Protected,
            Mode::Paged => Self::Paged,
            Mode::Long => Self::Long,
        }
    }
}

/// The course's four problems.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Preset {
    /// One number produced, one consumed, alternating.
    Basic,
    /// Three numbers produced, then three consumed.
    Bursty,
    /// An array of five numbers a turn, alternating.
    Mass,
    /// Random numbers of items in random order.
    Random,
}

impl Preset {
    /// Returns the preset's schedule and quota.
    pub(super) fn orders(self) -> (ScheduleSpec, Quota) {
        match self {
            Self::Basic => (ScheduleSpec::Alternate, Quota::Items(1)),
            Self::Bursty => (ScheduleSpec::Burst(3), Quota::Items(1)),
            Self::Mass => (ScheduleSpec::Alternate, Quota::Items(5)),
            Self::Random => (ScheduleSpec::Random, Quota::Random),
        }
    }
}
