//! One VM with its one vCPU and its memory.

use std::{io, os::fd::AsRawFd};

use guestlab_cpu::Exit;
use kvm_bindings::{
    kvm_debugregs, kvm_fpu, kvm_interrupt, kvm_regs, kvm_sregs, kvm_userspace_memory_region, kvm_vcpu_events,
};
use kvm_ioctls::{VcpuFd, VmFd};

use super::{CpuState, System, exit::Seen, request, state};
use crate::{
    debug::explain::Explain,
    vmm::memory::{GuestMemory, MemoryError},
};

/// Where KVM keeps the three pages that it needs on some Intel processors: just below the
/// firmware's place at the end of 4 GiB, above all guest memory (KVM API, 4.36
/// `KVM_SET_TSS_ADDR`).
const TSS_ADDRESS: usize = 0xFFFB_D000;

const _: () = assert!(TSS_ADDRESS >= guest_abi::layout::MAX_MEMORY as usize);

/// A VM with one vCPU.
///
/// The fields are in the order in which they must be dropped: the vCPU and the VM before the
/// memory that KVM was told of.
pub struct Vcpu {
    pub(super) vcpu: VcpuFd,
    _vm: VmFd,
    memory: GuestMemory,
    initial: Initial,
    /// The guest's own trap flag while it is stepped, for which KVM sets the flag and hides it.
    pub(super) hidden_trap_flag: Option<bool>,
}

/// What of a vCPU's state a reset puts back.
#[derive(Clone, Copy)]
pub(super) struct Initial {
    general: kvm_regs,
    system: kvm_sregs,
    fpu: kvm_fpu,
    debug: kvm_debugregs,
    events: kvm_vcpu_events,
}

/// A VM without anything in it.
pub struct EmptyVm(VmFd);

/// A VM with memory and without a CPU.
///
/// The fields are in the order in which they must be dropped, as [`Vcpu`]'s are.
pub struct Vm {
    vm: VmFd,
    memory: GuestMemory,
}

impl EmptyVm {
    /// Makes a VM.
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub fn new(system: &System) -> Result<Self, VcpuError> {
        system.explain.call("KVM_CREATE_VM", "an empty VM: no memory, no CPU");
        let vm = create_vm(system)?;
        let why = "three pages that KVM needs for itself on some Intel processors";
        system.explain.call("KVM_SET_TSS_ADDR", why);
        vm.set_tss_address(TSS_ADDRESS).map_err(call("KVM_SET_TSS_ADDR"))?;
        Ok(Self(vm))
    }

    /// Tells KVM of the VM's memory.
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub fn with_memory(self, system: &System, memory: GuestMemory) -> Result<Vm, VcpuError> {
        register_memory(&self.0, &memory, system.explain)?;
        Ok(Vm { vm: self.0, memory })
    }
}

impl Vm {
    /// The VM's memory.
    pub fn memory(&self) -> &GuestMemory {
        &self.memory
    }

    /// Makes the VM's one CPU, which will start in this state.
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub fn with_vcpu(self, system: &System, state: CpuState) -> Result<Vcpu, VcpuError> {
        let Self { vm, memory } = self;
        let explain = system.explain;
        explain.call("KVM_CREATE_VCPU", "the VM's one CPU, in its state after reset, and its run structure");
        let vcpu = vm.create_vcpu(0).map_err(call("KVM_CREATE_VCPU"))?;
        explain.call("KVM_SET_CPUID2", "the guest sees the features that this CPU and KVM have");
        vcpu.set_cpuid2(&system.cpuid).map_err(call("KVM_SET_CPUID2"))?;
        let initial = system.after_reset(&vcpu)?.in_state(state);
        initial.start(&vcpu, state, explain)?;
        Ok(Vcpu { vcpu, _vm: vm, memory, initial, hidden_trap_flag: None })
    }
}

impl Vcpu {
    /// Makes a VM with this memory and one vCPU, which will start in this state.
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub fn new(system: &System, memory: GuestMemory, state: CpuState) -> Result<Self, VcpuError> {
        EmptyVm::new(system)?.with_memory(system, memory)?.with_vcpu(system, state)
    }

    /// Puts the vCPU back into the state in which it started: general, system, floating-point
    /// (x87 and SSE) and debug registers, and pending events. Model-specific registers other than
    /// those that are system registers to KVM (EFER, the APIC's base) stay as a guest left them,
    /// its time-stamp counter among them. The memory is not touched.
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub fn reset(&mut self) -> Result<(), VcpuError> {
        // What the last exit left to be completed would be completed on top of the new state.
        self.complete()?;
        self.hidden_trap_flag = self.hidden_trap_flag.map(|_| false);
        self.initial.write(&self.vcpu)
    }

    /// Completes the instruction of the last exit, which is otherwise the next entry's to do: an entry
    /// that leaves at once (KVM API, 5. "The kvm_run structure", `immediate_exit`).
    ///
    /// # Errors
    ///
    /// `KVM_RUN` failed.
    pub fn complete(&mut self) -> Result<(), VcpuError> {
        self.vcpu.set_kvm_immediate_exit(1);
        let outcome = self.vcpu.run().map(drop);
        self.vcpu.set_kvm_immediate_exit(0);
        self.hold();
        match outcome {
            Err(error) if error.errno() != libc::EINTR => Err(call("KVM_RUN")(error)),
            _ => Ok(()),
        }
    }

    /// The guest's memory.
    pub fn memory(&self) -> &GuestMemory {
        &self.memory
    }

    /// Runs the guest until it leaves.
    ///
    /// # Errors
    ///
    /// `KVM_RUN` failed for a reason that is no signal.
    pub fn run(&mut self) -> Result<Exit, VcpuError> {
        let seen = match self.vcpu.run() {
            Ok(exit) => Seen::of(exit),
            Err(error) if error.errno() == libc::EINTR => return Ok(Exit::Interrupted),
            Err(error) => return Err(call("KVM_RUN")(error)),
        };
        Ok(seen.complete(self.vcpu.get_kvm_run()))
    }

    /// Injects an interrupt, if the guest takes one now. If not, asks KVM to leave the guest with
    /// [`Exit::InterruptWindow`] as soon as it does (KVM API, 5. "The kvm_run structure",
    /// `request_interrupt_window`). Says whether it was injected.
    ///
    /// # Errors
    ///
    /// KVM refused the call.
    pub fn inject(&mut self, vector: u32) -> Result<bool, VcpuError> {
        let ready = self.is_ready();
        self.vcpu.get_kvm_run().request_interrupt_window = u8::from(!ready);
        if ready {
            interrupt(&self.vcpu, vector)?;
        }
        Ok(ready)
    }

    /// Whether the guest takes an interrupt now.
    pub fn is_ready(&mut self) -> bool {
        self.vcpu.get_kvm_run().ready_for_interrupt_injection != 0
    }

    /// No longer asks KVM to leave the guest when it takes interrupts.
    pub fn hold(&mut self) {
        self.vcpu.get_kvm_run().request_interrupt_window = 0;
    }

    /// Answers an `in` exit: every access that it stands for reads `value`, cut to its width.
    pub fn answer(&mut self, value: u32) {
        super::exit::answer(self.vcpu.get_kvm_run(), value);
    }

    /// The guest-physical address behind a guest-virtual one, if it is mapped (KVM API, 4.15
    /// `KVM_TRANSLATE`).
    pub fn translate(&self, address: u64) -> Option<u64> {
        let translation = self.vcpu.translate_gva(address).ok()?;
        (translation.valid != 0).then_some(translation.physical_address)
    }

    /// The registers, for a person to read.
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub fn description(&self) -> Result<String, VcpuError> {
        let regs = self.vcpu.get_regs().map_err(call("KVM_GET_REGS"))?;
        let sregs = self.vcpu.get_sregs().map_err(call("KVM_GET_SREGS"))?;
        Ok(state::describe(&regs, &sregs))
    }
}

impl Initial {
    /// What it is of a vCPU that is new, and so in its state after reset (Intel SDM volume 3A, 10.1.1).
    ///
    /// # Errors
    ///
    /// The KVM call that failed.
    pub(super) fn read(vcpu: &VcpuFd, explain: Explain) -> Result<Self, VcpuError> {
        explain.call("KVM_GET_REGS", "the general registers after reset; read once, of the first VM");
        let general = vcpu.get_regs().map_err(call("KVM_GET_REGS"))?;
        explain.call("KVM_GET_SREGS", "the same for the system registers, so that only some need change");
        let system = vcpu.get_sregs().map_err(call("KVM_GET_SREGS"))?;
        explain.call("KVM_GET_FPU", "and for x87 and SSE, to which a reset puts them back");
        let fpu = vcpu.get_fpu().map_err(call("KVM_GET_FPU"))?;
        explain.call("KVM_GET_DEBUGREGS", "and for the debug registers");
        let debug = vcpu.get_debug_regs().map_err(call("KVM_GET_DEBUGREGS"))?;
        explain.call("KVM_GET_VCPU_EVENTS", "and for pending events: none");
        let events = vcpu.get_vcpu_events().map_err(call("KVM_GET_VCPU_EVENTS"))?;
        Ok(Self { general, system, fpu, debug, events })
    }

    /// The same, but for what a state to start in says.
    fn in_state(&self, state: CpuState) -> Self {
        Self { general: state.regs(self.general), system: state.sregs(self.system), ..*self }
    }

    /// Puts a new vCPU into this state, from which it differs in its general and system registers only.
    fn start(&self, vcpu: &VcpuFd, state: CpuState, explain: Explain) -> Result<(), VcpuError> {
        let why = format!("segments and control registers for {} mode", state.mode.name());
        explain.call("KVM_SET_SREGS", &why);
        vcpu.set_sregs(&self.system).map_err(call("KVM_SET_SREGS"))?;
        let why = format!(
            "the first instruction at {:#x}, the stack at {:#x}, interrupts off",
            state.entry, state.stack
        );
        explain.call("KVM_SET_REGS", &why);
        vcpu.set_regs(&self.general).map_err(call("KVM_SET_REGS"))
    }

    fn write(&self, vcpu: &VcpuFd) -> Result<(), VcpuError> {
        vcpu.set_sregs(&self.system).map_err(call("KVM_SET_SREGS"))?;
        vcpu.set_regs(&self.general).map_err(call("KVM_SET_REGS"))?;
        vcpu.set_fpu(&self.fpu).map_err(call("KVM_SET_FPU"))?;
        vcpu.set_debug_regs(&self.debug).map_err(call("KVM_SET_DEBUGREGS"))?;
        vcpu.set_vcpu_events(&self.events).map_err(call("KVM_SET_VCPU_EVENTS"))
    }
}

/// Tells KVM of all memory, one slot a region.
fn register_memory(vm: &VmFd, memory: &GuestMemory, explain: Explain) -> Result<(), VcpuError> {
    for (slot, region) in (0..).zip(memory.regions()?) {
        let (start, end) = (region.guest_address, region.guest_address + region.len);
        let why = format!("our memory becomes the guest's, from {start:#x} to {end:#x}");
        explain.call("KVM_SET_USER_MEMORY_REGION", &why);
        let region = kvm_userspace_memory_region {
            slot,
            flags: 0,
            guest_phys_addr: region.guest_address,
            memory_size: region.len,
            userspace_addr: region.host_address,
        };
        // SAFETY: the range is one mapping of `memory`, which nothing else uses and which
        // outlives the VM: `Vcpu` owns both and drops the VM first.
        unsafe { vm.set_user_memory_region(region) }.map_err(call("KVM_SET_USER_MEMORY_REGION"))?;
    }
    Ok(())
}

/// Makes a VM. It takes the kernel a while, and a signal meanwhile is no reason to give up.
fn create_vm(system: &System) -> Result<VmFd, VcpuError> {
    loop {
        match system.kvm.create_vm() {
            Err(error) if error.errno() == libc::EINTR => {}
            outcome => return outcome.map_err(call("KVM_CREATE_VM")),
        }
    }
}

/// Queues an interrupt for the next entry (KVM API, 4.16 `KVM_INTERRUPT`), for which kvm-ioctls has no call.
fn interrupt(vcpu: &VcpuFd, vector: u32) -> Result<(), VcpuError> {
    let interrupt = kvm_interrupt { irq: vector };
    // SAFETY: the file is a vCPU's, and the call reads one structure of that type.
    match unsafe { libc::ioctl(vcpu.as_raw_fd(), request::INTERRUPT, &raw const interrupt) } {
        0 => Ok(()),
        _ => Err(VcpuError::Call { call: "KVM_INTERRUPT", source: io::Error::last_os_error() }),
    }
}

/// Names the KVM call that an error comes from.
pub(super) fn call(name: &'static str) -> impl Fn(kvm_ioctls::Error) -> VcpuError {
    move |error| VcpuError::Call { call: name, source: error.into() }
}

/// KVM refused something that our own set-up asked for.
#[derive(Debug, thiserror::Error)]
pub enum VcpuError {
    /// A call failed.
    #[error("{call} failed: {source}")]
    Call {
        /// The call's name.
        call: &'static str,
        /// The system's own error.
        source: io::Error,
    },
    /// The guest's memory could not be reached.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}
