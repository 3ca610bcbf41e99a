# From the host's first instruction to Rust.
#
# The host jumps here, to the image's ELF entry, in 16-bit real mode: CS base 0, IP = _start,
# interrupts off, the other registers not to be relied on. The linker puts this at IMAGE_BASE,
# below 64 KiB. Values in braces are const operands: guest_abi and the x86_64 crate name them.

.section .boot16, "ax"
.code16
.global _start
_start:
    cli                                 # no interrupt: there is no vector table yet
    cld                                 # string instructions count upwards

    # The data segment must be at 0 for the load below.
    xorw    %ax, %ax
    movw    %ax, %ds

    # Tell the CPU where the segment descriptors are (SDM 3A, 2.4.1).
    lgdtl   gdt_pointer

    # Protected mode on (SDM 3A, 9.9.1 "Switching to Protected Mode").
    movl    %cr0, %eax
    orl     ${protected_mode}, %eax
    movl    %eax, %cr0

    # The far jump loads CS with a 32-bit segment, and with it 32-bit decoding begins.
    ljmpl   ${code_selector}, $protected

    .p2align 2
gdt:
    .quad   0                           # the null descriptor, required (SDM 3A, 3.5.1)
    .quad   {code_descriptor}
    .quad   {data_descriptor}
gdt_pointer:
    .word   gdt_pointer - gdt - 1       # limit: the offset of the table's last byte
    .long   gdt

.section .boot, "ax"
.code32
protected:
    # All data segments flat; the stack from STACK_TOP down, with the guard page below it.
    movw    ${data_selector}, %ax
    movw    %ax, %ds
    movw    %ax, %es
    movw    %ax, %fs
    movw    %ax, %gs
    movw    %ax, %ss
    movl    ${stack_top}, %esp

    # Clear .bss, a word at a time (the linker script aligns it).
    movl    $__bss_start, %edi
    movl    $__bss_end, %ecx
    subl    %edi, %ecx
    shrl    $2, %ecx
    xorl    %eax, %eax
    rep stosl

    xorl    %ebp, %ebp                  # the outermost frame
    call    {rust_entry}                # never returns
    ud2
