/* What both guests need: the two ports, and the generator of random numbers that Guestlab's guests
 * have (Blackman and Vigna's xoshiro128++), so that both pairs make the same run of the same seed. */

#include "../ring.h"

typedef unsigned u32;

static inline struct ring *fetch(void) {
    u32 address;
    asm volatile("inl %1, %0" : "=a"(address) : "Nd"((unsigned short)PORT_FETCH) : "memory");
    return (struct ring *)(unsigned long)address;
}

static inline void done(void) {
    asm volatile("outl %0, %1" : : "a"(0), "Nd"((unsigned short)PORT_DONE) : "memory");
}

static inline u32 rotate(u32 x, int k) { return x << k | x >> (32 - k); }

static inline u32 next(u32 s[4]) {
    u32 result = rotate(s[0] + s[3], 7) + s[0];
    u32 t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 11);
    return result;
}

/* With FROM_REAL_MODE the guest begins in real mode, as the course's guests and Guestlab's do: it sets the tables and
 * its segments itself, switches to protected mode, and clears .bss. Without it, the hypervisor has done all that. The
 * linker puts this section first. */
#ifdef FROM_REAL_MODE
void _start(void);

#define STRING(x) #x
#define TEXT(x) STRING(x)

asm(".section .text.unlikely, \"ax\"\n"
    ".code16\n"
    "    cli\n"
    "    cld\n"
    "    lidtl no_vectors\n"
    "    lgdtl table\n"
    "    movl %cr0, %eax\n"
    "    orb $1, %al\n"
    "    movl %eax, %cr0\n"
    "    ljmpl $8, $protected\n"
    ".code32\n"
    "protected:\n"
    "    movw $16, %ax\n"
    "    movw %ax, %ds\n"
    "    movw %ax, %es\n"
    "    movw %ax, %fs\n"
    "    movw %ax, %gs\n"
    "    movw %ax, %ss\n"
    "    movl $" TEXT(STACK_TOP) ", %esp\n"
    "    movl $__bss_start, %edi\n"
    "    movl $_end, %ecx\n"
    "    subl %edi, %ecx\n"
    "    xorl %eax, %eax\n"
    "    rep stosb\n"
    "    call _start\n"
    ".balign 8\n"
    "descriptors: .quad 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF\n"
    "table: .word 23; .long descriptors\n"
    "no_vectors: .word 0; .long 0\n"
    ".text\n");
#endif

/* A number from 0 to bound - 1. */
static inline u32 below(u32 s[4], u32 bound) { return (unsigned long long)next(s) * bound >> 32; }

/* A guest draws from a generator that is seeded from the one that the hypervisor seeded. */
static inline void seed(u32 s[4]) {
    u32 root[4];
    for (int i = 0; i < 4; i++)
        root[i] = ((u32 *)SEED_ADDRESS)[i];
    for (int i = 0; i < 4; i++)
        s[i] = next(root);
}

/* The slot after this one. */
static inline u32 after(const struct ring *ring, u32 slot) {
    return slot + 1 == ring->capacity ? 0 : slot + 1;
}

/* With SAME_WORK a guest does all that Guestlab's guests do: it takes orders, and keeps an account of its
 * items. Without it, it is what a student would write. */

/* How many of the possible items this turn is to move. */
static inline u32 share(const struct ring *ring, u32 possible, u32 random[4]) {
#ifdef SAME_WORK
    if (ring->orders != RANDOM_ORDERS)
        return ring->orders < possible ? ring->orders : possible;
#else
    (void)ring;
#endif
    return below(random, possible + 1);
}

struct account {
    u32 items, hash;
};

#define EMPTY_ACCOUNT { 0, 0x811C9DC5 }

static inline void enter(struct account *account, u32 item) {
#ifdef SAME_WORK
    account->items++;
    account->hash = (account->hash ^ item) * 0x01000193;
#else
    (void)account;
    asm volatile("" : : "r"(item)); /* the item is read all the same */
#endif
}

static inline void leave(struct ring *ring, const struct account *account) {
#ifdef SAME_WORK
    ring->items = account->items;
    ring->hash = account->hash;
#else
    (void)ring, (void)account;
#endif
}
