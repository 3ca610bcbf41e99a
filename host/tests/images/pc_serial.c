/* A kernel with tests, in the way of the usual tutorials: it says on the serial port how they went, and ends
   by the exit port with STATUS. Compiled by the tests with gcc -m32. */

#include "pc.h"

void kernel(void) {
    if (!serial_init()) outl(0xF4, 99);
    serial_print("Running 2 tests\n");
    serial_print("boots...\t[ok]\n");
    outb(COM1 + 7, 0x5A);
    serial_print(inb(COM1 + 7) == 0x5A && !(inb(COM1 + 5) & 1) ? "serial...\t[ok]\n" : "serial...\t[failed]\n");
    outl(0xF4, STATUS);
    serial_print("not reached\n");
}
