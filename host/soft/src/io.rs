//! Ports (Intel SDM volume 1, chapter 19).

use guestlab_cpu::{Exit, Values, Width};

use crate::{
    access::Access,
    cpu::{Op, PortAccess, SoftCpu},
    fault::{Step, gp0},
    flags,
    operand::mask,
};

impl SoftCpu {
    pub(crate) fn input(&mut self, op: &Op) -> Step {
        let port = self.get(op, op.from, op.from_size)? as u16;
        self.check_port(port, op.size)?;
        let value = self
            .port_in(port, op.size)
            .inspect_err(|_| self.end_later(port, PortAccess::In(op.size), op.size))?;
        self.set_register(0, op.size, value);
        Ok(())
    }

    pub(crate) fn output(&mut self, op: &Op) -> Step {
        let port = self.get(op, op.to, op.size)? as u16;
        self.check_port(port, op.from_size)?;
        let value = self.register(0, op.from_size);
        let size = op.from_size;
        self.port_out(port, size, value).inspect_err(|_| self.end_later(port, PortAccess::Out, size))
    }

    /// Notes the rest of an instruction that need not begin again after its exit. One that meets a point does.
    fn end_later(&mut self, port: u16, access: PortAccess, size: u8) {
        self.port = (!self.points.are_on_port(port, size)).then_some(access);
    }

    /// Sees to the points on a port that was accessed.
    fn after_port(&mut self, port: u16, size: u8) {
        if self.points.are_on_port(port, size) {
            self.points.meet_port(port, size);
            self.stale = true;
        }
    }

    /// Reads a port: an exit, after which the instruction begins again with the answer.
    pub(crate) fn port_in(&mut self, port: u16, size: u8) -> Step<u64> {
        match self.answered() {
            Some(answer) => {
                self.after_port(port, size);
                Ok(answer & mask(size))
            }
            None => Err(self.leave_to_resume(Exit::In { port, width: width(size), count: 1 })),
        }
    }

    /// Writes a port: an exit.
    pub(crate) fn port_out(&mut self, port: u16, size: u8, value: u64) -> Step {
        match self.answered() {
            Some(_) => {
                self.after_port(port, size);
                Ok(())
            }
            None => {
                let values = Values::One(value as u32);
                Err(self.leave_to_resume(Exit::Out { port, width: width(size), values }))
            }
        }
    }

    /// Checks that the code may use a port: by its privilege, or by the task's permission map (Intel SDM volume 1, 19.5).
    pub(crate) fn check_port(&mut self, port: u16, size: u8) -> Step {
        let is_privileged = self.cpl <= self.io_privilege() && !self.flags.has(flags::VM);
        if !self.state.is_protected() || is_privileged {
            return Ok(());
        }
        const MAP_AT: u64 = 0x66;
        let task = self.state.tr;
        // A 16-bit task has no map.
        if task.rights.0 & 8 == 0 || u64::from(task.limit) < MAP_AT + 1 {
            return Err(gp0());
        }
        let map = self.read_linear(task.base.wrapping_add(MAP_AT), 2, Access::SYSTEM_READ)?;
        let at = map + u64::from(port / 8);
        // Two bytes are read, because a port of several bytes can cross one.
        if at + 1 > u64::from(task.limit) {
            return Err(gp0());
        }
        let bits = self.read_linear(task.base.wrapping_add(at), 2, Access::SYSTEM_READ)? >> (port % 8);
        if bits & ((1 << size) - 1) == 0 { Ok(()) } else { Err(gp0()) }
    }
}

fn width(size: u8) -> Width {
    match size {
        1 => Width::Byte,
        2 => Width::Word,
        _ => Width::Long,
    }
}
