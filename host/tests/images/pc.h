/* What the kernels for --pc share: port accesses, and the serial port as kernels set it up. */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

/* Magic, flags, checksum. */
__attribute__((section(".multiboot"), used)) static const u32 header[3] = {0x1BADB002, 0, -0x1BADB002};

static inline void outb(u16 port, u8 value) { asm volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static inline void outw(u16 port, u16 value) { asm volatile("outw %0, %1" : : "a"(value), "Nd"(port)); }
static inline void outl(u16 port, u32 value) { asm volatile("outl %0, %1" : : "a"(value), "Nd"(port)); }
static inline u8 inb(u16 port) {
    u8 value;
    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline u32 inl(u16 port) {
    u32 value;
    asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

#define COM1 0x3F8

/* Returns whether the port is there: a byte that is sent in loopback mode comes back. */
__attribute__((unused)) static int serial_init(void) {
    outb(COM1 + 1, 0x00);
    outb(COM1 + 3, 0x80);
    outb(COM1 + 0, 0x03);
    outb(COM1 + 1, 0x00);
    outb(COM1 + 3, 0x03);
    outb(COM1 + 2, 0xC7);
    outb(COM1 + 4, 0x0B);
    outb(COM1 + 4, 0x1E);
    outb(COM1 + 0, 0xAE);
    if (inb(COM1 + 0) != 0xAE) return 0;
    outb(COM1 + 4, 0x0F);
    return 1;
}

__attribute__((unused)) static void serial_print(const char *text) {
    for (; *text; text++) {
        while (!(inb(COM1 + 5) & 0x20)) {}
        outb(COM1, (u8)*text);
    }
}

__attribute__((unused)) static void serial_number(u32 value) {
    char number[12], *at = number + 11;
    *at = 0;
    do *--at = '0' + value % 10; while (value /= 10);
    serial_print(at);
}

void kernel(void);

/* A stack of its own, as kernels have; the end is what kernel() makes of it, or an endless `hlt`. */
asm(".globl _start\n"
    "_start: movl $stack_top, %esp\n"
    "call kernel\n"
    "1: cli\n"
    "hlt\n"
    "jmp 1b\n"
    ".bss\n"
    ".skip 16384\n"
    "stack_top:\n"
    ".text\n");
