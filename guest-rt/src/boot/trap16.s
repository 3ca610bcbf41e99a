# The common part of the stubs (traps.s) in real mode. The CPU has pushed the flags, CS and IP,
# 16 bits each, on the interrupted stack (SDM 3A, 21.1.4 "Interrupt and Exception Handling").

.section .traps, "ax"
.code16

# A vector in real mode: offset and segment.
.macro gate stub
    .word   \stub, 0
.endm

.macro push_word value
    pushl   $\value
.endm

trap:
    # For gdb, from the call on: the saved words of the interrupted function, relative to EBX.
    .cfi_startproc simple
    .cfi_def_cfa %ebx, 46               # behind the flags: the old ESP
    # EIP is at EBX plus 40, in IP and CS, which is 0. (DWARF 5, 6.4.2.3: DW_CFA_expression, register, length;
    # 2.5.1.2: DW_OP_breg3, offset. An offset from the CFA would have to be a multiple of 4.)
    .cfi_escape 0x10, 8, 2, 0x73, 40
    .cfi_escape 0x10, 0, 2, 0x73, 28    # EAX
    .cfi_escape 0x10, 1, 2, 0x73, 24    # ECX
    .cfi_escape 0x10, 2, 2, 0x73, 20    # EDX
    .cfi_escape 0x10, 3, 2, 0x73, 16    # EBX
    .cfi_escape 0x10, 5, 2, 0x73, 8     # EBP
    .cfi_escape 0x10, 6, 2, 0x73, 4     # ESI
    .cfi_escape 0x10, 7, 2, 0x73, 0     # EDI

    pushal                              # the general registers (crate::traps::Trap)
    cld                                 # string instructions count upwards
    movl    %esp, %ebx                  # a callee-saved register
    andl    $-16, %esp                  # the alignment that Rust needs
    subl    $12, %esp
    pushl   %ebx
    calll   {trap_entry}
    movl    %ebx, %esp
    popal
    addw    $8, %sp                     # vector and error code
    iretw
    .cfi_endproc
