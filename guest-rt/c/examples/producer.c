/*
 * A producer: in each of its turns it puts one number into the ring, if there is room.
 *
 * The ring belongs to the hypervisor. Before a turn of this VM the hypervisor copies the ring into the VM's mailbox. When
 * the turn has ended it copies the mailbox back and checks it: a producer may only append items.
 *
 * Next steps:
 *
 * 1. Run it, one item per turn:
 *        cargo xtask run prodcons --producer first-producer --preset basic
 * 2. Append as many numbers as `mailbox.quota` tells, if there is room. Then this ends with `audit: ok`, too:
 *        cargo xtask run prodcons --producer first-producer --preset mass
 * 3. GUESTLAB_QUOTA_RANDOM means a random number of random items (guestlab_random_below). Then this reports nothing more:
 *        cargo xtask explore prodcons --producer first-producer
 */

#include <guestlab.h>

static struct guestlab_mailbox mailbox;

int main(void)
{
    struct guestlab_pointers *ring = &mailbox.pointers;
    struct guestlab_digest account = GUESTLAB_EMPTY_ACCOUNT;
    uint32_t item = 1;

    /* The first turn begins here. */
    guestlab_attach(&mailbox, sizeof mailbox);
    for (;;) {
        if (ring->count < ring->capacity) {
            /* `prod_p` is the slot for the next item. After the last slot comes the first one. */
            mailbox.slots[ring->prod_p] = item;
            ring->prod_p = (ring->prod_p + 1) % ring->capacity;
            ring->count++;
            /* The hypervisor compares this account of the items with its own. */
            guestlab_account(&account, item);
            item++;
        }
        mailbox.digest = account;
        /* This returns when the next turn has begun. */
        guestlab_end_turn();
    }
}
