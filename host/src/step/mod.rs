//! Single steps, the same on every KVM module. One instruction may end with a debug exit, or with an exit
//! for the host to serve that is completed afterwards; kvm_pvm reports no debug exit for the latter.
//!
//! Where an exception or an interrupt calls a handler, the step's own trap flag is among the flags that are
//! pushed, and the handler would run unseen. So the guest is stopped at the first instruction of the handler
//! (`vectors.rs`).

pub mod probe;
mod vectors;

use iced_x86::{FlowControl, Instruction, Mnemonic, Register};
use x86_64::registers::rflags::RFlags;

use self::vectors::{Handlers, Stops};
use crate::{
    instruction::{self, MAX_INSTRUCTION},
    kvm::{Exit, Pace, Registers, Vcpu, VcpuError},
};

/// An instruction, and the CPU just before it.
#[derive(Clone, Debug)]
pub struct Before {
    /// The registers, without x87 and SSE.
    pub registers: Registers,
    /// The instruction, decoded.
    pub instruction: Instruction,
    code: [u8; MAX_INSTRUCTION],
}

impl Before {
    fn look(vcpu: &Vcpu, registers: Registers) -> Self {
        let mut code = [0; MAX_INSTRUCTION];
        let there = vcpu.read_linear(registers.instruction(), &mut code);
        let instruction = instruction::decode(registers.bits(), &code[..there], registers.ip);
        Self { registers, instruction, code }
    }

    /// The instruction's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.code[..self.instruction.len()]
    }

    /// Whether a step may execute only a part of it: it is a string instruction that is repeated.
    pub fn is_repeated(&self) -> bool {
        let instruction = &self.instruction;
        instruction.is_string_instruction()
            && (instruction.has_rep_prefix() || instruction.has_repne_prefix())
    }

    /// The linear addresses that it is read from, reads or writes.
    fn touched(&self) -> impl Fn(u64) -> bool {
        let accesses = instruction::accesses(&self.instruction, &self.registers);
        let start = self.registers.instruction();
        move |address| {
            let within = |start: u64, len: u64| address.wrapping_sub(start) < len;
            within(start, MAX_INSTRUCTION as u64)
                || accesses.iter().any(|access| within(access.address, access.len))
        }
    }

    fn takes_interrupts(&self) -> bool {
        self.registers.flags & RFlags::INTERRUPT_FLAG.bits() != 0
    }

    /// Whether it leaves the guest for a write to a port of its own accord.
    fn is_output(&self) -> bool {
        let mnemonic = self.instruction.mnemonic();
        matches!(mnemonic, Mnemonic::Out | Mnemonic::Outsb | Mnemonic::Outsw | Mnemonic::Outsd)
    }

    /// Whether it may have gone anywhere of its own accord.
    fn branches(&self) -> bool {
        !matches!(
            self.instruction.flow_control(),
            FlowControl::Next | FlowControl::Interrupt | FlowControl::Exception
        )
    }

    /// Whether it loads SS, so that not even a step ends there (SDM volume 3A, 6.8.3 "Masking Exceptions and
    /// Interrupts When Switching Stacks").
    fn loads_stack(&self) -> bool {
        let loads = matches!(self.instruction.mnemonic(), Mnemonic::Mov | Mnemonic::Pop);
        loads && self.instruction.op0_register() == Register::SS
    }

    /// Whether no interrupt comes between it and the next instruction (SDM volume 2B, "STI").
    fn shadows_next(&self) -> bool {
        let sti = self.instruction.mnemonic() == Mnemonic::Sti && !self.takes_interrupts();
        sti || self.loads_stack()
    }

    /// Whether it returns from an interrupt or exception.
    fn returns_from_handler(&self) -> bool {
        matches!(self.instruction.mnemonic(), Mnemonic::Iret | Mnemonic::Iretd | Mnemonic::Iretq)
    }

    /// Whether a step over it may end one instruction later: one over `sti` does so under QEMU's emulation,
    /// and one over `iretq` on kvm_pvm.
    fn may_end_late(&self) -> bool {
        self.shadows_next() || self.returns_from_handler()
    }

    /// The instruction behind one whose step may end late, as if that had changed no other register.
    fn follower(&self, vcpu: &Vcpu) -> Option<Self> {
        let next = self.goes_on_at(vcpu).filter(|_| self.may_end_late())?;
        Some(Self::look(vcpu, self.registers.at(next)))
    }

    /// The instruction pointer behind it, as far as that can be told of one that does not branch; an
    /// interrupt's return goes where the stack says.
    fn goes_on_at(&self, vcpu: &Vcpu) -> Option<u64> {
        let size = match self.instruction.mnemonic() {
            _ if self.branches() && !self.returns_from_handler() => return None,
            Mnemonic::Iret => 2,
            Mnemonic::Iretd => 4,
            Mnemonic::Iretq => 8,
            _ => return Some(self.instruction.next_ip()),
        };
        let mut ip = [0; 8];
        let there = vcpu.read_linear(self.registers.stack(), &mut ip[..size]);
        (there == size).then(|| u64::from_le_bytes(ip))
    }
}

/// What has happened since a step began.
#[derive(Debug)]
pub enum Passed {
    /// Nothing: a signal came first.
    Nothing,
    /// Instructions were executed: one, or two where a step does not end between them. Of a repeated string
    /// instruction it may be one repetition; one that raised an exception may not have come to its end.
    Instructions(Vec<Before>),
    /// The guest is at the first instruction of the handler of an interrupt.
    Interrupt,
}

/// Where a guest is between two instructions.
#[derive(Default)]
pub struct Stepper {
    step: Step,
    handlers: Handlers,
    stops: Stops,
    /// Whether the last instruction keeps interrupts from coming before the next one.
    shadow: bool,
}

#[derive(Default)]
enum Step {
    #[default]
    None,
    /// The entry that comes is one step.
    Begun(Box<Before>),
    /// The instructions were executed up to an exit, and the last is to be completed.
    Left(Vec<Before>),
    /// As [`Left`](Self::Left), but it has been told already.
    Told,
    /// The instructions were executed.
    Over(Vec<Before>),
    /// The entry that comes delivers an interrupt.
    Interrupt,
    /// It was to, but a signal came before.
    Pending,
    /// It did.
    Interrupted,
}

impl Stepper {
    /// The next entry is one step, of a guest with these registers; or it delivers an interrupt that a signal
    /// kept from being delivered.
    ///
    /// # Errors
    ///
    /// KVM refused a call.
    pub fn begin(&mut self, vcpu: &Vcpu, registers: Registers) -> Result<(), VcpuError> {
        self.stops.lift(vcpu);
        let before = Before::look(vcpu, registers);
        let pending = matches!(self.step, Step::Pending);
        self.stops = match !pending && instruction::raises_nothing(&before.instruction, &before.registers) {
            true => Stops::default(),
            false => self.handlers.stop(vcpu, &before.registers, before.touched()),
        };
        if pending {
            self.step = Step::Interrupt;
            return vcpu.set_pace(&Pace::Free);
        }
        // Every module leaves the guest for it; kvm_pvm remembers one that it stepped over.
        let pace = if before.instruction.mnemonic() == Mnemonic::Hlt { Pace::Free } else { Pace::Step };
        self.step = Step::Begun(Box::new(before));
        vcpu.set_pace(&pace)
    }

    /// Whether an interrupt may be injected into the entry that comes, in place of the step that has begun;
    /// the guest is then stopped at the first instruction of its handler.
    ///
    /// # Errors
    ///
    /// KVM refused a call.
    pub fn takes_interrupt(&mut self, vcpu: &mut Vcpu) -> Result<bool, VcpuError> {
        let Step::Begun(before) = &self.step else { return Ok(false) };
        if self.shadow || !before.takes_interrupts() || !vcpu.is_ready() {
            return Ok(false);
        }
        self.stops.lift(vcpu);
        self.stops = self.handlers.stop(vcpu, &before.registers, |_| false);
        self.step = Step::Interrupt;
        vcpu.set_pace(&Pace::Free)?;
        Ok(true)
    }

    /// The guest left; returns what that is to the host.
    ///
    /// # Errors
    ///
    /// KVM refused a call.
    pub fn left(&mut self, exit: Exit, vcpu: &mut Vcpu) -> Result<Exit, VcpuError> {
        self.stops.lift(vcpu);
        match std::mem::take(&mut self.step) {
            Step::Begun(before) => self.left_step(before, exit, vcpu),
            Step::Interrupt => self.left_for_interrupt(exit, vcpu),
            _ => Ok(exit),
        }
    }

    fn left_step(&mut self, before: Box<Before>, exit: Exit, vcpu: &mut Vcpu) -> Result<Exit, VcpuError> {
        let second = match exit {
            // It came before the instruction.
            Exit::Interrupted | Exit::InterruptWindow => return Ok(exit),
            Exit::Debug { .. } | Exit::Out { .. } | Exit::In { .. } | Exit::Halt { .. } => {
                before.follower(vcpu)
            }
            _ => None,
        };
        let is_output = [Some(&*before), second.as_ref()].into_iter().flatten().any(Before::is_output);
        let is_called = match exit {
            Exit::Debug { .. } => !before.branches() && self.arrive(before.instruction.next_ip(), vcpu)?,
            Exit::Out { .. } => !is_output && self.arrive_by_output(vcpu)?,
            _ => false,
        };
        self.shadow = false;
        if is_called {
            vectors::clear_pushed_trap_flag(vcpu, &before)?;
            self.step = Step::Over(vec![*before]);
            return Ok(Exit::Debug { points: 0 });
        }
        if !matches!(exit, Exit::Debug { .. }) {
            self.step = Step::Left([*before].into_iter().chain(second).collect());
            return Ok(exit);
        }
        // A step that ended in time did so where the second instruction begins.
        let ip = vcpu.registers()?.ip;
        let second = second.filter(|second| second.registers.ip != ip);
        self.shadow = second.is_none() && before.shadows_next();
        self.step = Step::Over([*before].into_iter().chain(second).collect());
        Ok(exit)
    }

    /// Whether a guest that should have gone on at `next` is at a stop instead.
    fn arrive(&self, next: u64, vcpu: &Vcpu) -> Result<bool, VcpuError> {
        let registers = vcpu.registers()?;
        Ok(registers.ip != next && self.stops.has(registers.instruction()))
    }

    /// Whether a guest that left for an output did so at a stop; then it is set back to the instruction
    /// that is there.
    fn arrive_by_output(&self, vcpu: &mut Vcpu) -> Result<bool, VcpuError> {
        let registers = vcpu.registers()?;
        let (at, before) = (registers.instruction(), registers.at(registers.ip.wrapping_sub(1)));
        let there = match (self.stops.has(at), self.stops.has(before.instruction())) {
            (true, _) => registers,
            (false, true) => before,
            (false, false) => return Ok(false),
        };
        vcpu.complete()?;
        vcpu.set_registers(&there)?;
        Ok(true)
    }

    fn left_for_interrupt(&mut self, exit: Exit, vcpu: &mut Vcpu) -> Result<Exit, VcpuError> {
        self.shadow = false;
        let is_delivered = match exit {
            Exit::Out { .. } => self.arrive_by_output(vcpu)?,
            Exit::Interrupted => self.stops.has(vcpu.registers()?.instruction()),
            _ => false,
        };
        self.step = match exit {
            _ if is_delivered => Step::Interrupted,
            Exit::Interrupted => Step::Pending,
            _ => Step::None,
        };
        Ok(if is_delivered { Exit::Debug { points: 0 } } else { exit })
    }

    /// The guest is not entered after all: its code is as it was.
    pub fn lift(&mut self, vcpu: &Vcpu) {
        self.stops.lift(vcpu);
    }

    /// Forgets all: the guest is no longer stepped.
    pub fn stop(&mut self, vcpu: &Vcpu) {
        self.stops.lift(vcpu);
        *self = Self::default();
    }

    /// What has happened since the step began; the instruction is completed.
    ///
    /// # Errors
    ///
    /// KVM refused a call.
    pub fn end(&mut self, vcpu: &mut Vcpu) -> Result<Passed, VcpuError> {
        match std::mem::take(&mut self.step) {
            Step::None | Step::Begun(_) | Step::Interrupt => Ok(Passed::Nothing),
            Step::Pending => {
                self.step = Step::Pending;
                Ok(Passed::Nothing)
            }
            Step::Interrupted => Ok(Passed::Interrupt),
            Step::Over(instructions) => Ok(Passed::Instructions(instructions)),
            Step::Left(instructions) => vcpu.complete().map(|()| Passed::Instructions(instructions)),
            Step::Told => vcpu.complete().map(|()| Passed::Nothing),
        }
    }

    /// The instructions with which the guest's run ended, for now or for good. The last is not completed,
    /// so that the guest can be looked at as it left.
    pub fn last(&mut self, vcpu: &Vcpu) -> Vec<Before> {
        self.stops.lift(vcpu);
        match std::mem::take(&mut self.step) {
            Step::Over(instructions) => instructions,
            Step::Left(instructions) => {
                self.step = Step::Told;
                instructions
            }
            step => {
                self.step = step;
                Vec::new()
            }
        }
    }
}
