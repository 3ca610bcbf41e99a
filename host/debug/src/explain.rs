//! `--explain`: a line for each call to the engine and each exit, with its purpose or reason.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use guest_abi::port::Port;

use guestlab_cpu::{Calls, Exit, KVM, Width};
use guestlab_vmm::{Observer, Origin, foreign, pc::device_at};

use guestlab_process::stderr::warn;

/// The most bytes of explanations that are written.
const MOST: u64 = 64 << 20;

/// The bytes that have been written. Standard error belongs to the process, and so does its limit.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// Explains each call and each exit on standard error.
#[derive(Clone, Copy, Debug, Default)]
pub struct Explain;

impl Calls for Explain {
    fn call(&self, name: &str, purpose: fmt::Arguments<'_>) {
        print(&format!("explain: {name:<28} {purpose}"));
    }
}

impl Observer for Explain {
    fn exit(&self, origin: Origin<'_>, exit: &Exit) {
        let Origin { engine, vm, is_foreign } = origin;
        let reason = sentence(exit, is_foreign);
        if engine == KVM {
            print(&format!("explain: KVM_RUN of VM {vm} returned    {}: {reason}", name(exit)));
        } else if *exit != Exit::Interrupted {
            // An interpreter returns now and then for the host to look at its clock.
            print(&format!("explain: {:<28} {reason}", format!("exit of VM {vm}")));
        }
    }
}

/// Prints a line, up to the limit. At the limit, one line says that there are no more.
fn print(text: &str) {
    let len = text.len() as u64 + 1;
    match admit(WRITTEN.fetch_add(len, Ordering::Relaxed), len) {
        Admitted::Whole => warn(text),
        Admitted::Not => {}
        Admitted::Last => warn(&format!(
            "explain: no more is explained: {} MiB have been written; the run goes on",
            MOST >> 20
        )),
    }
}

/// The decision about a line.
#[derive(Debug, PartialEq, Eq)]
enum Admitted {
    Whole,
    /// The first line beyond the limit.
    Last,
    Not,
}

/// Decides about a line of this length after this many bytes.
fn admit(written: u64, len: u64) -> Admitted {
    match written {
        _ if written.saturating_add(len) <= MOST => Admitted::Whole,
        ..=MOST => Admitted::Last,
        _ => Admitted::Not,
    }
}

/// Returns KVM's name of an exit.
fn name(exit: &Exit) -> &'static str {
    match exit {
        Exit::Out { .. } | Exit::In { .. } => "KVM_EXIT_IO",
        Exit::Mmio { .. } => "KVM_EXIT_MMIO",
        Exit::Halt { .. } => "KVM_EXIT_HLT",
        Exit::InterruptWindow => "KVM_EXIT_IRQ_WINDOW_OPEN",
        Exit::Priority => "KVM_EXIT_SET_TPR",
        Exit::Shutdown => "KVM_EXIT_SHUTDOWN",
        Exit::FailEntry { .. } => "KVM_EXIT_FAIL_ENTRY",
        Exit::InternalError { .. } => "KVM_EXIT_INTERNAL_ERROR",
        Exit::Debug { .. } => "KVM_EXIT_DEBUG",
        Exit::Interrupted => "EINTR",
        Exit::Other { .. } => "an exit of another kind",
    }
}

/// Returns the reason of an exit in words.
fn sentence(exit: &Exit, foreign: bool) -> String {
    match exit {
        Exit::Out { port, width, values } => format!(
            "the guest wrote {} to port {port:#x}{}; ports are not its own, so the CPU left the guest",
            values_in_words(values.as_slice(), *width),
            purpose(*port, foreign),
        ),
        Exit::In { port, width, .. } => format!(
            "the guest reads {width} from port {port:#x}{}; it gets the host's answer as it goes on",
            purpose(*port, foreign),
        ),
        Exit::Mmio { address, .. } => {
            format!("the guest reached for address {address:#x}, where it has no memory")
        }
        Exit::Halt { .. } => "the guest executed hlt; without an interrupt to come it is done".into(),
        Exit::InterruptWindow => "the guest takes interrupts now, and one is due for it".into(),
        Exit::Priority => "the guest lowered CR8; without an interrupt controller nothing comes of it".into(),
        Exit::Shutdown => "a triple fault; a real machine would reset here".into(),
        Exit::FailEntry { reason } => format!("the hardware refused the guest's state (reason {reason:#x})"),
        Exit::InternalError { suberror } => format!(
            "the engine could not go on (suberror {suberror}; 1 is an instruction that it does not have)"
        ),
        Exit::Debug { .. } => "a breakpoint or the end of a step; the debugger's affair".into(),
        Exit::Interrupted => "a signal came; the guest did nothing, and goes on".into(),
        Exit::Other { reason } => format!("exit reason {reason}, which no guest of ours should cause"),
    }
}

fn values_in_words(values: &[u32], width: Width) -> String {
    match values {
        [value] => format!("{value:#x} ({width})"),
        values => format!("{} values ({width}) by a string instruction", values.len()),
    }
}

/// Returns the hypercall of a port in words.
fn purpose(port: u16, foreign: bool) -> String {
    match (foreign::hypercall(port, foreign), device_at(port).filter(|_| foreign)) {
        (Some(port), _) => format!(", the hypercall {port:?} ({})", meaning(port)),
        (None, Some(device)) => format!(", {}", device.description()),
        (None, None) => ", which is no hypercall".into(),
    }
}

/// Returns the purpose of a hypercall, in a few words.
fn meaning(port: Port) -> &'static str {
    match port {
        Port::PrintByte => "print a byte",
        Port::PrintDecimal => "print a number",
        Port::ExitCount => "the number of exits",
        Port::PrintString => "print a string up to its NUL",
        Port::ExitText => "the address of a text about exits",
        Port::Translate => "the host's address of a guest's",
        Port::Exit => "the guest is done",
        Port::Panic => "the guest panicked",
        Port::Print => "print a text",
        Port::MailboxAttach => "here is the mailbox",
        Port::EndTurn => "the turn is over",
        Port::Trap => "a trap without a handler",
        Port::TimerSet => "interrupt the guest later",
        Port::Log => "a record of the log",
        Port::Clock => "the time since the guest's start",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use guestlab_cpu::Values;

    #[test]
    fn explanations_have_an_end_which_is_said_once() {
        assert_eq!(admit(0, 100), Admitted::Whole);
        assert_eq!(admit(MOST - 100, 100), Admitted::Whole);
        assert_eq!(admit(MOST - 99, 100), Admitted::Last);
        assert_eq!(admit(MOST, 100), Admitted::Last);
        assert_eq!(admit(MOST + 1, 100), Admitted::Not);
        assert_eq!(admit(u64::MAX, 100), Admitted::Not);
    }

    #[test]
    fn a_port_write_is_explained_with_its_hypercall() {
        let exit = Exit::Out { port: 0xEA, width: Width::Long, values: Values::One(2048) };
        let text = sentence(&exit, true);
        assert!(
            text.starts_with(
                "the guest wrote 0x800 (32-bit) to port 0xea, the hypercall PrintDecimal (print a number)"
            ),
            "{text}"
        );
        let exit = Exit::Out { port: 0x80, width: Width::Byte, values: Values::Many(vec![1, 2]) };
        assert!(
            sentence(&exit, false)
                .contains("2 values (8-bit) by a string instruction to port 0x80, which is no hypercall")
        );
        let exit = Exit::Out { port: 0xF0, width: Width::Long, values: Values::One(0) };
        assert!(sentence(&exit, false).contains("port 0xf0, the hypercall Exit"));
        assert!(sentence(&exit, true).contains("port 0xf0, which is no hypercall"));
    }
}
