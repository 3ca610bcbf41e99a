//! The boot assembly, the image's note, and the Rust entry. Only a guest has a mode, and
//! with it the assembly. The rest also compiles for a host, so that editors know it.
//!
//! Each mode's boot is the previous mode's boot plus one step:
//!
//! | mode | steps | traps |
//! | --- | --- | --- |
//! | real | `real.s`, `clear_bss.s` | `trap16.s` |
//! | protected | `real.s`, `protected.s`, `clear_bss.s` | `trap32.s` |
//! | paged | `real.s`, `protected.s`, `clear_bss.s`, `paged.s` | `trap32.s` |
//! | long | `real.s`, `protected.s`, `clear_bss.s`, `long.s` | `trap64.s` |
//!
//! Each boot ends with the call of [`rust_entry`]. Behind it are the vectors, `traps.s`, and
//! the mode's own handling of traps. Section numbers of the Intel SDM are those of June 2023.

use core::arch::global_asm;

use guest_abi::{
    boot, layout,
    mode::CpuMode,
    note::Note,
    trap::{self, Exception},
};
use x86_64::{
    registers::control::{Cr0Flags, Cr4Flags, EferFlags},
    structures::paging::{PageSize, PageTableFlags, Size2MiB},
};

use crate::{
    exit::{self, ExitStatus},
    gdt, traps,
};

/// A page-table entry that points to a table of the next level.
const TABLE: PageTableFlags = PageTableFlags::PRESENT.union(PageTableFlags::WRITABLE);

/// A page-table entry that maps a large page: 4 MiB with 32-bit paging, 2 MiB with 4-level paging.
const LARGE_PAGE: PageTableFlags = TABLE.union(PageTableFlags::HUGE_PAGE);

/// The size of a large page with 32-bit paging; the `x86_64` crate has no name for it.
const SIZE_4M: u64 = 2 * Size2MiB::SIZE;

/// The number of the model-specific register EFER (SDM 4, table 2-2).
const EFER: u32 = 0xC000_0080;

/// The third word of an interrupt gate: present, kernel privilege, type interrupt gate (SDM 3A, 6.11).
const INTERRUPT_GATE: u16 = 1 << 15 | 0b1110 << 8;

/// The vectors for which the CPU pushes an error code: none in real mode.
const VECTORS_WITH_ERROR_CODE: u32 = match super::MODE {
    CpuMode::Real => 0,
    _ => Exception::WITH_ERROR_CODE,
};

/// Assembles the steps of a boot with all their numbers, the call of Rust, and the vectors. For
/// debuggers the return address, in the named register, is undefined: the boot has no caller.
macro_rules! boot {
    ([$($step:literal),+], $call:literal, $ip:literal, $trap:literal) => {
        global_asm!(
            include_str!("constants.s"),
            $(include_str!($step),)+
            ".cfi_startproc",
            concat!(".cfi_undefined %", $ip),
            concat!($call, " {rust_entry}"),
            ".cfi_endproc",
            include_str!($trap),
            include_str!("traps.s"),
            stack_top = const layout::STACK_TOP,
            protected_mode = const Cr0Flags::PROTECTED_MODE_ENABLE.bits(),
            paging = const Cr0Flags::PAGING.bits(),
            page_size_extension = const Cr4Flags::PAGE_SIZE_EXTENSION.bits(),
            physical_address_extension = const Cr4Flags::PHYSICAL_ADDRESS_EXTENSION.bits(),
            efer_msr = const EFER,
            long_mode_enable = const EferFlags::LONG_MODE_ENABLE.bits(),
            code32_selector = const gdt::CODE32.selector,
            code64_selector = const gdt::CODE64.selector,
            data_selector = const gdt::DATA.selector,
            code32_descriptor = const gdt::CODE32.descriptor,
            code64_descriptor = const gdt::CODE64.descriptor,
            data_descriptor = const gdt::DATA.descriptor,
            page_entry = const LARGE_PAGE.bits(),
            table_entry = const TABLE.bits(),
            page_size_4m = const SIZE_4M,
            page_size_2m = const Size2MiB::SIZE,
            long_mode = const (super::MODE as u32 == CpuMode::Long as u32) as u8,
            tss_selector = const gdt::TSS_SELECTOR,
            tss_attributes = const gdt::TSS_ATTRIBUTES,
            tss_size = const gdt::TSS_SIZE,
            tss_stack_1 = const gdt::TSS_STACK_1,
            trap_stack_size = const traps::STACK_SIZE,
            vectors = const trap::VECTORS,
            exceptions = const trap::EXCEPTIONS,
            vectors_with_error_code = const VECTORS_WITH_ERROR_CODE,
            interrupt_gate = const INTERRUPT_GATE,
            rust_entry = sym rust_entry,
            trap_entry = sym traps::entry,
            options(att_syntax),
        );
    };
}

#[cfg(guestlab_mode = "real")]
boot!(["real.s", "clear_bss.s"], "calll", "eip", "trap16.s");

// For the linker script: all of this image must lie within the reach of 16-bit code.
#[cfg(guestlab_mode = "real")]
global_asm!(".global all_below_64k", ".set all_below_64k, 1");

#[cfg(guestlab_mode = "protected")]
boot!(["real.s", "protected.s", "clear_bss.s"], "calll", "eip", "trap32.s");

#[cfg(guestlab_mode = "paged")]
boot!(["real.s", "protected.s", "clear_bss.s", "paged.s"], "calll", "eip", "trap32.s");

#[cfg(guestlab_mode = "long")]
boot!(["real.s", "protected.s", "clear_bss.s", "long.s"], "callq", "rip", "trap64.s");

/// The image's ABI note. The linker script keeps it, and the host reads it from the file.
#[used]
#[unsafe(link_section = ".note.guestlab")]
static NOTE: Note = Note::new(super::MODE);

unsafe extern "Rust" {
    /// The function that the guest's [`entry!`](crate::entry) defines.
    safe fn __guestlab_main() -> ExitStatus;
}

/// Starts the guest's `main`; the boot assembly calls it once, on the guest's stack, with `.bss` cleared.
extern "C" fn rust_entry() -> ! {
    assert!(super::info().magic == boot::MAGIC, "no Guestlab host started this guest");
    exit::exit(__guestlab_main())
}
