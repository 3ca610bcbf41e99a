//! The boot assembly, the image's note, and the Rust entry. Only inside a guest.
//!
//! Each mode's boot is the one before and a step more:
//!
//! | mode | steps |
//! | --- | --- |
//! | real | `real.s`, `clear_bss.s` |
//! | protected | `real.s`, `protected.s`, `clear_bss.s` |
//! | paged | `real.s`, `protected.s`, `clear_bss.s`, `paged.s` |
//! | long | `real.s`, `protected.s`, `clear_bss.s`, `long.s` |
//!
//! and then the call of [`rust_entry`]. Section numbers of the Intel SDM are those of June 2023.

use core::arch::global_asm;

use guest_abi::{boot, layout, note::Note};
use x86_64::{
    registers::control::{Cr0Flags, Cr4Flags, EferFlags},
    structures::paging::{PageSize, PageTableFlags, Size2MiB},
};

use crate::{
    exit::{self, ExitStatus},
    gdt,
};

/// An entry that names a page table of the next level.
const TABLE: PageTableFlags = PageTableFlags::PRESENT.union(PageTableFlags::WRITABLE);

/// An entry that maps a large page: 4 MiB with 32-bit paging, 2 MiB with 4-level paging.
const LARGE_PAGE: PageTableFlags = TABLE.union(PageTableFlags::HUGE_PAGE);

/// The size of a large page with 32-bit paging, for which the `x86_64` crate has no name.
const SIZE_4M: u64 = 2 * Size2MiB::SIZE;

/// The number of the model-specific register EFER (SDM 4, table 2-2).
const EFER: u32 = 0xC000_0080;

/// Assembles the steps of a boot, with all their numbers, and the call of Rust.
macro_rules! boot {
    ([$($step:literal),+], $call:literal) => {
        global_asm!(
            include_str!("constants.s"),
            $(include_str!($step),)+
            concat!($call, " {rust_entry}"),
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
            rust_entry = sym rust_entry,
            options(att_syntax),
        );
    };
}

#[cfg(guestlab_mode = "real")]
boot!(["real.s", "clear_bss.s"], "calll");

// For the linker script: all of this image must lie where 16-bit code reaches.
#[cfg(guestlab_mode = "real")]
global_asm!(".global all_below_64k", ".set all_below_64k, 1");

#[cfg(guestlab_mode = "protected")]
boot!(["real.s", "protected.s", "clear_bss.s"], "calll");

#[cfg(guestlab_mode = "paged")]
boot!(["real.s", "protected.s", "clear_bss.s", "paged.s"], "calll");

#[cfg(guestlab_mode = "long")]
boot!(["real.s", "protected.s", "clear_bss.s", "long.s"], "callq");

/// The image's ABI note. The linker script keeps it; the host reads it from the file.
#[used]
#[unsafe(link_section = ".note.guestlab")]
static NOTE: Note = Note::new(super::MODE);

unsafe extern "Rust" {
    /// What the guest's [`entry!`](crate::entry) defines.
    safe fn __guestlab_main() -> ExitStatus;
}

/// Called by the boot assembly, once, on the guest's stack, with `.bss` cleared.
extern "C" fn rust_entry() -> ! {
    assert!(super::info().magic == boot::MAGIC, "no Guestlab host started this guest");
    exit::exit(__guestlab_main())
}
