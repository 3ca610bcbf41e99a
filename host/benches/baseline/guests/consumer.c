/* The consumer: each turn it takes a random number of items, from none to all that are there. */

#include "guest.h"

void __attribute__((noreturn, section(".text.entry"))) _start(void) {
    struct account account = EMPTY_ACCOUNT;
    u32 random[4];
    seed(random);
    for (;;) {
        struct ring *ring = fetch();
        for (u32 n = share(ring, ring->count, random); n > 0; n--) {
            enter(&account, ring->slots[ring->cons_p]);
            ring->cons_p = after(ring, ring->cons_p);
            ring->count--;
        }
        leave(ring, &account);
        done();
    }
}
