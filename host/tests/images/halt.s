# The smallest guest: a value in a register, and the end.
.globl _start
_start:
    movl    $0xAB, %eax
    hlt
