//! The boot assembly, the image's note, and the Rust entry. Only inside a guest.

use core::arch::global_asm;

use guest_abi::{boot, layout, mode::CpuMode, note::Note};
use x86_64::registers::control::Cr0Flags;

use crate::{
    exit::{self, ExitStatus},
    gdt,
};

global_asm!(
    include_str!("protected.s"),
    protected_mode = const Cr0Flags::PROTECTED_MODE_ENABLE.bits(),
    code_descriptor = const gdt::CODE32,
    data_descriptor = const gdt::DATA,
    code_selector = const gdt::CODE32_SELECTOR,
    data_selector = const gdt::DATA_SELECTOR,
    stack_top = const layout::STACK_TOP,
    rust_entry = sym rust_entry,
    options(att_syntax),
);

/// The image's ABI note. The linker script keeps it; the host reads it from the file.
#[used]
#[unsafe(link_section = ".note.guestlab")]
static NOTE: Note = Note::new(CpuMode::Protected);

unsafe extern "Rust" {
    /// What the guest's [`entry!`](crate::entry) defines.
    safe fn __guestlab_main() -> ExitStatus;
}

/// Called by the boot assembly, once, on the guest's stack, with `.bss` cleared.
extern "C" fn rust_entry() -> ! {
    assert!(super::info().magic == boot::MAGIC, "no Guestlab host started this guest");
    exit::exit(__guestlab_main())
}
