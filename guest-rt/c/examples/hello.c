/* Prints a line and ends. */

#include <guestlab.h>

int main(void)
{
    guestlab_printf("hello from VM %u\n", guestlab_boot_info()->vm);
    return 0;
}
