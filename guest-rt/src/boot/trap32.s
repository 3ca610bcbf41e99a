# The common part of the stubs (traps.s) in protected and paged mode. The CPU has pushed
# EFLAGS, CS and EIP on the interrupted stack (SDM 3A, 6.12.1). A separate stack would
# need a task switch. A stack overflow leaves the guest at the guard page, as usual.

.section .traps, "ax"
.code32

# An interrupt gate (SDM 3A, 6.11 "IDT Descriptors").
.macro gate stub
    .word   \stub, CODE32_SELECTOR, INTERRUPT_GATE, 0
.endm

.macro push_word value
    pushl   $\value
.endm

# The offsets of the CPU's words: behind eight registers, vector and error code.
.set TRAP_EIP, 40
.set TRAP_CS, 44
.set TRAP_EFLAGS, 48

trap:
    # For gdb, from the call on: the saved words of the interrupted function, relative to EBX.
    .cfi_startproc simple
    .cfi_def_cfa %ebx, 52               # behind EFLAGS: the old ESP
    .cfi_offset %eip, TRAP_EIP - 52
    .cfi_offset %eax, 28 - 52
    .cfi_offset %ecx, 24 - 52
    .cfi_offset %edx, 20 - 52
    .cfi_offset %ebx, 16 - 52
    .cfi_offset %ebp, 8 - 52
    .cfi_offset %esi, 4 - 52
    .cfi_offset %edi, 0 - 52

    pushal                              # the general registers (crate::traps::Trap)
    cld                                 # string instructions count upwards
    movl    %esp, %ebx                  # a callee-saved register
    andl    $-16, %esp                  # the alignment that Rust needs
    subl    $12, %esp
    pushl   %ebx
    calll   {trap_entry}

    # Return like IRET (SDM 2A, "IRET"), but with instructions that also
    # exist in KVM modules which interpret protected mode. The flags move to
    # the place of CS, and EIP to the place of the flags. CS never changes.
    movl    TRAP_EIP(%ebx), %eax
    xchgl   %eax, TRAP_EFLAGS(%ebx)
    movl    %eax, TRAP_CS(%ebx)
    movl    %ebx, %esp
    popal
    addl    $12, %esp                   # vector, error code, and the place of EIP
    popfl
    retl
    .cfi_endproc
