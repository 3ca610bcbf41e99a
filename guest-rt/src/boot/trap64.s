# The common part of the stubs (traps.s) in long mode. The CPU has pushed SS, RSP, RFLAGS,
# CS and RIP (SDM 3A, 6.14.2 "64-Bit Mode Stack Frame"). Exceptions have their own stack,
# so that they are reported whatever RSP was. Interrupts use the interrupted stack.

# Not in .bss, because it need not be cleared.
.section .noinit, "aw", @nobits
.balign 16
    .skip   TRAP_STACK_SIZE
trap_stack_top:

# The task-state segment: only that stack, the first of its interrupt stack table (SDM 3A, 8.7).
.section .traps.table, "a"
.p2align 3
tss:
    .skip   TSS_STACK_1
    .quad   trap_stack_top
    .skip   TSS_SIZE - TSS_STACK_1 - 8

.section .traps, "ax"
.code64

# An interrupt gate (SDM 3A, 6.14.1 "64-Bit Mode IDT"), with the number of its stack.
.macro gate stub
    .if     vector < EXCEPTIONS
    .word   \stub, CODE64_SELECTOR, INTERRUPT_GATE | 1, 0
    .else
    .word   \stub, CODE64_SELECTOR, INTERRUPT_GATE, 0
    .endif
    .quad   0
.endm

.macro push_word value
    pushq   $\value
.endm

trap:
    # For gdb, from the call on: the saved words of the interrupted function, relative to RBX.
    .cfi_startproc simple
    .cfi_def_cfa %rbx, 184              # behind SS
    .cfi_offset %rsp, 168 - 184
    .cfi_offset %rip, 144 - 184
    .cfi_offset %rax, 120 - 184
    .cfi_offset %rcx, 112 - 184
    .cfi_offset %rdx, 104 - 184
    .cfi_offset %rbx, 96 - 184
    .cfi_offset %rbp, 80 - 184
    .cfi_offset %rsi, 72 - 184
    .cfi_offset %rdi, 64 - 184
    .cfi_offset %r8, 56 - 184
    .cfi_offset %r9, 48 - 184
    .cfi_offset %r10, 40 - 184
    .cfi_offset %r11, 32 - 184
    .cfi_offset %r12, 24 - 184
    .cfi_offset %r13, 16 - 184
    .cfi_offset %r14, 8 - 184
    .cfi_offset %r15, 0 - 184

    # The general registers, in the order of their numbers (crate::traps::Trap).
    pushq   %rax
    pushq   %rcx
    pushq   %rdx
    pushq   %rbx
    pushq   %rsp                        # a placeholder; the CPU has pushed the real one
    pushq   %rbp
    pushq   %rsi
    pushq   %rdi
    pushq   %r8
    pushq   %r9
    pushq   %r10
    pushq   %r11
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    cld                                 # string instructions count upwards
    movq    %rsp, %rdi
    movq    %rsp, %rbx                  # a callee-saved register
    andq    $-16, %rsp                  # the alignment that Rust needs
    callq   {trap_entry}
    movq    %rbx, %rsp
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %r11
    popq    %r10
    popq    %r9
    popq    %r8
    popq    %rdi
    popq    %rsi
    popq    %rbp
    addq    $8, %rsp                    # RSP, which iretq restores
    popq    %rbx
    popq    %rdx
    popq    %rcx
    popq    %rax
    addq    $16, %rsp                   # vector and error code
    iretq
    .cfi_endproc
