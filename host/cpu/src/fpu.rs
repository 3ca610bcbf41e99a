//! The x87 and SSE registers, and model-specific registers.

/// The x87 and SSE registers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FpuState {
    /// ST0 to ST7: ten bytes each, the others are 0.
    pub st: [[u8; 16]; 8],
    /// XMM0 to XMM15.
    pub xmm: [[u8; 16]; 16],
    /// The x87 control word.
    pub control: u16,
    /// The x87 status word.
    pub status: u16,
    /// The abridged tag word: one bit for each x87 register that is in use (Intel SDM volume 1, 10.5.1).
    pub tags: u8,
    /// The opcode of the last x87 instruction.
    pub opcode: u16,
    /// The address of the last x87 instruction.
    pub instruction: u64,
    /// The address of the last x87 operand.
    pub operand: u64,
    /// MXCSR: control and status of SSE.
    pub mxcsr: u32,
}

impl FpuState {
    /// Returns the state after `fninit` (Intel SDM volume 3A, table 10-1), in which KVM creates a vCPU. The control word
    /// after a reset of the hardware is 0x40.
    pub const fn reset() -> Self {
        Self {
            st: [[0; 16]; 8],
            xmm: [[0; 16]; 16],
            control: 0x37F,
            status: 0,
            tags: 0,
            opcode: 0,
            instruction: 0,
            operand: 0,
            mxcsr: 0x1F80,
        }
    }
}

impl Default for FpuState {
    fn default() -> Self {
        Self::reset()
    }
}

/// Model-specific registers (Intel SDM volume 4, 2.1). Those that are registers elsewhere are not here: IA32_EFER, and
/// the bases of FS and GS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Msrs {
    /// IA32_STAR: selectors of SYSCALL and SYSRET.
    pub star: u64,
    /// IA32_LSTAR: the entry of SYSCALL from 64-bit code.
    pub lstar: u64,
    /// IA32_CSTAR: the entry of SYSCALL from compatibility mode, on AMD's CPUs.
    pub cstar: u64,
    /// IA32_FMASK: the flags that SYSCALL clears.
    pub fmask: u64,
    /// IA32_KERNEL_GS_BASE: the value that SWAPGS exchanges.
    pub kernel_gs_base: u64,
    /// IA32_SYSENTER_CS.
    pub sysenter_cs: u64,
    /// IA32_SYSENTER_ESP.
    pub sysenter_esp: u64,
    /// IA32_SYSENTER_EIP.
    pub sysenter_eip: u64,
    /// IA32_TSC_AUX: the value that RDTSCP returns in ECX.
    pub tsc_aux: u64,
}
