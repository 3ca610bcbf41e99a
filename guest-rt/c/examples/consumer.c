/*
 * A consumer: in each of its turns it takes one number from the ring, if there is one.
 *
 * The ring belongs to the hypervisor. Before a turn of this VM the hypervisor copies the ring into the VM's mailbox. When
 * the turn has ended it copies the mailbox back and checks it: a consumer may only take items from the front.
 *
 * Next steps:
 *
 * 1. Run it, one item per turn:
 *        cargo xtask run prodcons --consumer first-consumer --preset basic
 * 2. Take as many numbers as `mailbox.quota` tells, if there are as many. Then this ends with `audit: ok`, too:
 *        cargo xtask run prodcons --consumer first-consumer --preset mass
 * 3. GUESTLAB_QUOTA_RANDOM means a random number of items (guestlab_random_below). Then this reports nothing more:
 *        cargo xtask explore prodcons --consumer first-consumer
 */

#include <guestlab.h>

static struct guestlab_mailbox mailbox;

int main(void)
{
    struct guestlab_pointers *ring = &mailbox.pointers;
    struct guestlab_digest account = GUESTLAB_EMPTY_ACCOUNT;

    /* The first turn begins here. */
    guestlab_attach(&mailbox, sizeof mailbox);
    for (;;) {
        if (ring->count > 0) {
            /* `cons_p` is the slot of the next item. After the last slot comes the first one. */
            uint32_t item = mailbox.slots[ring->cons_p];
            ring->cons_p = (ring->cons_p + 1) % ring->capacity;
            ring->count--;
            /* The hypervisor compares this account of the items with its own. */
            guestlab_account(&account, item);
        }
        mailbox.digest = account;
        /* This returns when the next turn has begun. */
        guestlab_end_turn();
    }
}
