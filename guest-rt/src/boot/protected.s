# Step 2, all modes except real: from real mode to 32-bit protected mode
# (SDM 3A, 10.9.1 "Switching to Protected Mode"). It follows step 1.

    # Load the table of segment descriptors (SDM 3A, 2.4.1).
    lgdtl   gdt_pointer

    # Enable protected mode.
    movl    %cr0, %eax
    orl     $CR0_PROTECTED_MODE, %eax
    movl    %eax, %cr0

    # The far jump loads CS with a 32-bit segment, which starts 32-bit decoding.
    ljmpl   $CODE32_SELECTOR, $protected

    .p2align 3
gdt:
    .quad   0                           # the null descriptor, required (SDM 3A, 3.5.1)
    .quad   CODE32_DESCRIPTOR
    .quad   DATA_DESCRIPTOR
    .quad   CODE64_DESCRIPTOR
    .if     LONG_MODE                   # a task-state segment, of 16 bytes (SDM 3A, 8.2.3)
    .word   TSS_SIZE - 1, tss
    .long   TSS_ATTRIBUTES
    .quad   0
    .endif
gdt_pointer:
    .word   gdt_pointer - gdt - 1       # limit: the offset of the table's last byte
    .long   gdt

.section .boot, "ax"
.code32
protected:
    # Set data segments that reach all of memory; the stack pointer stays.
    movw    $DATA_SELECTOR, %ax
    movw    %ax, %ds
    movw    %ax, %es
    movw    %ax, %fs
    movw    %ax, %gs
    movw    %ax, %ss
