//! The handlers of a guest's vectors, and stops at their first instructions.

use guest_abi::mode::CpuMode;

use guestlab_cpu::{CpuState, GuestMemory, OutOfMemory};

use crate::vcpu::Vcpu;

/// Returns the linear address of a vector's handler, if the guest's table has one. `read` copies memory from a linear
/// address, all or nothing.
fn handler(registers: &CpuState, vector: u32, read: impl Fn(u64, &mut [u8]) -> bool) -> Option<u64> {
    let size: u64 = match registers.mode() {
        CpuMode::Real => 4,
        CpuMode::Protected | CpuMode::Paged => 8,
        CpuMode::Long => 16,
    };
    let (table, limit) = (registers.idt.base, registers.idt.limit);
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
            let base = registers.base_of_code(word(&gate, 2), &read).filter(|_| is_gate(gate[5]))?;
            let high = if mode == CpuMode::Long { (word(&gate, 8), word(&gate, 10)) } else { (0, 0) };
            let parts = [word(&gate, 0), word(&gate, 6), high.0, high.1];
            let offset = parts.iter().rev().fold(0, |all, &part| all << 16 | u64::from(part));
            Some(base.wrapping_add(offset) & most)
        }
    }
}

/// Returns true if a gate's sixth byte marks a present interrupt or trap gate (SDM volume 3A, 6.11).
fn is_gate(access: u8) -> bool {
    const PRESENT: u8 = 1 << 7;
    access & PRESENT != 0 && matches!(access & 0b1_1111, 0b0_1110 | 0b0_1111)
}

fn word(bytes: &[u8; 16], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// The most vectors that a table has.
const MOST_VECTORS: u32 = 256;

/// The handlers of a guest's vectors. They are looked up again if the guest's tables have changed.
#[derive(Default)]
pub(super) struct Handlers {
    /// The state at the last look-up.
    key: Option<Key>,
    places: Vec<HandlerAddress>,
}

/// The state that determines the addresses of handlers: mode, page tables, code segment, and the tables of vectors and
/// segments.
#[derive(PartialEq, Eq)]
struct Key {
    translation: Vec<u64>,
    tables: [Table; 2],
}

/// A copy of a table of the guest's.
#[derive(PartialEq, Eq)]
struct Table {
    base: u64,
    bytes: Vec<u8>,
}

impl Table {
    /// The most bytes that are looked at: 256 vectors of 16 bytes, or 512 segments.
    const MAX_SIZE: u16 = 4096;

    /// Copies a table, as far as there is memory; `limit` is the offset of its last byte.
    fn copy(vcpu: &Vcpu, registers: &CpuState, (base, limit): (u64, u16)) -> Self {
        let mut bytes = vec![0; usize::from(limit.min(Self::MAX_SIZE - 1)) + 1];
        let there = vcpu.read_linear(registers, base, &mut bytes);
        bytes.truncate(there);
        Self { base, bytes }
    }

    fn read(&self, address: u64, bytes: &mut [u8]) -> bool {
        let from = usize::try_from(address.wrapping_sub(self.base)).unwrap_or(usize::MAX);
        let part = self.bytes.get(from..).and_then(|rest| rest.get(..bytes.len()));
        part.inspect(|part| bytes.copy_from_slice(part)).is_some()
    }
}

/// The linear and the guest-physical address of a handler.
type HandlerAddress = (u64, u32);

impl Handlers {
    fn places(&mut self, vcpu: &Vcpu, registers: &CpuState) -> &[HandlerAddress] {
        let tables = [(registers.idt.base, registers.idt.limit), (registers.gdt.base, registers.gdt.limit)]
            .map(|table| Table::copy(vcpu, registers, table));
        let key = Some(Key { translation: registers.translation(), tables });
        if self.key != key {
            self.key = key;
            self.places = self.look(vcpu, registers);
        }
        &self.places
    }

    fn look(&self, vcpu: &Vcpu, registers: &CpuState) -> Vec<HandlerAddress> {
        let Some(Key { tables, .. }) = &self.key else { return Vec::new() };
        let read = |address: u64, bytes: &mut [u8]| tables.iter().any(|table| table.read(address, bytes));
        let place = |vector| {
            let linear = handler(registers, vector, read)?;
            Some((linear, u32::try_from(vcpu.physical(registers, linear)?).ok()?))
        };
        let mut places: Vec<HandlerAddress> = (0..MOST_VECTORS).filter_map(place).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Sets stops at the first instruction of every handler, except those that the caller excludes.
    pub(super) fn stop(
        &mut self,
        vcpu: &mut Vcpu,
        registers: &CpuState,
        alone: impl Fn(u64) -> bool,
    ) -> Stops {
        let mut stops = Stops::default();
        for &(linear, physical) in self.places(vcpu, registers).iter().filter(|(linear, _)| !alone(*linear)) {
            stops.linear.push(linear);
            match stops.pieces.last_mut().filter(|piece| piece.reaches(physical)) {
                Some(piece) => piece.physical.push(physical),
                None => stops.pieces.push(StopPiece { physical: vec![physical], ..StopPiece::default() }),
            }
        }
        stops.pieces.retain_mut(|piece| piece.set(vcpu.memory_mut()).is_ok());
        stops
    }
}

/// Stops at instructions: `out dx, al` replaces their first bytes, and every KVM module exits for it. A stop is there for
/// one entry only, so that the guest does not see it. (`hlt` would do, but kvm_pvm remembers one that it stepped over.)
#[derive(Default)]
pub(super) struct Stops {
    linear: Vec<u64>,
    pieces: Vec<StopPiece>,
}

const OUT: u8 = 0xEE;

/// A piece of memory with stops. It is written as a whole, because under an emulator each write to code is slow.
#[derive(Default)]
struct StopPiece {
    /// The addresses of the stops, in order.
    physical: Vec<u32>,
    /// The original bytes, and the bytes with stops.
    bytes: Vec<u8>,
    stops: Vec<u8>,
}

impl StopPiece {
    /// The largest size in bytes.
    const MAX_SIZE: u32 = 512;

    fn start(&self) -> u32 {
        self.physical.first().copied().unwrap_or(0)
    }

    fn reaches(&self, physical: u32) -> bool {
        let last = self.physical.last().copied().unwrap_or(0);
        physical >= last && physical - self.start() < Self::MAX_SIZE
    }

    fn set(&mut self, memory: &mut dyn GuestMemory) -> Result<(), OutOfMemory> {
        let start = self.start();
        let offset = |physical: &u32| (physical - start) as usize;
        self.bytes = vec![0; self.physical.last().map_or(0, offset) + 1];
        memory.read(start.into(), &mut self.bytes)?;
        self.stops = self.bytes.clone();
        self.physical.iter().for_each(|physical| self.stops[offset(physical)] = OUT);
        memory.write(start.into(), &self.stops)
    }

    /// Removes the stops, except where the guest or the CPU has written other bytes.
    fn lift(&self, memory: &mut dyn GuestMemory) -> Result<(), OutOfMemory> {
        let mut now = vec![0; self.bytes.len()];
        memory.read(self.start().into(), &mut now)?;
        if now == self.stops {
            return memory.write(self.start().into(), &self.bytes);
        }
        self.physical.iter().try_for_each(|&physical| {
            let offset = (physical - self.start()) as usize;
            if now[offset] == OUT {
                memory.write(physical.into(), &self.bytes[offset..=offset])
            } else {
                Ok(())
            }
        })
    }
}

impl Stops {
    /// Removes the stops.
    pub(super) fn lift(&mut self, vcpu: &mut Vcpu) {
        for piece in self.pieces.drain(..) {
            // It is memory, as it was when the stops were set.
            let _ = piece.lift(vcpu.memory_mut());
        }
    }

    /// Returns true if a stop is or was at a linear address.
    pub(super) fn has(&self, address: u64) -> bool {
        self.linear.binary_search(&address).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of one gate, in the mode of a CPU whose registers are all zero: real mode.
    #[test]
    fn a_handler_in_real_mode_is_segment_and_offset() {
        let mut registers = CpuState::real(0);
        let read = |address: u64, bytes: &mut [u8]| {
            bytes.copy_from_slice(&[0x34, 0x12, 0x00, 0xF0]);
            address == 0x100 + 4 * 3
        };
        (registers.idt.base, registers.idt.limit) = (0x100, 15);
        assert_eq!(handler(&registers, 3, read), Some(0xF_1234));
        assert_eq!(handler(&registers, 2, read), None);
        registers.idt.limit = 14;
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
