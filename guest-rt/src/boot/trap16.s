# What a stub of traps.s goes on with in real mode, where the CPU has pushed 16 bits each of the flags,
# CS and IP on the stack that it interrupted (SDM 3A, 21.1.4 "Interrupt and Exception Handling").

.section .traps, "ax"
.code16

# A vector of real mode: offset and segment.
.macro gate stub
    .word   \stub, 0
.endm

.macro push_word value
    pushl   $\value
.endm

trap:
    pushal                              # the general registers (crate::traps::Trap)
    cld                                 # string instructions count upwards, whatever they did before
    movl    %esp, %ebx                  # a register that Rust keeps
    andl    $-16, %esp                  # the alignment that Rust relies on
    subl    $12, %esp
    pushl   %ebx
    calll   {trap_entry}
    movl    %ebx, %esp
    popal
    addw    $8, %sp                     # vector and error code
    iretw
