//! The lists of system calls as filters for the kernel (seccomp(2)).

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io, process,
};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::{
    calls::{Argument, Call, DEATH, LIBRARIES, SIGNALS, Test, WATCHDOG, WORKER},
    thread::Thread,
};

impl Thread {
    /// Returns the calls that such a thread may make.
    ///
    /// A worker's own calls come first, because a filter compares a call with the list from its beginning.
    pub fn calls(&self) -> Vec<&'static Call> {
        let (own, common): (&[&'static [Call]], &[&'static [Call]]) = match self {
            Self::Worker(own) => (own, &[WORKER, LIBRARIES, DEATH]),
            Self::Watchdog => (&[], &[WATCHDOG, LIBRARIES]),
            Self::Signals => (&[], &[SIGNALS, LIBRARIES, DEATH]),
        };
        own.iter().chain(common).copied().flatten().collect()
    }
}

/// Returns the filter of a kind of thread. A call that does not pass raises SIGSYS,
/// which kills the process (see `sigsys.rs`).
///
/// # Errors
///
/// The list cannot become a filter, which is a bug in the list.
pub fn program(thread: &Thread) -> io::Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in thread.calls() {
        match (rules.entry(call.number), rule(call)?) {
            (Entry::Vacant(entry), rule) => {
                entry.insert(rule.into_iter().collect());
            }
            (Entry::Occupied(mut entry), Some(rule)) if !entry.get().is_empty() => entry.get_mut().push(rule),
            // Without rules the number passes always, so that the other entry would have no effect.
            _ => return Err(io::Error::other(format!("{} is listed in two ways", call.name))),
        }
    }
    let filter = SeccompFilter::new(rules, SeccompAction::Trap, SeccompAction::Allow, TargetArch::x86_64);
    BpfProgram::try_from(filter.map_err(io::Error::other)?).map_err(io::Error::other)
}

/// Confines the calling thread to the calls of its kind.
///
/// # Errors
///
/// The system refused the filter.
pub(super) fn confine(thread: &Thread) -> io::Result<()> {
    seccompiler::apply_filter(&program(thread)?).map_err(|error| match error {
        seccompiler::Error::Prctl(source) | seccompiler::Error::Seccomp(source) => source,
        other => io::Error::other(other),
    })
}

/// Returns the sentence for a kernel without filters that raise SIGSYS. Linux 4.14 and later can answer.
pub(super) fn absence() -> Option<&'static str> {
    let action: u32 = libc::SECCOMP_RET_TRAP;
    // SAFETY: the call reads one number.
    let outcome =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0_u32, &raw const action) };
    (outcome != 0)
        .then_some("this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER): guests run without the jail")
}

/// Returns the rule of a call, or none if the call passes with any arguments.
fn rule(call: &Call) -> io::Result<Option<SeccompRule>> {
    let request = call.request.map(|request| (1, Test::Is(request)));
    let conditions = request.iter().chain(call.arguments).map(condition).collect::<io::Result<Vec<_>>>()?;
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
    use crate::jail::calls::{any, ioctl};

    #[test]
    fn a_number_that_passes_always_has_no_other_rule() {
        for thread in [Thread::Worker(Vec::new()), Thread::Watchdog, Thread::Signals] {
            assert!(program(&thread).is_ok());
        }
        const ANY: &[Call] = &[any("ioctl", libc::SYS_ioctl)];
        const ONE: &[Call] = &[ioctl("ioctl FIONCLEX", libc::FIONCLEX)];
        assert!(program(&Thread::Worker(vec![ANY])).is_err());
        assert!(program(&Thread::Worker(vec![ONE])).is_ok());
    }
}
