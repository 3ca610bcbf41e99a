//! Handlers of exceptions and of the timer's interrupt, for C.

use core::sync::atomic::{AtomicPtr, Ordering};

use guest_rt::{
    abi::trap::{TIMER, VECTORS},
    traps::{self, Exception, Trap, Vector},
};

/// A handler in C.
type Handler = extern "C" fn(&mut Trap);

/// The handlers, by vector; null if there is none.
static HANDLERS: [AtomicPtr<()>; VECTORS as usize] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; VECTORS as usize];

/// Panics for a number that is no vector.
#[unsafe(no_mangle)]
extern "C" fn guestlab_set_handler(vector: u32, handler: Handler) {
    let known = match vector {
        TIMER => Vector::Timer,
        _ => Vector::Exception(Exception::try_from(vector).expect("a vector of guestlab_abi.h")),
    };
    HANDLERS[vector as usize].store(handler as *mut (), Ordering::Relaxed);
    traps::set_handler(known, call);
}

/// Calls the handler of a trap's vector.
fn call(trap: &mut Trap) {
    let handler = HANDLERS[trap.vector() as usize].load(Ordering::Relaxed);
    // SAFETY: this handler was stored before `call` was set for its vector, from a function of this type.
    let handler = unsafe { core::mem::transmute::<*mut (), Handler>(handler) };
    handler(trap);
}

#[unsafe(no_mangle)]
extern "C" fn guestlab_frame_address(frame: &Trap) -> usize {
    frame.instruction_pointer()
}

/// # Safety
///
/// As for [`Trap::set_instruction_pointer`].
#[unsafe(no_mangle)]
unsafe extern "C" fn guestlab_frame_set_address(frame: &mut Trap, address: usize) {
    // SAFETY: the caller's promise.
    unsafe { frame.set_instruction_pointer(address) }
}
