/* A Multiboot 1 kernel: prints what its boot loader says. Compiled by the tests with gcc -m32. */

typedef unsigned int u32;

/* Magic, flags (memory information wanted), checksum. */
__attribute__((section(".multiboot"), used)) static const u32 header[3] = {0x1BADB002, 2, -(0x1BADB002 + 2)};

static inline void out32(unsigned short port, u32 value) { asm volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory"); }

static void print(const char *text) { out32(0xEC, (u32)text); }

static void print_number(u32 value) {
    static char number[12];
    char *at = number + 11;
    do *--at = '0' + value % 10; while (value /= 10);
    print(at);
}

__attribute__((used)) void kernel(u32 magic, const u32 *info) {
    if (magic != 0x2BADB002) {
        print("not by a boot loader\n");
        return;
    }
    print("multiboot: ");
    print_number(info[1]);
    print(" KiB and ");
    print_number(info[2]);
    print(" KiB, by ");
    print((const char *)info[16]);
    print(", command line `");
    print((const char *)info[4]);
    print("`\nmap: ");
    const u32 *map = (const u32 *)info[12];
    print_number(map[1]);
    print(" ");
    print_number(map[3]);
    print(" ");
    print_number(map[5]);
    print("\n");
}

asm(".globl _start\n"
    "_start:\n"
    "    pushl %ebx\n"
    "    pushl %eax\n"
    "    call kernel\n"
    "    hlt\n");
