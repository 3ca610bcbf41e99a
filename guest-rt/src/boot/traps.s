# Traps, all modes: the vector table, which step 1 loads, and a stub for each vector. The CPU jumps to a
# vector's stub with interrupts off. Before that it pushes the state for the return: the flags, CS and
# IP, and for some exceptions an error code. A stub pushes 0 if there is no error code, and then the
# vector. Each mode defines `gate`, `push_word` and the code at `trap`: see the file before this one.
#
# The linker puts all this below 64 KiB, so that a gate has the whole
# address in its first word. The boot has no address to compute.

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
