/* Appends random numbers, as guest-producer does: the same seed makes the same run. */

#include <guestlab.h>

#define ITEMS_BELOW 100

static struct guestlab_mailbox mailbox;

int main(void)
{
    struct guestlab_pointers *ring = &mailbox.pointers;
    struct guestlab_digest account = GUESTLAB_EMPTY_ACCOUNT;

    guestlab_attach(&mailbox, sizeof mailbox);
    for (;;) {
        for (uint32_t share = guestlab_share(&mailbox, ring->capacity - ring->count); share > 0; share--) {
            uint32_t item = guestlab_random_below(ITEMS_BELOW);
            mailbox.slots[ring->prod_p] = item;
#ifdef NEVER_WRAPS
            ring->prod_p++;
#else
            ring->prod_p = (ring->prod_p + 1) % ring->capacity;
#endif
            ring->count++;
            guestlab_account(&account, item);
        }
        mailbox.digest = account;
        guestlab_end_turn();
    }
}
