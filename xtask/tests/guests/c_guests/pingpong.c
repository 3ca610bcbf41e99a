/* Adds one to the message of the VM before. */

#include <guestlab.h>

static struct {
    uint32_t counter;
} message;

int main(void)
{
    guestlab_attach(&message, sizeof message);
    for (;;) {
        guestlab_printf("%s %u\n", guestlab_argument(0), message.counter++);
        guestlab_end_turn();
    }
}
