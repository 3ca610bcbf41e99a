# 16-bit code: prints a string, and the text of the exit counts by its own hand.
.code16
.globl _start
_start:
    xorw    %ax, %ax
    movw    %ax, %ds
    movl    $message, %eax
    outl    %eax, $0xEC
    inl     $0xED, %eax
    movw    %ax, %si            # the text must lie where 16-bit code reaches it
next:
    lodsb
    testb   %al, %al
    jz      done
    outb    %al, $0xE9
    jmp     next
done:
    # The stack must work, too: it begins at the top of the first 64 KiB.
    pushw   %ax
    popw    %bx
    hlt
message:
    .asciz  "real\n"
