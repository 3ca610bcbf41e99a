/* Uses each function of guestlab.h, and each way to fail; its first argument says which. */

#include <guestlab.h>

static struct guestlab_mailbox mailbox;
static volatile uint32_t ticks;
static volatile uint32_t one = 1;
static volatile int32_t most = INT32_MAX;

static bool is(const char *a, const char *b)
{
    while (*a != 0 && *a == *b)
        a++, b++;
    return *a == *b;
}

static void tick(struct guestlab_frame *frame)
{
    guestlab_assert(guestlab_frame_address(frame) >= GUESTLAB_IMAGE_BASE);
    ticks++;
}

/* Continues behind `ud2`. */
static void skip(struct guestlab_frame *frame)
{
    guestlab_frame_set_address(frame, guestlab_frame_address(frame) + 2);
}

static void services(void)
{
    guestlab_printf("%d|%5d|%-3d|%03u|%x|%c|%s|%%|%lld|%llu|%ld|%zu\n", -1, -12, 5, 7, 0xBEEF, 'c', "text",
                    (long long)INT64_MIN, (unsigned long long)UINT64_MAX, -3L, sizeof mailbox);
    guestlab_printf("%p %5s|%-5s|%05d\n", (void *)0x1234, "ab", "cd", -42);
    guestlab_write("bytes\n", 6);
    guestlab_print_byte('!');
    guestlab_print_byte('\n');
    guestlab_print_decimal(42);
    uint32_t exits = guestlab_exit_count();
    guestlab_assert(guestlab_exit_count() == exits + 1);
    guestlab_print(guestlab_exit_text());
    guestlab_assert(guestlab_translate(&ticks) == 0);
    guestlab_log(GUESTLAB_INFO, "services", "a record");
    guestlab_assert(guestlab_boot_info()->magic == GUESTLAB_BOOT_MAGIC && guestlab_boot_info()->vm == 1);
    guestlab_assert(is(guestlab_argument(1), "two words") && guestlab_argument(2) == NULL);
    for (uint32_t i = 0; i < 100; i++)
        guestlab_assert(guestlab_random_below(6) < 6);
    guestlab_assert(guestlab_random() != guestlab_random());

    guestlab_set_handler(GUESTLAB_VECTOR_TIMER, tick);
    guestlab_timer_set(100);
    while (ticks == 0)
        guestlab_wait();
    guestlab_timer_set(100);
    guestlab_interrupts_on();
    while (ticks == 1) {
    }
    guestlab_interrupts_off();
    guestlab_assert(guestlab_clock() >= 200);
    guestlab_set_handler(GUESTLAB_VECTOR_INVALID_OPCODE, skip);
    __asm__ volatile("ud2");
    /* Wide arithmetic, for which the compiler calls the library. */
    volatile uint64_t wide = UINT64_C(10000000000);
    guestlab_printf("%llu\n", (unsigned long long)(wide / 3 * 3 + wide % 3));
#ifndef __x86_64__
    volatile double half = 0.5;
    guestlab_printf("%d\n", (int)(half * 5 * 2));
#endif
}

int main(void)
{
    const char *what = guestlab_argument(0);
    if (what == NULL)
        return 1;
    if (is(what, "services"))
        services();
    if (is(what, "panic"))
        guestlab_panic("gives up");
    if (is(what, "assert"))
        guestlab_assert(one == 2);
    if (is(what, "index"))
        mailbox.slots[one + 63] = 1;
    if (is(what, "overflow"))
        guestlab_printf("%d\n", most + (int)one);
    if (is(what, "wide"))
        guestlab_printf("%lld\n", -((long long)INT64_MIN + (long long)one - 1));
    if (is(what, "divide"))
        guestlab_printf("%d\n", most / (int)(one - 1));
    if (is(what, "shift"))
        guestlab_printf("%d\n", (int)one << (one + 31));
    if (is(what, "null"))
        *(volatile uint32_t *)(uintptr_t)(one - 1) = 1;
    if (is(what, "vector"))
        guestlab_set_handler(99, skip);
    if (is(what, "exit"))
        guestlab_exit(7);
    if (is(what, "return"))
        return 9;
    return 0;
}
