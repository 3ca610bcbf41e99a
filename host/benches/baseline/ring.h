/* The ring, as hypervisor and guests see it: the state that an `in` fetches and an `out` hands back. */

#define MAX_CAPACITY 64
#define RANDOM_ORDERS 0xFFFFFFFF

struct ring {
    unsigned capacity, prod_p, cons_p, count;
    unsigned slots[MAX_CAPACITY];
    /* With SAME_WORK: the turn's orders, which are RANDOM_ORDERS or a number of items; and how many items
     * the guest has moved, and their FNV-1a hash, as Guestlab's guests keep it. */
    unsigned orders, items, hash;
};

/* Where it all lies in a guest's memory. The hypervisor writes the seed before the first instruction
 * and the ring whenever the guest fetches it; the image is loaded at 0, where execution begins. */
#define MEMORY_SIZE 0x200000
#define RING_ADDRESS 0x10000
#define SEED_ADDRESS 0x11000
#define STACK_TOP MEMORY_SIZE

/* An `in` from the first fetches the ring and gives its address; an `out` to the second ends the turn. */
#define PORT_FETCH 0xE0
#define PORT_DONE 0xE1
