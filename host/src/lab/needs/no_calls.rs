//! The lists of `calls.rs` for systems whose jail has no lists of system calls. They are empty.

use crate::process::jail::calls::Call;

pub(super) const KVM: &[Call] = &[];
pub(super) const KVM_EXPLORER: &[Call] = &[];
pub(super) const KVM_FOREIGN: &[Call] = &[];
pub(super) const KVM_STEPS: &[Call] = &[];
pub(super) const KVM_STATES: &[Call] = &[];
pub(super) const KVM_GDB: &[Call] = &[];
pub(super) const EXPLORER: &[Call] = &[];
pub(super) const GDB: &[Call] = &[];
pub(super) const GDB_FILE: &[Call] = &[];
