/* A guest in the course's way: all that it wants of its hypervisor goes through ports. Compiled by
 * the tests with gcc -ffreestanding -fno-pic -O2, for 32 and for 64 bits. */

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long uptr;

static inline void out8(unsigned short port, u8 value) { asm volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory"); }
static inline void out32(unsigned short port, u32 value) { asm volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory"); }
static inline u32 in32(unsigned short port) { u32 value; asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory"); return value; }

static void hc_print_8bit(u8 value) { out8(0xE9, value); }
static void hc_print_32bit(u32 value) { out32(0xEA, value); }
static u32 hc_num_exits(void) { return in32(0xEB); }
static void hc_print_str(const char *text) { out32(0xEC, (u32)(uptr)text); }
static char *hc_num_exits_by_type(void) { return (char *)(uptr)in32(0xED); }
static u32 hc_gva_to_hva(u32 address) { out32(0xEE, address); return in32(0xEE); }

static char number[12];

static const char *decimal(u32 value) {
    char *at = number + 11;
    *at = 0;
    do *--at = '0' + value % 10; while (value /= 10);
    return at;
}

void __attribute__((noreturn)) __attribute__((section(".text.entry"))) _start(void) {
    for (const char *at = "Hello, world!\n"; *at; at++)
        hc_print_8bit(*at);
    hc_print_32bit(0);
    hc_print_32bit(2048);
    hc_print_32bit(4294967295u);

    u32 before = hc_num_exits() - 1;
    hc_print_str("exits: ");
    u32 after = hc_num_exits();
    hc_print_str(decimal(before));
    hc_print_str(" ");
    hc_print_str(decimal(before));
    hc_print_str(" ");
    hc_print_str(decimal(after - 1));
    hc_print_str("\n");

    out32(0xED, 0); /* the course's own guests write first */
    in32(0xEB);
    hc_print_str(hc_num_exits_by_type());
    hc_print_32bit(hc_gva_to_hva(0xF0000000u));
    for (;;)
        asm volatile("hlt");
}
