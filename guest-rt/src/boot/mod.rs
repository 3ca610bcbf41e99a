//! The boot, from the first instruction to the `main` function that
//! [`entry!`](crate::entry) names, and the boot information of this VM: [`info`]. No exit.
//!
//! 1. The host starts the image at its ELF entry, in 16-bit real mode with CS base 0.
//! 2. The boot assembly sets up segments and stack, switches to the mode that
//!    the guest is built for ([`MODE`]) in one step per file, and clears `.bss`.
//! 3. The Rust entry checks that a Guestlab host wrote the boot information, and calls the
//!    function that [`entry!`](crate::entry) named. Its return value becomes the exit status.

use guest_abi::{boot::BootInfo, layout, mode::CpuMode};

#[cfg_attr(
    not(target_os = "none"),
    expect(dead_code, unused_imports, unused_macros, reason = "the boot code is the guest's")
)]
mod start;

/// The CPU mode that this guest is built for and runs in, from `--mode` at build time.
pub const MODE: CpuMode = if cfg!(guestlab_mode = "real") {
    CpuMode::Real
} else if cfg!(guestlab_mode = "paged") {
    CpuMode::Paged
} else if cfg!(guestlab_mode = "long") {
    CpuMode::Long
} else {
    CpuMode::Protected
};

/// Returns the boot information from the host: the VM's memory, number and seed.
pub fn info() -> BootInfo {
    // SAFETY: BOOT_INFO is the address of a page of this guest's memory (guest_abi::layout).
    // Only the host writes it, and only before the guest's first instruction, so it does not
    // change. A caller that uses one field reads only that field.
    unsafe { core::ptr::with_exposed_provenance::<BootInfo>(layout::BOOT_INFO as usize).read() }
}

/// Names the guest's main function: a function without parameters that returns `()`, an
/// [`ExitStatus`](crate::exit::ExitStatus), or a `Result` of these. Every guest has exactly one.
///
/// ```ignore
/// guest_rt::entry!(main);
///
/// fn main() -> guest_rt::exit::ExitStatus {
///     guest_rt::exit::ExitStatus(7)
/// }
/// ```
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        // If one module has two, the compiler reports that this name is defined twice.
        #[unsafe(export_name = "__guestlab_main")]
        #[allow(unreachable_code, reason = "a main function may be one that does not return")]
        extern "Rust" fn a_guest_has_only_one_entry() -> $crate::exit::ExitStatus {
            $crate::exit::Termination::status($crate::boot::main_without_parameters($main)())
        }
    };
    ($($other:tt)*) => {
        ::core::compile_error!(
            "`entry!` takes the name of the guest's main function: `guest_rt::entry!(main);`"
        );
    };
}

/// Checks the type of the main function. The compiler
/// shows this line for a function that has parameters.
#[doc(hidden)]
pub fn main_without_parameters<T>(main: fn() -> T) -> fn() -> T {
    main
}
