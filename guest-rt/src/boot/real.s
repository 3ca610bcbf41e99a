# Step 1, all modes: from the host's first instruction to a known state in real mode.
#
# The host jumps here, to the image's ELF entry, in 16-bit real mode: CS base 0, IP = _start,
# interrupts off, the other registers not to be relied on. The linker puts this at IMAGE_BASE,
# below 64 KiB. Names in capitals are those of constants.s.

.section .boot16, "ax"
.code16
.global _start
_start:
    cli                                 # no interrupt until the guest wants one
    cld                                 # string instructions count upwards

    # All segments at 0: an address is its own offset (SDM 3A, 21.1.1).
    xorw    %ax, %ax
    movw    %ax, %ds
    movw    %ax, %es
    movw    %ax, %ss

    # The table of vectors: the mode's that this guest is built for, so that until the switch to it
    # nothing may fault. (The table of a CPU after reset is at 0, where this guest has no memory.)
    lidtl   trap_table_pointer

    # The stack from STACK_TOP down, with the guard page below it.
    movl    $STACK_TOP, %esp
