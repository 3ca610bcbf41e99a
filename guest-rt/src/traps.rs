//! Traps: exceptions of the CPU, and interrupts from the host.
//!
//! A trap without a handler ends the guest: one exit reports it to the
//! host, with its registers. Handlers are for guests that repair a fault,
//! or that use the [`timer`](crate::timer). A handler costs no exit:
//!
//! ```ignore
//! traps::set_handler(Vector::Exception(Exception::DivideError), |trap| {
//!     println!("a division at {:#x} went wrong", trap.instruction_pointer());
//!     exit(ExitStatus::FAILURE)
//! });
//! ```
//!
//! Handlers run with interrupts off, and between any two instructions of the guest. Data that they
//! share with the guest must be in atomics, or behind a [`Lock`](crate::lock::Lock). They may print.
//! In long mode the handler of an exception has 4 KiB of stack; in the other modes it uses the rest
//! of the guest's stack. An exception in the handler of an exception ends the guest with a report.

use core::{
    arch::asm,
    sync::atomic::{AtomicBool, AtomicPtr, Ordering},
};

pub use guest_abi::trap::Exception;
use guest_abi::{
    block,
    trap::{EXCEPTIONS, TIMER, VECTORS},
};

use crate::hypercall;

/// The size in bytes of long mode's stack for exceptions.
#[cfg_attr(not(target_os = "none"), expect(dead_code, reason = "the boot code is the guest's"))]
pub(crate) const STACK_SIZE: u32 = 0x1000;

/// A trap that can have a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vector {
    /// An exception of the CPU.
    Exception(Exception),
    /// The interrupt of the [`timer`](crate::timer).
    Timer,
}

impl Vector {
    const fn index(self) -> usize {
        match self {
            Self::Exception(exception) => exception as usize,
            Self::Timer => TIMER as usize,
        }
    }
}

/// A function that handles a trap. When it returns, the guest continues at the interrupted instruction.
/// Most exceptions interrupt the instruction that raised them, which then raises them again.
pub type Handler = fn(&mut Trap);

/// The handlers, by vector; null if there is none.
static HANDLERS: [AtomicPtr<()>; VECTORS as usize] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; VECTORS as usize];

/// Sets the handler of a trap, and replaces an earlier one. No exit.
pub fn set_handler(vector: Vector, handler: Handler) {
    HANDLERS[vector.index()].store(handler as *mut (), Ordering::Relaxed);
}

/// A trap and the interrupted state, in the stack
/// layout of `boot/traps.s` and the mode's own file.
#[repr(C)]
#[cfg_attr(guestlab_mode = "real", repr(packed(2)))]
pub struct Trap {
    /// In reverse order of the registers' numbers.
    general: [usize; GENERAL],
    vector: usize,
    error_code: usize,
    ip: Word,
    cs: Word,
    flags: Word,
    #[cfg(target_pointer_width = "64")]
    sp: Word,
    #[cfg(target_pointer_width = "64")]
    ss: Word,
}

/// The number of general registers.
const GENERAL: usize = if cfg!(target_pointer_width = "64") { 16 } else { 8 };

/// The size of the words that the CPU pushes.
#[cfg(guestlab_mode = "real")]
type Word = u16;
#[cfg(not(guestlab_mode = "real"))]
type Word = usize;

impl Trap {
    /// Returns the number of the vector: an [`Exception`], or [`TIMER`].
    pub fn vector(&self) -> u32 {
        u32::try_from(self.vector).unwrap_or(u32::MAX)
    }

    /// Returns the error code, if the CPU pushed one (SDM 3A, 6.13 and, for page faults, 4.7).
    pub fn error_code(&self) -> Option<usize> {
        // The vector of an interrupt exceeds the number of bits.
        let bit = 1_u32.checked_shl(self.vector()).unwrap_or(0);
        let has_one = cfg!(not(guestlab_mode = "real")) && Exception::WITH_ERROR_CODE & bit != 0;
        has_one.then_some(self.error_code)
    }

    /// Returns the address of the interrupted instruction. For most exceptions it
    /// is the one that raised the exception, for interrupts the next one to run.
    #[cfg_attr(
        not(guestlab_mode = "real"),
        expect(clippy::useless_conversion, reason = "in real mode it is narrower")
    )]
    pub fn instruction_pointer(&self) -> usize {
        self.ip.into()
    }

    /// Sets the address at which the guest continues when the handler returns.
    ///
    /// # Safety
    ///
    /// The address must be that of an instruction of this guest,
    /// which can run with the interrupted registers and stack.
    pub unsafe fn set_instruction_pointer(&mut self, address: usize) {
        #[cfg_attr(
            guestlab_mode = "real",
            expect(clippy::cast_possible_truncation, reason = "code in real mode lies below 64 KiB")
        )]
        let address = address as Word;
        self.ip = address;
    }

    /// Returns the address of the last page fault: CR2.
    pub fn fault_address(&self) -> usize {
        let address: usize;
        // SAFETY: reads a register.
        unsafe { asm!("mov {}, cr2", out(reg) address, options(nomem, nostack, preserves_flags)) };
        address
    }

    /// Ends the guest with the same report as a trap without a handler. One exit.
    pub fn report(&self) -> ! {
        let (mut general, registers) = ([0; 16], self.general);
        for (register, saved) in general.iter_mut().zip(registers.into_iter().rev()) {
            *register = saved as u64;
        }
        general[block::Trap::STACK_POINTER] = self.stack_pointer() as u64;
        hypercall::trap(&block::Trap {
            vector: self.vector(),
            has_error_code: self.error_code().is_some().into(),
            error_code: self.error_code as u64,
            cr2: self.fault_address() as u64,
            ip: self.ip as u64,
            flags: self.flags as u64,
            cs: self.cs as u64,
            ss: self.stack_segment(),
            general,
        })
    }

    #[cfg(target_pointer_width = "64")]
    fn stack_pointer(&self) -> usize {
        self.sp
    }

    /// The stack pointer was at the end of the words that the CPU pushed.
    #[cfg(not(target_pointer_width = "64"))]
    fn stack_pointer(&self) -> usize {
        core::ptr::from_ref(self).addr() + size_of::<Self>()
    }

    #[cfg(target_pointer_width = "64")]
    fn stack_segment(&self) -> u64 {
        self.ss as u64
    }

    /// The stack segment never changes.
    #[cfg(not(target_pointer_width = "64"))]
    fn stack_segment(&self) -> u64 {
        let selector: u16;
        // SAFETY: reads a register.
        unsafe { asm!("mov {:x}, ss", out(reg) selector, options(nomem, nostack, preserves_flags)) };
        selector.into()
    }
}

/// Set while the handler of an exception runs.
static HANDLING: AtomicBool = AtomicBool::new(false);

/// Handles a trap; the boot assembly calls it, with interrupts off.
#[cfg_attr(not(target_os = "none"), expect(dead_code, reason = "the boot code is the guest's"))]
pub(crate) extern "C" fn entry(trap: &mut Trap) {
    let handler = HANDLERS.get(trap.vector).map_or(core::ptr::null_mut(), |it| it.load(Ordering::Relaxed));
    if handler.is_null() {
        trap.report();
    }
    // SAFETY: `set_handler` stored every non-null pointer, from a pointer of this type.
    let handler = unsafe { core::mem::transmute::<*mut (), Handler>(handler) };
    if trap.vector >= EXCEPTIONS as usize {
        return handler(trap);
    }
    // In long mode the first exception's registers are already lost, because all exceptions share one stack.
    if HANDLING.swap(true, Ordering::Relaxed) {
        trap.report();
    }
    handler(trap);
    HANDLING.store(false, Ordering::Relaxed);
}
