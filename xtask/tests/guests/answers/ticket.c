/* Draws three tickets at port 0x30. */

#include <guestlab.h>

int main(void)
{
    for (int i = 0; i < 3; i++)
        guestlab_printf("VM %u has ticket %u\n", guestlab_boot_info()->vm, guestlab_in32(0x30));
    return 0;
}
