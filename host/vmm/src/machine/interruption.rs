//! Exits at the host's own handlers of exceptions.

use std::ops::ControlFlow;

use guestlab_cpu::{EngineError, Exit, state::seg};

use super::Machine;
use crate::vectors::Interruption;

impl Machine {
    /// Returns the interruption, if an exception or a software interrupt led the guest to one of the host's handlers. A
    /// guest with a handler of its own continues there: `Break` means that the exit needs no service.
    pub(super) fn interruption(
        &mut self,
        exit: &Exit,
    ) -> Result<ControlFlow<(), Option<Interruption>>, EngineError> {
        if self.vectors.is_none() || !matches!(exit, Exit::Halt { .. }) {
            return Ok(ControlFlow::Continue(None));
        }
        let now = self.cpu.registers()?;
        let Some(vectors) = &self.vectors else { return Ok(ControlFlow::Continue(None)) };
        if vectors.are_run_into(&now) {
            return Ok(ControlFlow::Break(()));
        }
        let Some(vector) = vectors.reached(&now) else { return Ok(ControlFlow::Continue(None)) };
        if let Some((selector, offset)) = vectors.own_handler(self.cpu.memory(), vector) {
            self.announce("registers", format_args!("on to the guest's own handler of vector {vector:#x}"));
            let mut handler = now.at(offset.into());
            let code = &mut handler.segments[seg::CS];
            (code.selector, code.base) = (selector, u64::from(selector) << 4);
            self.cpu.set_registers(&handler)?;
            return Ok(ControlFlow::Break(()));
        }
        let Some(interruption) = Interruption::of(self.cpu.memory(), &now, vector) else {
            return Ok(ControlFlow::Continue(None));
        };
        self.announce(
            "hlt",
            format_args!("a handler of the host's, which stands for vector {vector:#x}: the guest has none"),
        );
        // A debugger must see the instruction, and not the handler.
        self.cpu.set_registers(&interruption.registers)?;
        Ok(ControlFlow::Continue(Some(interruption)))
    }
}
