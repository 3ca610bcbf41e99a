/* The producer: each turn it appends a random number of items, from none to all that there is room for. */

#include "guest.h"

#define ITEMS_BELOW 100

void __attribute__((noreturn, section(".text.entry"))) _start(void) {
    struct account account = EMPTY_ACCOUNT;
    u32 random[4];
    seed(random);
    for (;;) {
        struct ring *ring = fetch();
        for (u32 n = share(ring, ring->capacity - ring->count, random); n > 0; n--) {
            u32 item = below(random, ITEMS_BELOW);
            ring->slots[ring->prod_p] = item;
            ring->prod_p = after(ring, ring->prod_p);
            ring->count++;
            enter(&account, item);
        }
        leave(ring, &account);
        done();
    }
}
