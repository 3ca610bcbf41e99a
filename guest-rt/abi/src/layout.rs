//! The guest-physical memory map of a guest that uses `guest-rt`.
//!
//! ```text
//! 0x0000_0000 ┌──────────────────────────────┐
//!             │ null page: no memory         │  a null pointer causes an exit
//! 0x0000_1000 ├──────────────────────────────┤  BOOT_INFO
//!             │ boot information, arguments, │  written by the host before the first instruction;
//!             │ text of the exit counts      │  the text on request
//! 0x0000_2000 ├──────────────────────────────┤  STACK_GUARD
//!             │ stack guard: no memory       │  a stack overflow causes an exit
//! 0x0000_3000 ├──────────────────────────────┤  STACK_BOTTOM
//!             │ stack, 16 KiB, grows down    │
//! 0x0000_7000 ├──────────────────────────────┤  STACK_TOP = IMAGE_BASE
//!             │ image: 16-bit entry, text,   │
//!             │ read-only data, data, .bss   │
//!             ├──────────────────────────────┤  the image's end, known to the linker
//!             │ free memory                  │
//! 0x0020_0000 └──────────────────────────────┘  DEFAULT_MEMORY, or the value of --memory
//! ```
//!
//! The two pages without memory work in every CPU mode and need no paging: an access
//! there is an MMIO exit (KVM API, 5. "The kvm_run structure", `KVM_EXIT_MMIO`), and
//! the host reports its cause. Everything that real mode needs lies below 64 KiB.

/// The size of a page in bytes, and the smallest size of a hole in memory.
pub const PAGE_SIZE: u32 = 0x1000;

/// The address of [`BootInfo`](crate::boot::BootInfo).
pub const BOOT_INFO: u32 = 0x1000;

/// The address of the guest's [arguments](crate::arguments):
/// behind the boot information, in the same page.
pub const ARGUMENTS: u32 = BOOT_INFO + 0x100;

/// The most bytes of arguments, including the NUL of each.
pub const MAX_ARGUMENTS_SIZE: u32 = EXIT_TEXT - ARGUMENTS;

/// The address of the text for [`Port::ExitText`](crate::port::Port::ExitText):
/// behind the arguments, in the same page.
pub const EXIT_TEXT: u32 = BOOT_INFO + 0x800;

/// The guard page below the stack, which has no memory.
pub const STACK_GUARD: u32 = BOOT_INFO + PAGE_SIZE;

/// The lowest address of the stack.
pub const STACK_BOTTOM: u32 = STACK_GUARD + PAGE_SIZE;

/// The stack's size in bytes.
pub const STACK_SIZE: u32 = 0x4000;

/// The initial stack pointer: one past the stack's highest byte.
pub const STACK_TOP: u32 = STACK_BOTTOM + STACK_SIZE;

/// The address that images are linked to. Their segments lie at or above it.
pub const IMAGE_BASE: u32 = STACK_TOP;

/// One past the last byte that 16-bit code reaches with segment base 0. A
/// real-mode entry, and an entire image that stays in real mode, lie below.
pub const REAL_MODE_END: u32 = 0x1_0000;

/// The default size of a guest's memory in bytes, including holes.
pub const DEFAULT_MEMORY: u32 = 0x20_0000;

/// The largest size of a guest's memory in bytes. Above this address KVM has its
/// own pages, and real machines have devices (KVM API, 4.36 `KVM_SET_TSS_ADDR`).
pub const MAX_MEMORY: u32 = 0xC000_0000;

const _: () = assert!(BOOT_INFO.is_multiple_of(PAGE_SIZE));
const _: () = assert!(size_of::<crate::boot::BootInfo>() <= (ARGUMENTS - BOOT_INFO) as usize);
const _: () = assert!(ARGUMENTS < EXIT_TEXT && EXIT_TEXT < BOOT_INFO + PAGE_SIZE);
const _: () = assert!(STACK_SIZE.is_multiple_of(PAGE_SIZE));
const _: () = assert!(IMAGE_BASE < REAL_MODE_END);
const _: () = assert!(REAL_MODE_END < DEFAULT_MEMORY);
