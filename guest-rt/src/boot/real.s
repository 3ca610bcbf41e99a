# Step 1, all modes: from the first instruction to a known state in real mode.
#
# The host starts here, at the image's ELF entry, in 16-bit real mode: CS base 0,
# IP = _start, interrupts off, other registers undefined. The linker puts this
# code at IMAGE_BASE, below 64 KiB. constants.s defines the names in capitals.

.section .boot16, "ax"
.code16
.global _start
_start:
    cli                                 # no interrupts until the guest enables them
    cld                                 # string instructions count upwards

    # Set all segments to 0, so that an address is its own offset (SDM 3A, 21.1.1).
    xorw    %ax, %ax
    movw    %ax, %ds
    movw    %ax, %es
    movw    %ax, %ss

    # Load the vector table of the mode that this guest is built for. Until the switch to that mode no
    # instruction may fault. (After reset the CPU's table is at 0, where this guest has no memory.)
    lidtl   trap_table_pointer

    # Set the stack: from STACK_TOP down, with the guard page below it.
    movl    $STACK_TOP, %esp
