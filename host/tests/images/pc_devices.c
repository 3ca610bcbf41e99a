/* What "my first kernel" does before it does anything: A20, the interrupt controllers, a descriptor table, the
   timer, the keyboard controller, the clock, a look at the PCI bus, at the disk and at the other serial ports. Ends as
   HOW says: 'p' switches the power off, 'r' resets, 'w' waits for a key. Compiled by the tests with gcc -m32. */

#include "pc.h"

static void wait(void) { outb(0x80, 0); }

static void remap(void) {
    u8 mask1 = inb(0x21), mask2 = inb(0xA1);
    static const u16 steps[][2] = {{0x20, 0x11}, {0xA0, 0x11}, {0x21, 0x20}, {0xA1, 0x28},
                                   {0x21, 4},    {0xA1, 2},    {0x21, 1},    {0xA1, 1}};
    for (u32 i = 0; i < 8; i++) {
        outb(steps[i][0], (u8)steps[i][1]);
        wait();
    }
    outb(0x21, mask1);
    outb(0xA1, mask2);
    outb(0x21, 0xFD);
    serial_print(inb(0x21) == 0xFD ? "pic ok\n" : "pic?\n");
}

static void enable_a20(void) {
    while (inb(0x64) & 2) {}
    outb(0x64, 0xD0);
    while (!(inb(0x64) & 1)) {}
    u8 port = inb(0x60);
    while (inb(0x64) & 2) {}
    outb(0x64, 0xD1);
    while (inb(0x64) & 2) {}
    outb(0x60, port | 2);
    outb(0x92, inb(0x92) | 2);
    serial_print(inb(0x92) & 2 ? "a20 ok\n" : "a20?\n");
}

static u32 idt[512];
static const struct { u16 limit; u32 base; } __attribute__((packed)) table = {sizeof idt - 1, (u32)idt};

static void interrupts(void) {
    for (u32 i = 0; i < 256; i++) {
        idt[2 * i] = 8 << 16;
        idt[2 * i + 1] = 0x8E00;
    }
    asm volatile("lidt %0" : : "m"(table));
    outb(0x43, 0x36);
    outb(0x40, (u8)(1193182 / 100));
    outb(0x40, (u8)(1193182 / 100 >> 8));
    u8 config = (outb(0x64, 0x20), inb(0x60));
    outb(0x64, 0x60);
    outb(0x60, config | 1);
    asm volatile("sti");
}

static u32 count(void) {
    outb(0x43, 0);
    u32 low = inb(0x40);
    return low | (u32)inb(0x40) << 8;
}

static u8 cmos(u8 index) {
    outb(0x70, index | 0x80);
    return inb(0x71);
}

static u32 bcd(u8 value) { return value / 16 * 10 + value % 16; }

static void look_around(void) {
    u32 first = count();
    while (count() >= first / 2) {}
    serial_print("pit ok\n");
    while (cmos(0x0A) & 0x80) {}
    serial_number(bcd(cmos(0x32)) * 100 + bcd(cmos(9)));
    serial_print("-");
    serial_number(bcd(cmos(8)));
    serial_print("-");
    serial_number(bcd(cmos(7)));
    serial_print(", ");
    serial_number(cmos(0x15) | cmos(0x16) << 8);
    serial_print(" + ");
    serial_number(cmos(0x30) | cmos(0x31) << 8);
    serial_print(" KiB\n");
    u32 devices = 0;
    for (u32 device = 0; device < 32; device++) {
        outl(0xCF8, 0x80000000 | device << 11);
        devices += inl(0xCFC) != 0xFFFFFFFF;
    }
    serial_number(devices);
    serial_print(" PCI devices\n");
    if (inb(0x1F7) == 0xFF) serial_print("no disk\n");
    outb(0x2FF, 0x5A);
    if (inb(0x2FF) != 0x5A) serial_print("no COM2\n");
}

void kernel(void) {
    serial_init();
    enable_a20();
    remap();
    interrupts();
    look_around();
    for (const char *c = "debug console\n"; *c; c++) outb(0x402, (u8)*c);
    if (inb(0xE9) == 0xE9) outb(0xE9, '!');
    if (HOW == 'p') outw(0x604, 0x2000);
    if (HOW == 'r') outb(0x64, 0xFE);
    if (HOW == 'w') while (!(inb(0x64) & 1)) {}
}
