# Code in a section that is not marked as code, as NASM has those of one's own. Prints `D`.
    .section .boot, "aw"
    .globl  _start
_start:
    movb    $'D', %al
    outb    %al, $0xE9
    hlt
