# Notes as others have them, aligned to 4 KiB and padded (notes.ld): none is Guestlab's. Prints `N`.
    .section .note.gnu.property, "a", @note
    .long   4, 16, 5
    .asciz  "GNU"
    .long   0xC0000002, 4, 3, 0

    .section .note.Xen, "a", @note
    .long   4, 4, 18
    .asciz  "Xen"
    .long   0x100000

    .text
    .globl  _start
_start:
    movb    $'N', %al
    outb    %al, $0xE9
    hlt
