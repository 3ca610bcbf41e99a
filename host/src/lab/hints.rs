//! Hints: what the author of a failed guest can try next.

use std::borrow::Cow;

use crate::{
    debug::crash_report::{CrashDump, is_of_a_library},
    lab::guest_end::GuestEnd,
    vmm::{
        foreign,
        pc::{Device, device_at},
    },
};

/// The hint for a timeout at an instruction that KVM may repeat without end.
const REPEATED: &str = "look for an endless loop; or this is it: where KVM interprets guests (kvm_pvm), it repeats `vmcall` without end, and `int` of a vector from 0x80 on in real mode; do without the instruction, or run it on hardware KVM";

/// The hint for a timeout of a foreign guest that takes interrupts.
const NO_INTERRUPT: &str =
    "look for an endless loop; if the guest waits for an interrupt, such as a timer's: none comes here";

/// Returns the hint for a failed guest, from its end and its machine's state.
pub fn hint(end: &GuestEnd, evidence: Option<&CrashDump>) -> Cow<'static, str> {
    let timed_out = evidence.filter(|_| end.is_time_dependent());
    if timed_out.is_some_and(CrashDump::is_deaf) {
        return "let the timer's interrupt in, which waits: guest_rt::interrupts::enable, or wait".into();
    }
    let awaited = timed_out.and_then(CrashDump::last_read).and_then(device_at);
    if let Some(advice) = awaited.and_then(Device::advice) {
        return advice.into();
    }
    let foreign = evidence.filter(|evidence| evidence.image().is_foreign());
    let other = match (end, foreign) {
        (GuestEnd::Crashed(crash), Some(_)) => foreign::hint(crash),
        (GuestEnd::Deadline(_) | GuestEnd::Exits(_), Some(evidence)) if evidence.is_in_zeros() => {
            Some(foreign::EMPTY_MEMORY.into())
        }
        (GuestEnd::Deadline(_), _) if timed_out.is_some_and(CrashDump::may_be_repeated) => {
            Some(REPEATED.into())
        }
        (_, Some(_)) if timed_out.is_some_and(CrashDump::takes_interrupts) => Some(NO_INTERRUPT.into()),
        _ => None,
    };
    other.unwrap_or_else(|| of_end(end))
}

/// Returns the hint that follows from the end alone.
fn of_end(end: &GuestEnd) -> Cow<'static, str> {
    let text = match end {
        GuestEnd::Crashed(crash) => return crash.hint(),
        GuestEnd::Refused(refused) => refused.hint(),
        GuestEnd::ExitPort(_) => {
            "look at what the guest printed; 0 and 0x10 mean success at port 0xF4, and --pc-exit-ok names another value"
        }
        GuestEnd::Exited(_) => "look at what the guest printed; its status is its own",
        GuestEnd::Panicked(report) if is_of_a_library(&String::from_utf8_lossy(&report.file)) => {
            "look at the first of the calls that is the guest's own"
        }
        GuestEnd::Panicked(_) => "look at that line of the guest",
        GuestEnd::Deadline(_) => "look for an endless loop, or give the run more time with --timeout",
        GuestEnd::TurnTimeout(_) => "look for an endless loop, or give a turn more time with --turn-timeout",
        GuestEnd::Exits(_) => {
            "look for a loop of hypercalls (--stats counts them), or allow more with --max-exits"
        }
    };
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmm::PanicReport;

    #[test]
    fn a_panic_in_a_library_sends_to_the_guests_own_line() {
        let hint = |file: &str| {
            let report = PanicReport { message: Vec::new(), file: file.into(), line: 1, column: 1 };
            of_end(&GuestEnd::Panicked(report))
        };
        for file in ["guest-rt/src/heap.rs", "guest-rt-0.1.0/src/heap.rs", "/rust/library/core/src/x.rs"] {
            assert!(hint(file).contains("the first of the calls that is the guest's own"), "{file}");
        }
        assert_eq!(hint("demo/src/main.rs"), "look at that line of the guest");
        assert_eq!(hint("/home/me/kernel.rs"), "look at that line of the guest");
        assert_eq!(hint("guest-rt/examples/dice.rs"), "look at that line of the guest");
    }
}
