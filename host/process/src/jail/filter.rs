//! The lists as filters for the kernel (seccomp(2)).

use std::{collections::BTreeMap, io, process};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::calls::{Argument, Call, Test, Thread};

/// The filter of a kind of thread; `without` is left out of it. A call that does not pass raises SIGSYS,
/// which no thread survives (see `alarm.rs`).
///
/// # Errors
///
/// A bug of ours: a list that does not make a filter.
pub fn program(thread: Thread, without: Option<&str>) -> io::Result<BpfProgram> {
    let without = without.and_then(|name| name.strip_prefix(thread.name())?.strip_prefix('/'));
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in thread.calls() {
        if without != Some(call.name) {
            rules.entry(call.number).or_default().extend(rule(call)?);
        }
    }
    let filter = SeccompFilter::new(rules, SeccompAction::Trap, SeccompAction::Allow, TargetArch::x86_64);
    BpfProgram::try_from(filter.map_err(io::Error::other)?).map_err(io::Error::other)
}

/// Confines the calling thread to a filter.
///
/// # Errors
///
/// The system refused it.
pub(super) fn apply(program: &BpfProgram) -> io::Result<()> {
    seccompiler::apply_filter(program).map_err(|error| match error {
        seccompiler::Error::Prctl(source) | seccompiler::Error::Seccomp(source) => source,
        other => io::Error::other(other),
    })
}

/// Whether this kernel has filters that raise SIGSYS (Linux 4.14 and later can be asked).
pub(super) fn is_available() -> bool {
    let action: u32 = libc::SECCOMP_RET_TRAP;
    // SAFETY: the call reads one number.
    let outcome =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0_u32, &raw const action) };
    outcome == 0
}

/// A call's rule; none is that all of them pass.
fn rule(call: &Call) -> io::Result<Option<SeccompRule>> {
    let conditions = call.arguments.iter().map(condition).collect::<io::Result<Vec<_>>>()?;
    match conditions.is_empty() {
        true => Ok(None),
        false => SeccompRule::new(conditions).map(Some).map_err(io::Error::other),
    }
}

fn condition(&(index, test): &Argument) -> io::Result<SeccompCondition> {
    use SeccompCmpArgLen::{Dword, Qword};
    use SeccompCmpOp::{Eq, MaskedEq};
    let (len, operation, value) = match test {
        Test::Is(value) => (Dword, Eq, value.into()),
        Test::Null => (Qword, Eq, 0),
        Test::Has(bits) => (Dword, MaskedEq(bits.into()), bits.into()),
        Test::Lacks(bits) => (Dword, MaskedEq(bits.into()), 0),
        Test::OwnProcess => (Dword, Eq, process::id().into()),
    };
    SeccompCondition::new(index, len, operation, value).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::jail::Needs;

    #[test]
    fn a_number_that_passes_always_has_no_other_rule() {
        let all = Needs { explores: true, foreign: true, steps: true, gdb: true, gdb_file: true };
        for thread in [Thread::Vcpu(all), Thread::Watchdog, Thread::Signals] {
            let calls = thread.calls();
            for call in &calls {
                let same: Vec<_> = calls.iter().filter(|other| other.number == call.number).collect();
                assert!(!call.arguments.is_empty() || same.len() == 1, "{}", call.name);
            }
            assert!(program(thread, None).is_ok());
        }
    }
}
