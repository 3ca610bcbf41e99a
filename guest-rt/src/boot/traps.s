# Traps, all modes: the table of vectors, which step 1 tells the CPU of, and a stub for each. The CPU
# jumps to a vector's stub with interrupts off, having pushed what it will need to return: the flags,
# CS and IP, and with some exceptions an error code. A stub makes that an error code always, and adds
# the vector. `gate`, `push_word` and the code at `trap` are the mode's: see the file before this one.
#
# The linker puts all this below 64 KiB, so that a gate has the whole address in its first word, and
# nothing is left to be computed while the guest boots.

.section .traps.table, "a"
.p2align 3
trap_table:

.section .traps, "ax"
.set vector, 0
.rept VECTORS
    .pushsection .traps.table, "a"
    gate    1f
    .popsection
1:
    .ifeq   (VECTORS_WITH_ERROR_CODE >> vector) & 1
    push_word 0
    .endif
    push_word vector
    jmp     trap
    .set    vector, vector + 1
.endr

.section .traps.table, "a"
trap_table_pointer:
    .word   trap_table_pointer - trap_table - 1     # limit: the offset of the table's last byte
    .long   trap_table
