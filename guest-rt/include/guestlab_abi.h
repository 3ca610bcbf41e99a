/*
 * The ABI of Guestlab's hosts and guests: hypercalls, addresses, records.
 *
 * Generated from guest-rt/abi by its test `c_header`. Do not edit.
 */

#ifndef GUESTLAB_ABI_H
#define GUESTLAB_ABI_H

#include <stdint.h>

/*
 * The version of this ABI. The host refuses a guest of another major version. A higher minor version only adds
 * features.
 */
#define GUESTLAB_ABI_MAJOR 1
#define GUESTLAB_ABI_MINOR 1

/*
 * The hypercalls: the port of each.
 */

/* `out`, 8 bits: print one byte. */
#define GUESTLAB_PORT_PRINT_BYTE 0xE9

/* `out`, 32 bits: print the value in decimal, and a newline. */
#define GUESTLAB_PORT_PRINT_DECIMAL 0xEA

/* `in`, 32 bits: the number of VM exits so far, including this one. An `out` is accepted and counts as an exit. */
#define GUESTLAB_PORT_EXIT_COUNT 0xEB

/* `out`, 32 bits: print the NUL-terminated string at this guest address. */
#define GUESTLAB_PORT_PRINT_STRING 0xEC

/*
 * `in`, 32 bits: the guest address of a text `IO in: X\nIO out: Y\n`, NUL-terminated: the port reads and writes
 * so far, including this one. An `out` is accepted and counts as an exit.
 */
#define GUESTLAB_PORT_EXIT_TEXT 0xED

/*
 * `out`, 32 bits: translate this guest-virtual address; then `in`, 32 bits: the low half of the host-virtual
 * address, or 0.
 */
#define GUESTLAB_PORT_TRANSLATE 0xEE

/* `out`, 32 bits: end the guest; the value is its exit status. */
#define GUESTLAB_PORT_EXIT 0xF0

/* `out`, 32 bits: report a panic; the address of a struct guestlab_panic. */
#define GUESTLAB_PORT_PANIC 0xF1

/* `out`, 32 bits: print text; the address of a struct guestlab_text. */
#define GUESTLAB_PORT_PRINT 0xF2

/*
 * `out`, 32 bits: register the mailbox; the address of a struct guestlab_mailbox_attach. Once per guest, before
 * its first turn.
 */
#define GUESTLAB_PORT_MAILBOX_ATTACH 0xF3

/*
 * `out`, 32 bits: end the turn, with the result in the mailbox; the value is ignored. The next instruction runs
 * when the guest's next turn has begun and the mailbox has new content.
 */
#define GUESTLAB_PORT_END_TURN 0xF4

/* `out`, 32 bits: report an exception or an interrupt without a handler; the address of a struct guestlab_trap. */
#define GUESTLAB_PORT_TRAP 0xF5

/*
 * `out`, 32 bits: request one interrupt, with vector GUESTLAB_VECTOR_TIMER, after this many microseconds; 0
 * cancels it. A new value replaces the old one.
 */
#define GUESTLAB_PORT_TIMER_SET 0xF6

/* `out`, 32 bits: log a record; the address of a struct guestlab_log. Since version 1.1. */
#define GUESTLAB_PORT_LOG 0xF7

/*
 * `out`, 32 bits: read the clock; the host writes a struct guestlab_clock to this guest address. Since version
 * 1.1.
 */
#define GUESTLAB_PORT_CLOCK 0xF8

/*
 * The guest-physical memory map.
 */

/* The size of a page in bytes, and the smallest size of a hole in memory. */
#define GUESTLAB_PAGE_SIZE 0x1000

/* The address of struct guestlab_boot_info. */
#define GUESTLAB_BOOT_INFO 0x1000

/* The address of the guest's arguments: behind the boot information, in the same page. */
#define GUESTLAB_ARGUMENTS 0x1100

/* The most bytes of arguments, including the NUL of each. */
#define GUESTLAB_MAX_ARGUMENTS_SIZE 0x700

/* The address of the text for GUESTLAB_PORT_EXIT_TEXT: behind the arguments, in the same page. */
#define GUESTLAB_EXIT_TEXT 0x1800

/* The guard page below the stack, which has no memory. */
#define GUESTLAB_STACK_GUARD 0x2000

/* The lowest address of the stack. */
#define GUESTLAB_STACK_BOTTOM 0x3000

/* The stack's size in bytes. */
#define GUESTLAB_STACK_SIZE 0x4000

/* The initial stack pointer: one past the stack's highest byte. */
#define GUESTLAB_STACK_TOP 0x7000

/* The address that images are linked to. Their segments lie at or above it. */
#define GUESTLAB_IMAGE_BASE 0x7000

/*
 * One past the last byte that 16-bit code reaches with segment base 0. A real-mode entry, and an entire image
 * that stays in real mode, lie below.
 */
#define GUESTLAB_REAL_MODE_END 0x10000

/* The default size of a guest's memory in bytes, including holes. */
#define GUESTLAB_DEFAULT_MEMORY 0x200000

/*
 * The largest size of a guest's memory in bytes. Above this address KVM has its own pages, and real machines
 * have devices (KVM API, 4.36 `KVM_SET_TSS_ADDR`).
 */
#define GUESTLAB_MAX_MEMORY 0xC0000000

/*
 * Limits and special values.
 */

/* The largest capacity of a ring, in items. */
#define GUESTLAB_MAX_CAPACITY 64

/* The most bytes of a message. */
#define GUESTLAB_MAX_MESSAGE_SIZE 1024

/* The most bytes that the host reads of one text. */
#define GUESTLAB_TEXT_MAX_LEN 65536

/* The first word of the boot information. */
#define GUESTLAB_BOOT_MAGIC 0x42414C47

/* The quota of a turn that moves a random number of items. */
#define GUESTLAB_QUOTA_RANDOM 0xFFFFFFFF

/* The hash of no items. */
#define GUESTLAB_DIGEST_EMPTY 0x811C9DC5

/* One more item makes the hash (hash ^ item) * GUESTLAB_DIGEST_FACTOR. */
#define GUESTLAB_DIGEST_FACTOR 0x1000193

/*
 * The vectors of exceptions, and of the timer's interrupt.
 */

/* #DE: a division by zero, or one whose quotient does not fit. */
#define GUESTLAB_VECTOR_DIVIDE_ERROR 0

/* #DB: a debug condition, single-stepping among them. */
#define GUESTLAB_VECTOR_DEBUG 1

/* The non-maskable interrupt, which is not an exception but has a reserved vector. */
#define GUESTLAB_VECTOR_NON_MASKABLE 2

/* #BP: the instruction `int3`. */
#define GUESTLAB_VECTOR_BREAKPOINT 3

/* #OF: the instruction `into`, with the overflow flag set. */
#define GUESTLAB_VECTOR_OVERFLOW 4

/* #BR: the instruction `bound`, with an index out of range. */
#define GUESTLAB_VECTOR_BOUND_RANGE 5

/* #UD: an undefined instruction, or one that is not available in the CPU's state. */
#define GUESTLAB_VECTOR_INVALID_OPCODE 6

/* #NM: a floating-point instruction without a floating-point unit. */
#define GUESTLAB_VECTOR_DEVICE_NOT_AVAILABLE 7

/* #DF: an exception while the CPU was calling the handler of another. */
#define GUESTLAB_VECTOR_DOUBLE_FAULT 8

/* #TS: an invalid task-state segment. */
#define GUESTLAB_VECTOR_INVALID_TSS 10

/* #NP: a segment or gate that is not present. */
#define GUESTLAB_VECTOR_SEGMENT_NOT_PRESENT 11

/* #SS: an access through SS beyond its limit, or with an address that is not canonical. */
#define GUESTLAB_VECTOR_STACK_FAULT 12

/* #GP: a violation of the protection rules that has no other exception. */
#define GUESTLAB_VECTOR_GENERAL_PROTECTION 13

/* #PF: an address that is not mapped, or not for such an access. */
#define GUESTLAB_VECTOR_PAGE_FAULT 14

/* #MF: an x87 floating-point error. */
#define GUESTLAB_VECTOR_FLOATING_POINT 16

/* #AC: an unaligned address, if alignment is checked. */
#define GUESTLAB_VECTOR_ALIGNMENT_CHECK 17

/* #MC: a hardware failure. */
#define GUESTLAB_VECTOR_MACHINE_CHECK 18

/* #XM: an SSE floating-point error. */
#define GUESTLAB_VECTOR_SIMD_FLOATING_POINT 19

/* #VE: a violation of extended page tables. */
#define GUESTLAB_VECTOR_VIRTUALIZATION 20

/* #CP: a return or jump that control-flow enforcement forbids. */
#define GUESTLAB_VECTOR_CONTROL_PROTECTION 21

/* The vector of the timer's interrupt: the first free one. */
#define GUESTLAB_VECTOR_TIMER 32

/*
 * The records.
 */

/* The boot information. The host writes it to GUESTLAB_BOOT_INFO before the guest starts. */
struct guestlab_boot_info {
    /* GUESTLAB_BOOT_MAGIC; anything else means that no Guestlab host wrote this. */
    uint32_t magic;
    /* The size of guest-physical memory in bytes, including holes: one past its last byte. */
    uint32_t memory;
    /* The VM's number in its experiment, from 1. */
    uint32_t vm;
    /* The seed of the guest's random numbers, and their only source. Never all zero. */
    uint32_t seed[4];
    /* The length of the guest's arguments in bytes, 0 to GUESTLAB_MAX_ARGUMENTS_SIZE. */
    uint32_t arguments;
};
_Static_assert(sizeof(struct guestlab_boot_info) == 32, "the host expects 32 bytes");

/* A piece of guest memory that holds text (the host does not rely on UTF-8). */
struct guestlab_text {
    /* The guest-physical address of the first byte. */
    uint32_t address;
    /* The length in bytes; the host reads at most GUESTLAB_TEXT_MAX_LEN of them. */
    uint32_t len;
};
_Static_assert(sizeof(struct guestlab_text) == 8, "the host expects 8 bytes");

/* The request block of GUESTLAB_PORT_PANIC. */
struct guestlab_panic {
    /* The panic's message. */
    struct guestlab_text message;
    /* The source file. */
    struct guestlab_text file;
    /* The line in it, from 1. */
    uint32_t line;
    /* The column in it, from 1. */
    uint32_t column;
};
_Static_assert(sizeof(struct guestlab_panic) == 24, "the host expects 24 bytes");

/* The request block of GUESTLAB_PORT_LOG. */
struct guestlab_log {
    /*
     * The level, with the `log` crate's numbers: 1 error, 2 warning, 3 information, 4 debugging, 5 tracing. The
     * host replaces any other number by the nearest of these.
     */
    uint32_t level;
    /* The target, usually a module's path. */
    struct guestlab_text target;
    /* The message. */
    struct guestlab_text message;
};
_Static_assert(sizeof(struct guestlab_log) == 20, "the host expects 20 bytes");

/* The host's answer to GUESTLAB_PORT_CLOCK. */
struct guestlab_clock {
    /* The ticks since the guest was started. They never go back. */
    uint64_t ticks;
    /* The number of ticks per second: constant while a guest runs, and never 0. */
    uint64_t frequency;
};
_Static_assert(sizeof(struct guestlab_clock) == 16, "the host expects 16 bytes");

/* The request block of GUESTLAB_PORT_MAILBOX_ATTACH. */
struct guestlab_mailbox_attach {
    /* The guest-physical address of the mailbox. */
    uint32_t address;
    /* The mailbox's size in bytes. */
    uint32_t size;
};
_Static_assert(sizeof(struct guestlab_mailbox_attach) == 8, "the host expects 8 bytes");

/*
 * The request block of GUESTLAB_PORT_TRAP: an exception or interrupt, and the interrupted state. Registers that
 * the mode lacks are 0.
 */
struct guestlab_trap {
    /* The vector. */
    uint32_t vector;
    /* 1 if the CPU pushed an error code, otherwise 0. */
    uint32_t has_error_code;
    /* The error code. */
    uint64_t error_code;
    /* CR2: the address of the last page fault. */
    uint64_t cr2;
    /* The instruction pointer: of the instruction at fault, or of the next one (SDM 3A, 6.5). */
    uint64_t ip;
    /* The flags. */
    uint64_t flags;
    /* The code segment's selector. */
    uint64_t cs;
    /* The stack segment's selector. */
    uint64_t ss;
    /* The general registers in the order of their numbers (AX, CX, DX, BX, SP, BP, SI, DI, R8 to R15). */
    uint64_t general[16];
};
_Static_assert(sizeof(struct guestlab_trap) == 184, "the host expects 184 bytes");

/*
 * A running digest of a sequence of items: their number, and FNV-1a over them, one word per step (one
 * multiplication per item, because guests pay for their instructions). The digests of two sequences of equal
 * length that differ in one item always differ.
 */
struct guestlab_digest {
    /* The number of items, modulo 2^32. */
    uint32_t items;
    /* The hash of the items. */
    uint32_t hash;
};
_Static_assert(sizeof(struct guestlab_digest) == 8, "the host expects 8 bytes");

/* The state of a ring, without its slots. */
struct guestlab_pointers {
    /* The number of slots in use, 1 to GUESTLAB_MAX_CAPACITY. */
    uint32_t capacity;
    /* The slot for the next produced item, 0 to `capacity` - 1. */
    uint32_t prod_p;
    /* The slot of the next item to consume, 0 to `capacity` - 1. */
    uint32_t cons_p;
    /* The number of items in the ring, 0 to `capacity`. */
    uint32_t count;
};
_Static_assert(sizeof(struct guestlab_pointers) == 16, "the host expects 16 bytes");

/* A mailbox in guest memory. */
struct guestlab_mailbox {
    /* The number of items to move in this turn, or a random number (GUESTLAB_QUOTA_RANDOM). Host to guest. */
    uint32_t quota;
    /*
     * The guest's digest of all items that it has produced or consumed. Guest to host; the host never reveals
     * the expected value.
     */
    struct guestlab_digest digest;
    /* The ring's pointers. Both ways. */
    struct guestlab_pointers pointers;
    /* The ring's slots. Both ways. */
    uint32_t slots[GUESTLAB_MAX_CAPACITY];
};
_Static_assert(sizeof(struct guestlab_mailbox) == 284, "the host expects 284 bytes");

#endif
