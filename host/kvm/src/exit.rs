//! Typed exits (KVM API, 5. "The kvm_run structure"). Only this file reads the raw union of exits.

use guestlab_cpu::{Direction, Exit, Values, Width, exit::little_endian};
use kvm_bindings::{KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_IO, KVM_EXIT_MMIO, kvm_run};
use kvm_ioctls::VcpuExit;

/// An exit as kvm-ioctls decodes it, while it borrows the run structure. The width of port accesses, for example, is only
/// in the run structure; [`RawExit::complete`] adds it after the borrow.
pub(crate) enum RawExit {
    Whole(Exit),
    Out(u16, Vec<u8>),
    OutOne(u16, u32, usize),
    In(u16, usize),
    Halt,
    InternalError,
    Other,
}

impl RawExit {
    /// Copies what kvm-ioctls decoded.
    #[inline]
    pub(crate) fn of(exit: VcpuExit<'_>) -> Self {
        let mmio = |address, data: &[u8], direction| {
            Self::Whole(Exit::Mmio { address, len: small(data.len()), direction })
        };
        match exit {
            VcpuExit::IoOut(port, data) if data.len() <= 4 => {
                Self::OutOne(port, little_endian(data), data.len())
            }
            VcpuExit::IoOut(port, data) => Self::Out(port, data.to_vec()),
            VcpuExit::IoIn(port, data) => Self::In(port, data.len()),
            VcpuExit::MmioRead(address, data) => {
                // The bytes are those of an earlier exit.
                data.fill(0);
                mmio(address, data, Direction::In)
            }
            VcpuExit::MmioWrite(address, data) => mmio(address, data, Direction::Out),
            VcpuExit::Hlt => Self::Halt,
            VcpuExit::IrqWindowOpen => Self::Whole(Exit::InterruptWindow),
            VcpuExit::SetTpr => Self::Whole(Exit::Priority),
            VcpuExit::Shutdown => Self::Whole(Exit::Shutdown),
            VcpuExit::FailEntry(reason, _) => Self::Whole(Exit::FailEntry { reason }),
            VcpuExit::Debug(debug) => Self::Whole(Exit::Debug { points: point_bits(debug.dr6) }),
            VcpuExit::Intr => Self::Whole(Exit::Interrupted),
            VcpuExit::InternalError => Self::InternalError,
            _ => Self::Other,
        }
    }

    /// Adds the parts that are only in the run structure.
    #[inline]
    pub(crate) fn complete(self, run: &kvm_run) -> Exit {
        match self {
            Self::Whole(exit) => exit,
            Self::OutOne(port, value, len) => match io_width(run) {
                width if width.bytes() == len => Exit::Out { port, width, values: Values::One(value) },
                width => {
                    let bytes = value.to_le_bytes();
                    Exit::Out { port, width, values: Values::from_bytes(&bytes[..len], width) }
                }
            },
            Self::Out(port, bytes) => {
                let width = io_width(run);
                Exit::Out { port, width, values: Values::from_bytes(&bytes, width) }
            }
            Self::In(port, len) => {
                let width = io_width(run);
                Exit::In { port, width, count: small(len / width.bytes()) }
            }
            Self::Halt => Exit::Halt { interrupts: run.if_flag != 0 },
            Self::InternalError => Exit::InternalError { suberror: suberror(run) },
            Self::Other => Exit::Other { reason: run.exit_reason },
        }
    }
}

/// Writes the answer to the last exit into the run structure, if it was a read.
pub(crate) fn answer(run: &mut kvm_run, value: u32) {
    match run.exit_reason {
        KVM_EXIT_IO => answer_port(run, value),
        KVM_EXIT_MMIO => run.__bindgen_anon_1.mmio.data = u64::from(value).to_le_bytes(),
        _ => {}
    }
}

/// Writes the answer to an `in` exit, once for every access.
fn answer_port(run: &mut kvm_run, value: u32) {
    // SAFETY: as in `io_width`.
    let io = unsafe { run.__bindgen_anon_1.io };
    let width = usize::from(io.size);
    let offset = usize::try_from(io.data_offset).expect("an offset into the run structure's few pages");
    // SAFETY: KVM placed `count` accesses of `size` bytes at `data_offset` of the run structure's
    // mapping, which the vCPU keeps alive and nothing else refers to (KVM API, 5.).
    let data = unsafe {
        std::slice::from_raw_parts_mut(
            std::ptr::from_mut(run).cast::<u8>().wrapping_add(offset),
            width * io.count as usize,
        )
    };
    for access in data.chunks_exact_mut(width) {
        access.copy_from_slice(&value.to_le_bytes()[..width]);
    }
}

/// Returns the bits of DR6 for the breakpoints that were met (Intel SDM volume 3B, 17.2.3).
fn point_bits(dr6: u64) -> u64 {
    dr6 & 0xF
}

/// Converts a length. KVM's buffers are pages, so every length fits.
fn small(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Returns the width of one access of a port exit.
fn io_width(run: &kvm_run) -> Width {
    debug_assert_eq!(run.exit_reason, KVM_EXIT_IO);
    // SAFETY: all variants of the union are plain integers, valid for any bytes. The kernel wrote the exit reason, which
    // selects this variant.
    match unsafe { run.__bindgen_anon_1.io.size } {
        1 => Width::Byte,
        2 => Width::Word,
        _ => Width::Long,
    }
}

/// Returns KVM's reason for an internal error.
fn suberror(run: &kvm_run) -> u32 {
    debug_assert_eq!(run.exit_reason, KVM_EXIT_INTERNAL_ERROR);
    // SAFETY: as in `io_width`.
    unsafe { run.__bindgen_anon_1.internal.suberror }
}

#[cfg(test)]
mod tests {
    use kvm_bindings::KVM_EXIT_NMI;

    use super::*;

    /// Returns a run structure after a port exit with accesses of `size` bytes.
    fn io_run(size: u8) -> kvm_run {
        let mut run = kvm_run { exit_reason: KVM_EXIT_IO, ..Default::default() };
        run.__bindgen_anon_1.io.size = size;
        run
    }

    #[test]
    fn single_port_accesses_keep_their_width() {
        for (bytes, width, value) in [
            (&[0x41][..], Width::Byte, 0x41),
            (&[0x34, 0x12], Width::Word, 0x1234),
            (&[0x78, 0x56, 0x34, 0x12], Width::Long, 0x1234_5678),
        ] {
            let exit = RawExit::of(VcpuExit::IoOut(0xE9, bytes)).complete(&io_run(width as u8));
            assert_eq!(exit, Exit::Out { port: 0xE9, width, values: Values::One(value) });
        }
    }

    #[test]
    fn string_accesses_are_several_values() {
        let exit = RawExit::of(VcpuExit::IoOut(0xE9, b"abc")).complete(&io_run(1));
        let values = Values::Many(vec![0x61, 0x62, 0x63]);
        assert_eq!(exit, Exit::Out { port: 0xE9, width: Width::Byte, values });

        let exit = RawExit::of(VcpuExit::IoOut(0xEA, &[1, 0, 0, 0, 2, 0, 0, 0])).complete(&io_run(4));
        let values = Values::Many(vec![1, 2]);
        assert_eq!(exit, Exit::Out { port: 0xEA, width: Width::Long, values });
    }

    #[test]
    fn reads_say_how_many_answers_they_want() {
        let exit = RawExit::of(VcpuExit::IoIn(0xEB, &mut [0; 8])).complete(&io_run(4));
        assert_eq!(exit, Exit::In { port: 0xEB, width: Width::Long, count: 2 });
    }

    #[test]
    fn an_unknown_exit_keeps_its_number() {
        let run = kvm_run { exit_reason: KVM_EXIT_NMI, ..Default::default() };
        assert_eq!(RawExit::of(VcpuExit::Nmi).complete(&run), Exit::Other { reason: KVM_EXIT_NMI });
    }

    #[test]
    fn a_halt_says_whether_interrupts_can_end_it() {
        for if_flag in [0, 1] {
            let run = kvm_run { if_flag, ..Default::default() };
            assert_eq!(RawExit::of(VcpuExit::Hlt).complete(&run), Exit::Halt { interrupts: if_flag == 1 });
        }
    }

    #[test]
    fn an_internal_error_keeps_its_suberror() {
        let mut run = kvm_run { exit_reason: KVM_EXIT_INTERNAL_ERROR, ..Default::default() };
        run.__bindgen_anon_1.internal.suberror = 1;
        assert_eq!(RawExit::of(VcpuExit::InternalError).complete(&run), Exit::InternalError { suberror: 1 });
    }
}
