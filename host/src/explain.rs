//! `--explain`: each KVM call and each exit, as it happens, with a sentence on why it is there.

use crate::{
    foreign,
    kvm::{Exit, Width},
    output,
    pc::device_at,
};

/// Says what happens, on standard error; or nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Explain {
    on: bool,
}

impl Explain {
    /// An explanation that is given, or not.
    pub fn new(on: bool) -> Self {
        Self { on }
    }

    /// Explains a call.
    pub fn call(self, call: &str, why: &str) {
        if self.on {
            output::complain(&format!("explain: {call:<28} {why}"));
        }
    }

    /// Explains an exit of a VM, whose guest others built or not.
    pub fn exit(self, vm: u32, exit: &Exit, foreign: bool) {
        if self.on {
            output::complain(&format!("explain: KVM_RUN of VM {vm} returned    {}", sentence(exit, foreign)));
        }
    }
}

/// Why a guest left.
fn sentence(exit: &Exit, foreign: bool) -> String {
    match exit {
        Exit::Out { port, width, values } => format!(
            "KVM_EXIT_IO: the guest wrote {} to port {port:#x}{}; ports are not its own, so the CPU left the guest",
            values_in_words(values.as_slice(), *width),
            purpose(*port, foreign),
        ),
        Exit::In { port, width, .. } => format!(
            "KVM_EXIT_IO: the guest reads {width} from port {port:#x}{}; the answer goes into the run structure",
            purpose(*port, foreign),
        ),
        Exit::Mmio { address, .. } => {
            format!("KVM_EXIT_MMIO: the guest reached for address {address:#x}, where no memory slot is")
        }
        Exit::Halt { .. } => {
            "KVM_EXIT_HLT: the guest executed hlt; without an interrupt to come it is done".into()
        }
        Exit::InterruptWindow => {
            "KVM_EXIT_IRQ_WINDOW_OPEN: the guest takes interrupts now, and one is due for it".into()
        }
        Exit::Shutdown => "KVM_EXIT_SHUTDOWN: a triple fault; a real machine would reset here".into(),
        Exit::FailEntry { reason } => {
            format!("KVM_EXIT_FAIL_ENTRY: the hardware refused the guest's state (reason {reason:#x})")
        }
        Exit::InternalError { suberror } => {
            format!(
                "KVM_EXIT_INTERNAL_ERROR: KVM could not go on (suberror {suberror}; 1 is an instruction it cannot emulate)"
            )
        }
        Exit::Debug { .. } => {
            "KVM_EXIT_DEBUG: a breakpoint or the end of a step; the debugger's affair".into()
        }
        Exit::Interrupted => "EINTR: a signal came; the guest did nothing, and goes on".into(),
        Exit::Other { reason } => format!("exit reason {reason}, which no guest of ours should cause"),
    }
}

fn values_in_words(values: &[u32], width: Width) -> String {
    match values {
        [value] => format!("{value:#x} ({width})"),
        values => format!("{} values ({width}) by a string instruction", values.len()),
    }
}

/// The hypercall that a port is.
fn purpose(port: u16, foreign: bool) -> String {
    match (foreign::hypercall(port, foreign), device_at(port).filter(|_| foreign)) {
        (Some(port), _) => format!(", the hypercall {port:?}"),
        (None, Some(device)) => format!(", {}", device.description()),
        (None, None) => ", which is no hypercall".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kvm::Values;

    #[test]
    fn a_port_write_is_explained_with_its_hypercall() {
        let exit = Exit::Out { port: 0xEA, width: Width::Long, values: Values::One(2048) };
        let text = sentence(&exit, true);
        assert!(
            text.starts_with(
                "KVM_EXIT_IO: the guest wrote 0x800 (32-bit) to port 0xea, the hypercall PrintDecimal"
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
