/* The measurements, a file each. Each prints one JSON object: names and numbers. */

/* A flat binary, from a file. */
struct image {
    char bytes[RING_ADDRESS];
    size_t size;
};

struct image *read_image(const char *path);

/* exit MODE EXITS */
void measure_exits(enum mode mode, unsigned long exits);

/* life MODE PRODUCER VMS */
void measure_life(enum mode mode, const char *producer, unsigned long vms);

/* What an exchange depends on. */
struct plan {
    enum mode mode;
    const char *producer, *consumer;
    unsigned capacity;
    unsigned long turns, seed;
};

/* prodcons MODE PRODUCER CONSUMER CAPACITY TURNS SEED [FILE]: the text goes to the file, if there is one. */
void measure_exchange(const struct plan *plan, const char *text);

/* instructions MODE PRODUCER CONSUMER CAPACITY TURNS SEED: the same run, stepped. */
void count_instructions(const struct plan *plan);
