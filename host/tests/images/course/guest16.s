# The 16-bit beginning of a payload. The hypervisor starts it in real mode, at address 0. It prints
# through port 0xE9, switches to protected mode, and jumps to the guest in C, which payload.ld puts behind it.

    .code16
    .global _start16
_start16:
    xorw    %ax, %ax
    movw    %ax, %ds
    movw    $message, %si
print:
    lodsb
    testb   %al, %al
    jz      switch
    outb    %al, $0xE9
    jmp     print

switch:
    cli
    lgdtl   gdt_pointer
    movl    %cr0, %eax
    orl     $1, %eax
    movl    %eax, %cr0
    ljmpl   $8, $protected

    .code32
protected:
    movw    $16, %ax
    movw    %ax, %ds
    movw    %ax, %es
    movw    %ax, %ss
    movl    $0x100000, %esp
    jmp     _start

message:
    .asciz  "16 bits\n"

    .balign 8
gdt:
    .quad   0
    .quad   0x00CF9A000000FFFF          # code: base 0, limit 4 GiB
    .quad   0x00CF92000000FFFF          # data
gdt_pointer:
    .word   gdt_pointer - gdt - 1
    .long   gdt
