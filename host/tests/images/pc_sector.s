# A boot sector that needs no firmware: it writes to the screen's memory.
.code16
.globl _start
_start:
    cli
    xorw    %ax, %ax
    movw    %ax, %ds
    movw    $0xB800, %ax
    movw    %ax, %es
    movw    $message, %si
    movw    $160, %di
    movb    $0x1F, %ah
next:
    lodsb
    testb   %al, %al
    jz      done
    stosw
    jmp     next
done:
    hlt
message:
    .asciz  "Hello from 0x7C00"
