//! The lines that a story is told in, as they are read. Fields and lines that are not known are left out:
//! there may be more of them than this version has.

use std::collections::BTreeMap;

use guest_abi::{ring::Capacity, transition::Role};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    event::{Account, Finding, VmStats},
    recording::Options,
    ring_check::States,
};

/// A line.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Line {
    Recording {
        options: Options,
    },
    Run(Run),
    Turn(Turn),
    Console {
        vm: u32,
        #[serde(default)]
        name: String,
        text: String,
    },
    Log {
        vm: u32,
        #[serde(default)]
        name: String,
        level: String,
        target: String,
        message: String,
    },
    Screen {
        vm: u32,
        #[serde(default)]
        name: String,
        lines: Vec<String>,
    },
    Crash(Crash),
    End(End),
    Exit(Exited),
    Dropped(Dropped),
    Stats {
        vms: Vec<VmStats>,
    },
    #[serde(other)]
    Other,
}

/// How a run begins: see [`event::Run`](crate::event::Run).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Run {
    /// The experiment's name.
    pub experiment: String,
    /// The guest ABI of the host.
    pub abi: String,
    /// The seed of all chance.
    pub seed: u64,
    /// The ring's capacity in items, where there is a ring.
    pub capacity: Option<u32>,
    /// The schedule, as written.
    pub schedule: String,
    /// The number of turns that are to be.
    pub turns: Option<u64>,
    /// The number of items after which the run ends.
    pub items: Option<u64>,
    /// Whether the same options give the same run.
    #[serde(default = "yes")]
    pub repeatable: bool,
    /// The guests, in the order of their VMs.
    pub guests: Vec<Guest>,
}

fn yes() -> bool {
    true
}

impl Run {
    /// The ring's capacity, where there is a ring.
    pub fn ring(&self) -> Option<Capacity> {
        self.capacity.and_then(Capacity::new)
    }

    /// The guest of a VM.
    pub fn guest(&self, vm: u32) -> Option<&Guest> {
        self.guests.get((vm as usize).checked_sub(1)?)
    }
}

/// A guest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Guest {
    /// The VM's number, from 1.
    pub vm: u32,
    /// The image's name.
    pub name: String,
    /// The name of what it does, where there is a ring.
    role: Option<String>,
    /// The SHA-256 of the image's file.
    pub sha256: String,
}

impl Guest {
    /// What it does, where there is a ring.
    pub fn role(&self) -> Option<Role> {
        [Role::Producer, Role::Consumer].into_iter().find(|role| self.role.as_deref() == Some(role.name()))
    }
}

#[derive(Deserialize)]
pub(crate) struct Turn {
    pub(crate) turn: u64,
    pub(crate) vm: u32,
    pub(crate) exits: u64,
    #[serde(flatten)]
    pub(crate) deed: Deed,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Deed {
    Moved(Moved),
    Left { mailbox: Vec<u32> },
}

#[derive(Deserialize)]
pub(crate) struct Moved {
    pub(crate) role: String,
    pub(crate) items: Vec<u32>,
    pub(crate) prod_p: u32,
    pub(crate) cons_p: u32,
    pub(crate) count: u32,
}

/// What a guest printed, or a record of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How many turns were over then.
    pub turns: usize,
    /// The VM's number.
    pub vm: u32,
    /// The text, with whatever control characters it has.
    pub text: String,
}

/// How a guest ended that ended other than it should: see [`CrashEvent`](crate::event::CrashEvent).
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Crash {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    pub name: String,
    /// The turn in which it happened, from 1.
    pub turn: Option<u64>,
    /// The reason's name.
    pub reason: String,
    /// The reason in words.
    pub message: String,
    /// The name of a broken rule of the ring.
    #[serde(default)]
    pub rule: Option<String>,
    /// What to try next.
    #[serde(default)]
    pub hint: String,
    /// All else that is known of it.
    #[serde(flatten)]
    pub rest: BTreeMap<String, serde_json::Value>,
}

impl Crash {
    /// The name of the ring's rule that was broken. Older hosts named it in the message only.
    pub fn broken_rule(&self) -> Option<&str> {
        let in_message = || self.message.strip_prefix("broke the ring's rule `")?.split_once('`');
        let said = || Some(in_message()?.0);
        self.rule.as_deref().or_else(said)
    }

    /// The reason's name, with that of a broken rule.
    pub fn kind(&self) -> String {
        self.broken_rule().map_or_else(|| self.reason.clone(), |rule| format!("{}: {rule}", self.reason))
    }

    /// The first line of the message: the rest are the two rings, where a rule was broken.
    pub fn headline(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }

    /// The two rings, where a rule was broken.
    pub fn states(&self) -> Option<States> {
        States::deserialize(self.rest.get("states")?).ok()
    }
}

/// How a run ended: see [`event::End`](crate::event::End).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct End {
    /// The number of turns that were finished.
    pub turns: u64,
    /// What moved, where there is a ring.
    #[serde(flatten)]
    pub account: Option<Account>,
    /// What breaks no rule and is not as the task asks.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Exits by VM and kind.
    #[serde(deserialize_with = "by_vm")]
    pub exits: BTreeMap<u32, ExitCounts>,
}

/// Reads a map whose keys are the numbers of VMs. JSON has them as text, of which serde makes numbers only
/// where it has not yet looked at another field to see what the line is.
fn by_vm<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<u32, ExitCounts>, D::Error> {
    let texts: BTreeMap<String, ExitCounts> = Deserialize::deserialize(deserializer)?;
    let number = |(vm, exits): (String, ExitCounts)| Ok((vm.parse().map_err(D::Error::custom)?, exits));
    texts.into_iter().map(number).collect()
}

/// How a guest that ran alone ended: see [`ExitEvent`](crate::event::ExitEvent).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Exited {
    /// The VM's number.
    pub vm: u32,
    /// The guest's name.
    #[serde(default)]
    pub name: String,
    /// Its exit status.
    pub status: u32,
    pub(crate) exits: ExitCounts,
}

/// What of a guest's text is missing: see [`event::Dropped`](crate::event::Dropped).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Dropped {
    /// The VM's number.
    pub vm: u32,
    /// The number of bytes that were dropped.
    pub bytes: u64,
    /// The number of bytes that it may print.
    pub limit: u64,
}

/// A VM's exits: by kind, and `total`.
pub type ExitCounts = BTreeMap<String, u64>;
