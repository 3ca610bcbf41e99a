/* Takes a random number of items, as guest-consumer does. */

#include <guestlab.h>

static struct guestlab_mailbox mailbox;

int main(void)
{
    struct guestlab_pointers *ring = &mailbox.pointers;
    struct guestlab_digest account = GUESTLAB_EMPTY_ACCOUNT;

    guestlab_attach(&mailbox, sizeof mailbox);
    for (;;) {
        for (uint32_t share = guestlab_share(&mailbox, ring->count); share > 0; share--) {
            guestlab_account(&account, mailbox.slots[ring->cons_p]);
            ring->cons_p = (ring->cons_p + 1) % ring->capacity;
            ring->count--;
        }
        mailbox.digest = account;
        guestlab_end_turn();
    }
}
