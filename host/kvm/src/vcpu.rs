//! One VM with its memory and its one vCPU: the calls of KVM's interface.

pub(crate) mod state;

use std::{io, os::fd::AsRawFd, sync::Arc};

use guestlab_cpu::{CpuState, EngineError, Exit, GuestMemory, MemoryPlan, state::seg};
use kvm_bindings::{CpuId, kvm_interrupt, kvm_userspace_memory_region};
use kvm_ioctls::{VcpuFd, VmFd};

use crate::{
    debug_registers::{Pace, TRAP_FLAG},
    device::{Kvm, failed},
    exit::{self, RawExit},
    kick::{Kicker, set_immediate_exit, this_thread},
    memory::Memory,
    regs, request,
};

/// The address of the three pages that KVM uses on some Intel processors: below the firmware at the end of 4 GiB, above
/// all guest memory (KVM API, 4.36 `KVM_SET_TSS_ADDR`).
const TSS_ADDRESS: usize = 0xFFFB_D000;

/// The most accesses of one instruction: KVM carries out up to 1024 repetitions of a string instruction before it enters
/// the guest again, each with two operands, and each of these in two pages.
const MOST_ACCESSES: usize = 4096;

const _: () = assert!(TSS_ADDRESS >= guest_abi::layout::MAX_MEMORY as usize);

/// IF: the guest takes interrupts (Intel SDM volume 1, 3.4.3.3).
const INTERRUPT_FLAG: u64 = 1 << 9;

/// A VM with one vCPU.
///
/// The fields are dropped in this order. The vCPU and the VM must go before the memory that KVM was given.
pub(crate) struct Vcpu {
    pub(crate) fd: VcpuFd,
    _vm: VmFd,
    memory: Memory,
    /// KVM takes registers from the run structure at an entry.
    takes_registers: bool,
    kicker: Arc<Kicker>,
    /// The thread that ran the vCPU last.
    thread: Option<libc::pid_t>,
    /// The next part of an access to a device that was too wide for one exit, if [`complete`](Self::complete) met it.
    pending: Option<Exit>,
    /// The vCPU has not run, and only its general and system registers were set.
    is_new: bool,
    /// The general and system registers, if they were read since the vCPU ran last.
    known: Option<CpuState>,
    pub(crate) pace: Pace,
    /// The guest's own trap flag during single steps. KVM sets the flag then, and hides it.
    pub(crate) hidden_trap_flag: Option<bool>,
}

impl Vcpu {
    /// Creates a VM with this memory, and its vCPU in the state after reset.
    pub(crate) fn new(
        device: &Kvm,
        plan: &MemoryPlan,
        features: Option<&CpuId>,
    ) -> Result<Self, EngineError> {
        let calls = &device.calls;
        let size: u64 = plan.ranges.iter().map(|range| range.end - range.start).sum();
        calls.call("mmap", format_args!("{size:#x} bytes of host memory, all zero, for the guest"));
        let memory = Memory::new(plan)?;
        calls.call("KVM_CREATE_VM", format_args!("an empty VM: no memory, no CPU"));
        let vm = create_vm(device)?;
        let purpose = format_args!("three pages that KVM needs for itself on some Intel processors");
        calls.call("KVM_SET_TSS_ADDR", purpose);
        vm.set_tss_address(TSS_ADDRESS).map_err(failed("KVM_SET_TSS_ADDR"))?;
        register_memory(device, &vm, &memory)?;
        let purpose = format_args!("the VM's one CPU, in its state after reset, and its run structure");
        calls.call("KVM_CREATE_VCPU", purpose);
        let mut fd = vm.create_vcpu(0).map_err(failed("KVM_CREATE_VCPU"))?;
        if let Some(features) = features {
            let purpose = format_args!("the guest sees the features that this CPU and KVM have");
            calls.call("KVM_SET_CPUID2", purpose);
            fd.set_cpuid2(features).map_err(failed("KVM_SET_CPUID2"))?;
        }
        let kicker = Arc::new(Kicker::new(&mut fd));
        Ok(Self {
            fd,
            _vm: vm,
            memory,
            takes_registers: device.takes_registers,
            kicker,
            thread: None,
            pending: None,
            is_new: true,
            known: None,
            pace: Pace::Free,
            hidden_trap_flag: None,
        })
    }

    pub(crate) fn memory(&self) -> &dyn GuestMemory {
        &self.memory
    }

    pub(crate) fn memory_mut(&mut self) -> &mut dyn GuestMemory {
        &mut self.memory
    }

    /// Returns the handle that interrupts [`run`](Self::run).
    pub(crate) fn kicker(&self) -> Arc<Kicker> {
        Arc::clone(&self.kicker)
    }

    /// Returns true if the vCPU has not run yet.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Runs the guest until it exits.
    pub(crate) fn run(&mut self) -> Result<Exit, EngineError> {
        let thread = this_thread();
        if self.thread.replace(thread) != Some(thread) {
            self.kicker.is_run_by(thread);
        }
        if self.kicker.take() {
            set_immediate_exit(&mut self.fd, false);
            // An interrupt may be queued: until KVM has taken it, the guest cannot take another.
            self.fd.get_kvm_run().ready_for_interrupt_injection = 0;
            return Ok(Exit::Interrupted);
        }
        // Most often there is none, and then nothing is written.
        if self.pending.is_some()
            && let Some(exit) = self.pending.take()
        {
            return Ok(exit);
        }
        (self.is_new, self.known) = (false, None);
        let raw = match self.fd.run() {
            Ok(exit) => RawExit::of(exit),
            Err(error) if error.errno() == libc::EINTR => {
                set_immediate_exit(&mut self.fd, false);
                self.kicker.take();
                return Ok(Exit::Interrupted);
            }
            Err(error) => return Err(failed("KVM_RUN")(error)),
        };
        Ok(raw.complete(self.fd.get_kvm_run()))
    }

    /// Completes the instruction of the last exit, by an entry that exits at once (KVM API, 5. "The kvm_run structure",
    /// `immediate_exit`).
    pub(crate) fn complete(&mut self) -> Result<(), EngineError> {
        if self.pending.is_some() {
            return Ok(());
        }
        (self.is_new, self.known) = (false, None);
        set_immediate_exit(&mut self.fd, true);
        let outcome = self.fd.run().map(RawExit::of);
        set_immediate_exit(&mut self.fd, self.kicker.is_set());
        match outcome {
            // KVM splits an access of more than 8 bytes.
            Ok(RawExit::Whole(exit @ Exit::Mmio { .. })) => self.pending = Some(exit),
            Err(error) if error.errno() != libc::EINTR => return Err(failed("KVM_RUN")(error)),
            _ => {}
        }
        Ok(())
    }

    /// Completes the instruction of the last exit with all of its accesses, and forgets these. Otherwise KVM would complete
    /// them in a new state.
    fn abandon(&mut self) -> Result<(), EngineError> {
        for _ in 0..MOST_ACCESSES {
            self.complete()?;
            if self.pending.take().is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Returns true if the guest can take an interrupt now.
    pub(crate) fn is_ready(&mut self) -> bool {
        self.fd.get_kvm_run().ready_for_interrupt_injection != 0
    }

    /// Requests an exit as soon as the guest can take an interrupt, or cancels the request (KVM API, 5. "The kvm_run
    /// structure", `request_interrupt_window`).
    pub(crate) fn request_window(&mut self, wanted: bool) {
        self.fd.get_kvm_run().request_interrupt_window = u8::from(wanted);
    }

    /// Queues an interrupt for the next entry (KVM API, 4.16 `KVM_INTERRUPT`). kvm-ioctls does not have this call.
    pub(crate) fn queue_interrupt(&mut self, vector: u8) -> Result<(), EngineError> {
        let interrupt = kvm_interrupt { irq: vector.into() };
        // SAFETY: the file is a vCPU's, and the call reads one structure of that type.
        match unsafe { libc::ioctl(self.fd.as_raw_fd(), request::INTERRUPT, &raw const interrupt) } {
            0 => Ok(()),
            _ => Err(EngineError::Call { call: "KVM_INTERRUPT", source: io::Error::last_os_error().into() }),
        }
    }

    /// Answers a read: each of its accesses reads `value`, cut to its width.
    pub(crate) fn answer(&mut self, value: u32) {
        exit::answer(self.fd.get_kvm_run(), value);
    }

    /// Returns the general and system registers, without those that cost further calls.
    pub(crate) fn registers(&mut self) -> Result<CpuState, EngineError> {
        if let Some(known) = &self.known {
            return Ok(known.clone());
        }
        self.hand_over()?;
        let general = self.fd.get_regs().map_err(failed("KVM_GET_REGS"))?;
        let system = self.fd.get_sregs().map_err(failed("KVM_GET_SREGS"))?;
        let mut state = regs::state(&general, &system);
        if let Some(own) = self.hidden_trap_flag {
            state.flags = state.flags & !TRAP_FLAG | if own { TRAP_FLAG } else { 0 };
        }
        self.known = Some(state.clone());
        Ok(state)
    }

    /// Sets the general registers, the instruction pointer and the flags; and the code segment, if it differs.
    pub(crate) fn set_registers(&mut self, registers: &CpuState) -> Result<(), EngineError> {
        let before = self.registers()?;
        self.known = None;
        let code = registers.segments[seg::CS];
        if before.segments[seg::CS] != code {
            let mut system = self.fd.get_sregs().map_err(failed("KVM_GET_SREGS"))?;
            system.cs = regs::write_segment(code);
            self.fd.set_sregs(&system).map_err(failed("KVM_SET_SREGS"))?;
        }
        let mut general = regs::general(registers);
        if let Some(own) = &mut self.hidden_trap_flag {
            *own = general.rflags & TRAP_FLAG != 0;
            general.rflags &= !TRAP_FLAG;
        }
        if general.rflags & INTERRUPT_FLAG == 0 {
            self.fd.get_kvm_run().ready_for_interrupt_injection = 0;
        }
        self.fd.set_regs(&general).map_err(failed("KVM_SET_REGS"))
    }
}

impl Drop for Vcpu {
    fn drop(&mut self) {
        self.kicker.forget_vcpu();
    }
}

/// Registers all memory, one slot for each region.
fn register_memory(device: &Kvm, vm: &VmFd, memory: &Memory) -> Result<(), EngineError> {
    for (slot, region) in (0..).zip(memory.regions()) {
        let (start, end) = (region.guest_address, region.guest_address + region.len);
        let purpose = format_args!("our memory becomes the guest's, from {start:#x} to {end:#x}");
        device.calls.call("KVM_SET_USER_MEMORY_REGION", purpose);
        let region = kvm_userspace_memory_region {
            slot,
            flags: 0,
            guest_phys_addr: region.guest_address,
            memory_size: region.len,
            userspace_addr: region.host_address,
        };
        // SAFETY: the range is one mapping of `memory`. Nothing else uses it, and it outlives the VM: `Vcpu` owns both and
        // drops the VM first.
        unsafe { vm.set_user_memory_region(region) }.map_err(failed("KVM_SET_USER_MEMORY_REGION"))?;
    }
    Ok(())
}

/// Creates a VM. The call takes long enough that a signal can interrupt it: then it is repeated.
fn create_vm(device: &Kvm) -> Result<VmFd, EngineError> {
    loop {
        match device.kvm.create_vm() {
            Err(error) if error.errno() == libc::EINTR => {}
            outcome => return outcome.map_err(failed("KVM_CREATE_VM")),
        }
    }
}
