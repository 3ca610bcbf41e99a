//! The handlers of a guest's vectors, and stops at their first instructions.

use guest_abi::mode::CpuMode;
use x86_64::registers::rflags::RFlags;

use super::Before;
use crate::{
    kvm::{Registers, Vcpu, VcpuError},
    memory::{GuestMemory, MemoryError},
};

/// The linear address of the handler of a vector, where the guest's table has one that runs in its present
/// code segment. `read` copies memory from a linear address, all or nothing.
fn handler(registers: &Registers, vector: u32, read: impl Fn(u64, &mut [u8]) -> bool) -> Option<u64> {
    let size: u64 = match registers.mode() {
        CpuMode::Real => 4,
        CpuMode::Protected | CpuMode::Paged => 8,
        CpuMode::Long => 16,
    };
    let (table, limit) = registers.vectors();
    let offset = size * u64::from(vector);
    let mut gate = [0; 16];
    let bytes = &mut gate[..usize::try_from(size).ok()?];
    let is_there = offset + size - 1 <= limit.into() && read(table.wrapping_add(offset), bytes);
    // A handler in long mode is 64-bit code; other linear addresses have 32 bits.
    let most = if registers.mode() == CpuMode::Long { u64::MAX } else { u32::MAX.into() };
    match registers.mode() {
        _ if !is_there => None,
        CpuMode::Real => Some(u64::from(word(&gate, 2)) * 16 + u64::from(word(&gate, 0))),
        mode => {
            let (base, selector) = registers.code_segment();
            let high = if mode == CpuMode::Long { (word(&gate, 8), word(&gate, 10)) } else { (0, 0) };
            let parts = [word(&gate, 0), word(&gate, 6), high.0, high.1];
            let offset = parts.iter().rev().fold(0, |all, &part| all << 16 | u64::from(part));
            (is_gate(gate[5]) && word(&gate, 2) == selector).then(|| base.wrapping_add(offset) & most)
        }
    }
}

/// Whether a gate's sixth byte says that it is present, and an interrupt or trap gate (SDM volume 3A, 6.11).
fn is_gate(access: u8) -> bool {
    const PRESENT: u8 = 1 << 7;
    access & PRESENT != 0 && matches!(access & 0b1_1111, 0b0_1110 | 0b0_1111)
}

fn word(bytes: &[u8; 16], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// The most vectors that a table has.
const MOST_VECTORS: u32 = 256;

/// The handlers of a guest's vectors, looked up anew when its table has changed.
#[derive(Default)]
pub(super) struct Handlers {
    /// What they were looked up for: mode, page tables and code segment, and the table.
    key: Option<(Vec<u64>, Vec<u8>)>,
    places: Vec<Place>,
}

/// Where a handler begins: its linear and its guest-physical address.
type Place = (u64, u32);

impl Handlers {
    fn places(&mut self, vcpu: &Vcpu, registers: &Registers) -> &[Place] {
        let (base, limit) = registers.vectors();
        let mut table = vec![0; usize::from(limit.min(4095)) + 1];
        let there = vcpu.read_linear(base, &mut table);
        table.truncate(there);
        let key = Some((registers.translation(), table));
        if self.key != key {
            self.key = key;
            self.places = self.look(vcpu, registers);
        }
        &self.places
    }

    fn look(&self, vcpu: &Vcpu, registers: &Registers) -> Vec<Place> {
        let Some((_, table)) = &self.key else { return Vec::new() };
        let (base, _) = registers.vectors();
        let read = |address: u64, bytes: &mut [u8]| {
            let from = usize::try_from(address.wrapping_sub(base)).unwrap_or(usize::MAX);
            let gate = table.get(from..).and_then(|rest| rest.get(..bytes.len()));
            gate.inspect(|gate| bytes.copy_from_slice(gate)).is_some()
        };
        let place = |vector| {
            let linear = handler(registers, vector, read)?;
            Some((linear, vcpu.physical(linear)?))
        };
        let mut places: Vec<Place> = (0..MOST_VECTORS).filter_map(place).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Stops a guest with these registers at the first instruction of every handler but those that the
    /// caller wants to be left alone.
    pub(super) fn stop(&mut self, vcpu: &Vcpu, registers: &Registers, alone: impl Fn(u64) -> bool) -> Stops {
        let mut stops = Stops::default();
        for &(linear, physical) in self.places(vcpu, registers).iter().filter(|(linear, _)| !alone(*linear)) {
            stops.linear.push(linear);
            match stops.pieces.last_mut().filter(|piece| piece.reaches(physical)) {
                Some(piece) => piece.physical.push(physical),
                None => stops.pieces.push(StopPiece { physical: vec![physical], ..StopPiece::default() }),
            }
        }
        stops.pieces.retain_mut(|piece| piece.set(vcpu.memory()).is_ok());
        stops
    }
}

/// Stops at instructions: `out dx, al`, which every KVM module leaves a guest for, in place of their first
/// bytes. The guest does not see them: they stand there for one entry. (`hlt` would do, but kvm_pvm
/// remembers one that it stepped over.)
#[derive(Default)]
pub(super) struct Stops {
    linear: Vec<u64>,
    pieces: Vec<StopPiece>,
}

const OUT: u8 = 0xEE;

/// A piece of memory with stops, which is written as a whole: where others translate the guest's code, each
/// write there is dear.
#[derive(Default)]
struct StopPiece {
    /// The addresses of the stops, in order.
    physical: Vec<u32>,
    /// What stood there, and what stands there now.
    bytes: Vec<u8>,
    stops: Vec<u8>,
}

impl StopPiece {
    /// The size in bytes that it grows to.
    const MAX_SIZE: u32 = 512;

    fn start(&self) -> u32 {
        self.physical.first().copied().unwrap_or(0)
    }

    fn reaches(&self, physical: u32) -> bool {
        let last = self.physical.last().copied().unwrap_or(0);
        physical >= last && physical - self.start() < Self::MAX_SIZE
    }

    fn set(&mut self, memory: &GuestMemory) -> Result<(), MemoryError> {
        let start = self.start();
        let offset = |physical: &u32| (physical - start) as usize;
        self.bytes = vec![0; self.physical.last().map_or(0, offset) + 1];
        memory.read(start, &mut self.bytes)?;
        self.stops = self.bytes.clone();
        self.physical.iter().for_each(|physical| self.stops[offset(physical)] = OUT);
        memory.write(start, &self.stops)
    }

    /// Takes the stops away, but where something else stands now, such as what the CPU pushed.
    fn lift(&self, memory: &GuestMemory) -> Result<(), MemoryError> {
        let mut now = vec![0; self.bytes.len()];
        memory.read(self.start(), &mut now)?;
        if now == self.stops {
            return memory.write(self.start(), &self.bytes);
        }
        self.physical.iter().try_for_each(|&physical| {
            let offset = (physical - self.start()) as usize;
            if now[offset] == OUT { memory.write(physical, &self.bytes[offset..=offset]) } else { Ok(()) }
        })
    }
}

impl Stops {
    /// Takes the stops away.
    pub(super) fn lift(&mut self, vcpu: &Vcpu) {
        for piece in self.pieces.drain(..) {
            // It is memory, as it was when the stops were set.
            let _ = piece.lift(vcpu.memory());
        }
    }

    /// Whether there is a stop at a linear address, or was before it was taken away.
    pub(super) fn has(&self, address: u64) -> bool {
        self.linear.binary_search(&address).is_ok()
    }
}

/// Clears the trap flag among the flags that the CPU has pushed on its way to a handler, whose first
/// instruction comes next: the step's own, unless the guest had set it. The frame is known by the
/// instruction pointer in it, below which there may be an error code.
///
/// # Errors
///
/// KVM refused a call.
pub(super) fn clear_pushed_trap_flag(vcpu: &Vcpu, before: &Before) -> Result<(), VcpuError> {
    let registers = vcpu.registers()?;
    let trap_flag = RFlags::TRAP_FLAG.bits();
    let word = match registers.mode() {
        CpuMode::Real => 2,
        CpuMode::Protected | CpuMode::Paged => 4,
        CpuMode::Long => 8,
    };
    let read = |address: u64| {
        let mut bytes = [0; 8];
        (vcpu.read_linear(address, &mut bytes[..word]) == word).then(|| u64::from_le_bytes(bytes))
    };
    let is_frame = |&at: &u64| {
        read(at).is_some_and(|ip| ip == before.registers.ip || ip == before.instruction.next_ip())
    };
    let size = word as u64;
    let top = registers.stack();
    let frame = [top, top.wrapping_add(size)].into_iter().find(is_frame);
    let at = frame.map(|frame| frame.wrapping_add(2 * size));
    let pushed = at.and_then(|at| Some((at, read(at)?)));
    let is_the_steps = |(_, flags): &(u64, u64)| (flags & !before.registers.flags) & trap_flag != 0;
    if let Some((at, flags)) = pushed.filter(is_the_steps) {
        vcpu.write_linear(at, &(flags & !trap_flag).to_le_bytes()[..word]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of one gate, in the mode of a CPU whose registers are all zero: real mode.
    #[test]
    fn a_handler_in_real_mode_is_segment_and_offset() {
        let mut registers = Registers::default();
        let read = |address: u64, bytes: &mut [u8]| {
            bytes.copy_from_slice(&[0x34, 0x12, 0x00, 0xF0]);
            address == 0x100 + 4 * 3
        };
        registers.set_vectors(0x100, 15);
        assert_eq!(handler(&registers, 3, read), Some(0xF_1234));
        assert_eq!(handler(&registers, 2, read), None);
        registers.set_vectors(0x100, 14);
        assert_eq!(handler(&registers, 3, read), None);
    }

    #[test]
    fn only_interrupt_and_trap_gates_that_are_present_have_handlers() {
        for (access, is) in
            [(0x8E, true), (0x8F, true), (0xEE, true), (0x0E, false), (0x85, false), (0x8C, false)]
        {
            assert_eq!(is_gate(access), is, "{access:#x}");
        }
    }
}
