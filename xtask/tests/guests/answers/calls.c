/* Makes each of the six hypercalls of part 1b. */

#include <guestlab.h>

int main(void)
{
    for (const char *at = "Hello, world!\n"; *at != 0; at++)
        guestlab_print_byte((uint8_t)*at);
    guestlab_print_decimal(42);
    uint32_t before = guestlab_exit_count();
    guestlab_out32(GUESTLAB_PORT_PRINT_STRING, guestlab_address("one exit\n"));
    uint32_t after = guestlab_exit_count();
    guestlab_printf("exits: %u\n", after - before);
    guestlab_print(guestlab_exit_text());
    guestlab_printf("translated: 0x%x\n", guestlab_translate((void *)0xF0000000));
    return 0;
}
