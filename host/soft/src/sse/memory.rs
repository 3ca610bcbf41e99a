//! Accesses to memory of more than 8 bytes.

use crate::{
    access::Access,
    cpu::{Op, SoftCpu},
    fault::{Step, gp0},
    ram::{PAGE, offset},
};

impl SoftCpu {
    /// Reads 16 bytes at an offset in a segment. They need not be aligned, not even where #AC is asked for. Where there is no memory, they are read as two halves.
    pub(crate) fn read_16(&mut self, segment: u8, at: u64) -> Step<u128> {
        let linear = self.linear(segment, at, 16, Access::READ)?;
        self.check_units(linear, 1, 16, Access::READ)?;
        self.read_16_linear(linear)
    }

    fn read_16_linear(&mut self, linear: u64) -> Step<u128> {
        if offset(linear) + 16 <= PAGE {
            let physical = self.translate(linear, Access::READ)?;
            if let Some(page) = self.ram.bytes(physical) {
                let start = offset(physical);
                let mut bytes = [0; 16];
                bytes.copy_from_slice(&page[start..start + 16]);
                return Ok(u128::from_le_bytes(bytes));
            }
        }
        let low = self.read_linear(linear, 8, Access::READ)?;
        let high = self.read_linear(self.behind(linear, 8), 8, Access::READ)?;
        Ok(u128::from(high) << 64 | u128::from(low))
    }

    /// Writes 16 bytes. Nothing is written if one of two pages cannot be.
    pub(crate) fn write_16(&mut self, segment: u8, at: u64, value: u128) -> Step {
        let linear = self.linear(segment, at, 16, Access::WRITE)?;
        self.check_units(linear, 1, 16, Access::WRITE)?;
        self.write_16_linear(linear, value)
    }

    fn write_16_linear(&mut self, linear: u64, value: u128) -> Step {
        if offset(linear) + 16 > PAGE {
            self.translate(linear, Access::WRITE)?;
            self.translate(self.behind(linear, 15), Access::WRITE)?;
        }
        self.write_linear(linear, 8, value as u64, Access::WRITE)?;
        self.write_linear(self.behind(linear, 8), 8, (value >> 64) as u64, Access::WRITE)
    }

    /// Raises #GP if the instruction's operand in memory is not aligned to 16 bytes (Intel SDM volume 1, 10.4.1.1).
    pub(crate) fn check_16_bytes(&self, op: &Op, access: Access) -> Step {
        let linear = self.linear(op.mem.segment, self.offset(&op.mem), 16, access)?;
        if linear.is_multiple_of(16) { Ok(()) } else { Err(gp0()) }
    }

    /// Reads the bytes of the instruction's operand in memory, which is an area of parts of `unit` bytes.
    pub(crate) fn read_area(&mut self, op: &Op, unit: u8, bytes: &mut [u8]) -> Step {
        let linear = self.area(op, unit, bytes.len(), Access::READ)?;
        for (index, piece) in bytes.chunks_mut(8).enumerate() {
            let size = piece.len();
            let value = self.read_linear(self.behind(linear, 8 * index as u64), size as u8, Access::READ)?;
            piece.copy_from_slice(&value.to_le_bytes()[..size]);
        }
        Ok(())
    }

    /// Writes the bytes of the instruction's operand in memory. Nothing is written if one of the pages cannot be.
    pub(crate) fn write_area(&mut self, op: &Op, unit: u8, bytes: &[u8]) -> Step {
        let linear = self.area(op, unit, bytes.len(), Access::WRITE)?;
        for (index, piece) in bytes.chunks(8).enumerate() {
            let mut value = [0; 8];
            value[..piece.len()].copy_from_slice(piece);
            let at = self.behind(linear, 8 * index as u64);
            self.write_linear(at, piece.len() as u8, u64::from_le_bytes(value), Access::WRITE)?;
        }
        Ok(())
    }

    /// Returns the linear address of an area that is not longer than a page, if its first and last byte can be accessed. It
    /// is aligned if its parts are.
    pub(crate) fn area(&mut self, op: &Op, unit: u8, len: usize, access: Access) -> Step<u64> {
        let at = self.offset(&op.mem);
        let last = len as u64 - 1;
        let linear = self.linear(op.mem.segment, at, 1, access)?;
        self.linear(op.mem.segment, at.wrapping_add(last), 1, access)?;
        self.check_units(linear, unit, len, access)?;
        self.translate(linear, access)?;
        self.translate(self.behind(linear, last), access)?;
        Ok(linear)
    }

    /// Finds the watchpoints that an access meets, and raises #AC if its parts have to be aligned and are not.
    pub(crate) fn check_units(&mut self, linear: u64, unit: u8, len: usize, access: Access) -> Step {
        if !self.checks_access {
            return Ok(());
        }
        let mut distances = (0..len as u64).step_by(unit.into());
        distances.try_for_each(|distance| self.check_access(self.behind(linear, distance), unit, access))
    }

    /// Returns the linear address `distance` bytes behind another one.
    pub(crate) fn behind(&self, linear: u64, distance: u64) -> u64 {
        let sum = linear.wrapping_add(distance);
        if self.bits == 64 { sum } else { sum & u64::from(u32::MAX) }
    }
}
