# What a stub of traps.s goes on with in protected and paged mode, where the CPU has pushed EFLAGS, CS
# and EIP on the stack that it interrupted (SDM 3A, 6.12.1). There is no stack of its own: that takes a
# task switch, and what does not fit onto a stack leaves the guest at the guard page, as any overflow.

.section .traps, "ax"
.code32

# An interrupt gate (SDM 3A, 6.11 "IDT Descriptors").
.macro gate stub
    .word   \stub, CODE32_SELECTOR, INTERRUPT_GATE, 0
.endm

.macro push_word value
    pushl   $\value
.endm

# Where the CPU's words are from there: behind eight registers, vector and error code.
.set TRAP_EIP, 40
.set TRAP_CS, 44
.set TRAP_EFLAGS, 48

trap:
    # For gdb, from the call on: where the words of the interrupted function are, from EBX.
    .cfi_startproc simple
    .cfi_def_cfa %ebx, 52               # behind EFLAGS: what ESP was
    .cfi_offset %eip, TRAP_EIP - 52
    .cfi_offset %eax, 28 - 52
    .cfi_offset %ecx, 24 - 52
    .cfi_offset %edx, 20 - 52
    .cfi_offset %ebx, 16 - 52
    .cfi_offset %ebp, 8 - 52
    .cfi_offset %esi, 4 - 52
    .cfi_offset %edi, 0 - 52

    pushal                              # the general registers (crate::traps::Trap)
    cld                                 # string instructions count upwards, whatever they did before
    movl    %esp, %ebx                  # a register that Rust keeps
    andl    $-16, %esp                  # the alignment that Rust relies on
    subl    $12, %esp
    pushl   %ebx
    calll   {trap_entry}

    # Back, as IRET would (SDM 2A, "IRET"), but with instructions that KVM modules which interpret
    # protected mode have, too: the flags move to where CS was, and EIP to where the flags were. CS is
    # the same all the time.
    movl    TRAP_EIP(%ebx), %eax
    xchgl   %eax, TRAP_EFLAGS(%ebx)
    movl    %eax, TRAP_CS(%ebx)
    movl    %ebx, %esp
    popal
    addl    $12, %esp                   # vector, error code, and where EIP was
    popfl
    retl
    .cfi_endproc
