/*
 * Guests of Guestlab in C.
 *
 *     #include <guestlab.h>
 *
 *     int main(void)
 *     {
 *         guestlab_printf("hello from VM %u\n", guestlab_boot_info()->vm);
 *         return 0;
 *     }
 *
 * A guest is a kernel: a program on a CPU without an operating system and without a C library. The boot library
 * starts it in 16-bit real mode, switches to the mode that it is compiled for, and calls main. The value that main
 * returns is the guest's exit status; 0 is success.
 *
 * A hypercall is one port instruction: the CPU leaves the VM, the host serves the call, and the CPU enters the VM
 * again. This takes as long as thousands of instructions. The functions below say how often they do it; most do it
 * once. guestlab_abi.h has the ports and the records that guest and host share.
 *
 * Floating-point numbers work in real, protected and paged mode, slowly. gcc refuses them in long mode.
 */

#ifndef GUESTLAB_H
#define GUESTLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guestlab_abi.h"

/* The guest: every guest has one. */
int main(void);

/*
 * Port instructions. The host may read and write memory before the next instruction runs: the compiler must have
 * written all variables to memory, and must read them again ("memory").
 */

static inline void guestlab_out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void guestlab_out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint32_t guestlab_in32(uint16_t port)
{
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

/* The guest-physical address of an object. It is the pointer's value: guests have no other mapping. */
static inline uint32_t guestlab_address(const volatile void *object)
{
    return (uint32_t)(uintptr_t)object;
}

/*
 * Output
 */

/* Prints a string. */
static inline void guestlab_print(const char *text)
{
    guestlab_out32(GUESTLAB_PORT_PRINT_STRING, guestlab_address(text));
}

/* Prints `len` bytes, at most GUESTLAB_TEXT_MAX_LEN. */
static inline void guestlab_write(const char *bytes, uint32_t len)
{
    struct guestlab_text text = { guestlab_address(bytes), len };
    guestlab_out32(GUESTLAB_PORT_PRINT, guestlab_address(&text));
}

/*
 * Prints like printf: %d %i %u %x, also with `l`, `ll` or `z`, and %p %c %s %%, with a width as in %5d, %-8s or %02x.
 * One exit, and one more for every 128 bytes. guestlab_printf.h has the code.
 */
static inline void guestlab_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

enum guestlab_level {
    GUESTLAB_ERROR = 1,
    GUESTLAB_WARN = 2,
    GUESTLAB_INFO = 3,
    GUESTLAB_DEBUG = 4,
    GUESTLAB_TRACE = 5,
};

static inline struct guestlab_text guestlab_text_of(const char *text)
{
    struct guestlab_text place = { guestlab_address(text), 0 };
    while (text[place.len] != 0)
        place.len++;
    return place;
}

/* Sends a record to the host, which prints it if `--log` lets it through. The target is a word, such as "ring". */
static inline void guestlab_log(enum guestlab_level level, const char *target, const char *message)
{
    struct guestlab_log record = { level, guestlab_text_of(target), guestlab_text_of(message) };
    guestlab_out32(GUESTLAB_PORT_LOG, guestlab_address(&record));
}

/*
 * The end
 */

/* Ends the guest with a status; 0 is success. */
static inline __attribute__((noreturn)) void guestlab_exit(uint32_t status)
{
    guestlab_out32(GUESTLAB_PORT_EXIT, status);
    for (;;)
        __asm__ volatile("hlt");
}

static inline __attribute__((noreturn)) void guestlab_panic_at(const char *file, uint32_t line, const char *message)
{
    struct guestlab_panic panic = { guestlab_text_of(message), guestlab_text_of(file), line, 1 };
    guestlab_out32(GUESTLAB_PORT_PANIC, guestlab_address(&panic));
    for (;;)
        __asm__ volatile("hlt");
}

/* Ends the guest because it has a bug: the host reports the message, this line, and the calls that led here. */
#define guestlab_panic(message) guestlab_panic_at(__FILE__, __LINE__, message)

/* Panics if the condition is false. */
#define guestlab_assert(condition) ((condition) ? (void)0 : guestlab_panic("assertion failed: " #condition))

/*
 * The start
 */

/* The boot information: this VM's number, memory and seed. No exit. */
static inline const struct guestlab_boot_info *guestlab_boot_info(void)
{
    return (const struct guestlab_boot_info *)(uintptr_t)GUESTLAB_BOOT_INFO;
}

/* The argument at this position, from 0, or NULL if there are fewer: `cargo xtask run NAME -- ARGUMENT...`. No exit. */
static inline const char *guestlab_argument(uint32_t position)
{
    const char *argument = (const char *)(uintptr_t)GUESTLAB_ARGUMENTS;
    const char *end = argument + guestlab_boot_info()->arguments;
    for (; argument < end; argument += guestlab_text_of(argument).len + 1)
        if (position-- == 0)
            return argument;
    return NULL;
}

/*
 * Random numbers. They depend on the run's seed only, so that a run can be repeated. No exit. (Boot library)
 */

uint32_t guestlab_random(void);

/* A number from 0 to `bound` - 1; 0 if `bound` is 0. */
uint32_t guestlab_random_below(uint32_t bound);

/*
 * Turns. VMs share no memory. The host copies a mailbox into the guest's memory before each of its turns, and back
 * after it. A guest has one mailbox: a variable that lives as long as the guest, such as a static one.
 */

/*
 * Registers the mailbox; returns when this guest's first turn has begun. `run prodcons` wants a struct
 * guestlab_mailbox. In other experiments it is a message of the guests' own: of one size in all VMs, a multiple of 4
 * bytes up to GUESTLAB_MAX_MESSAGE_SIZE.
 */
static inline void guestlab_attach(void *mailbox, uint32_t size)
{
    struct guestlab_mailbox_attach attach = { guestlab_address(mailbox), size };
    guestlab_out32(GUESTLAB_PORT_MAILBOX_ATTACH, guestlab_address(&attach));
}

/* Ends the turn; returns when this guest's next turn has begun. The mailbox then has new content. */
static inline void guestlab_end_turn(void)
{
    guestlab_out32(GUESTLAB_PORT_END_TURN, 0);
}

/*
 * The number of items to move in this turn, of the `possible` ones: free slots of a producer, items of a consumer. It
 * is the turn's order, or a random number from 0 to all. No exit.
 */
static inline uint32_t guestlab_share(const struct guestlab_mailbox *mailbox, uint32_t possible)
{
    if (mailbox->quota == GUESTLAB_QUOTA_RANDOM)
        return guestlab_random_below(possible + 1);
    return mailbox->quota < possible ? mailbox->quota : possible;
}

/*
 * The account of the items that this guest has moved since its start. The guest adds each item in order, and puts the
 * account into the mailbox (`digest`) before the turn ends. The host compares it with its own.
 */
#define GUESTLAB_EMPTY_ACCOUNT { 0, GUESTLAB_DIGEST_EMPTY }

static inline void guestlab_account(struct guestlab_digest *account, uint32_t item)
{
    account->items++;
    account->hash = (account->hash ^ item) * GUESTLAB_DIGEST_FACTOR;
}

/*
 * Time. The run of a guest that uses it cannot be repeated.
 */

/* The microseconds since this guest was started. */
static inline uint64_t guestlab_clock(void)
{
    struct guestlab_clock clock = { 0, 1 };
    guestlab_out32(GUESTLAB_PORT_CLOCK, guestlab_address(&clock));
    uint64_t ticks = clock.ticks, frequency = clock.frequency;
    return ticks / frequency * 1000000 + ticks % frequency * 1000000 / frequency;
}

/* Requests one interrupt (GUESTLAB_VECTOR_TIMER) after this many microseconds; 0 cancels it. */
static inline void guestlab_timer_set(uint32_t microseconds)
{
    guestlab_out32(GUESTLAB_PORT_TIMER_SET, microseconds);
}

/*
 * Interrupts and exceptions. A guest starts with interrupts off. No exit.
 */

static inline void guestlab_interrupts_on(void) { __asm__ volatile("sti" : : : "memory"); }
static inline void guestlab_interrupts_off(void) { __asm__ volatile("cli" : : : "memory"); }

/*
 * Turns interrupts on, halts until one has come, and turns them off. Call it with interrupts off, in a loop that tests
 * the condition, so that none comes between the test and the halt. One exit.
 */
static inline void guestlab_wait(void)
{
    __asm__ volatile("sti; hlt; cli" : : : "memory");
}

/* The interrupted state, for a handler. */
struct guestlab_frame;

/* A handler runs with interrupts off. When it returns, the guest continues at the interrupted instruction. */
typedef void guestlab_handler(struct guestlab_frame *frame);

/*
 * Sets the handler of a vector: an exception (GUESTLAB_VECTOR_PAGE_FAULT and so on), or GUESTLAB_VECTOR_TIMER. An
 * exception without a handler ends the guest with a report. (Boot library)
 */
void guestlab_set_handler(uint32_t vector, guestlab_handler *handler);

/* The address of the interrupted instruction, and the address at which the guest continues. (Boot library) */
uintptr_t guestlab_frame_address(const struct guestlab_frame *frame);
void guestlab_frame_set_address(struct guestlab_frame *frame, uintptr_t address);

/*
 * The course's own calls
 */

static inline void guestlab_print_byte(uint8_t byte) { guestlab_out8(GUESTLAB_PORT_PRINT_BYTE, byte); }
static inline void guestlab_print_decimal(uint32_t number) { guestlab_out32(GUESTLAB_PORT_PRINT_DECIMAL, number); }

/* The number of exits of this VM so far, this one included. */
static inline uint32_t guestlab_exit_count(void) { return guestlab_in32(GUESTLAB_PORT_EXIT_COUNT); }

/* The exits for port accesses so far, as text: `IO in: X\nIO out: Y\n`. */
static inline const char *guestlab_exit_text(void)
{
    return (const char *)(uintptr_t)guestlab_in32(GUESTLAB_PORT_EXIT_TEXT);
}

/* The low half of the host-virtual address of an object; 0 unless the run has `--allow-hva`. Two exits. */
static inline uint32_t guestlab_translate(const volatile void *object)
{
    guestlab_out32(GUESTLAB_PORT_TRANSLATE, guestlab_address(object));
    return guestlab_in32(GUESTLAB_PORT_TRANSLATE);
}

#include "guestlab_printf.h"

#endif
