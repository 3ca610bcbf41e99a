/* The measurements, a file each. Each prints one JSON object: names and numbers. */

/* A flat binary, from a file. */
struct image {
    char bytes[RING_ADDRESS];
    size_t size;
};

struct image *read_image(const char *path);

/* exit protected|long EXITS */
void measure_exits(const char *mode, unsigned long exits);

/* life PRODUCER VMS */
void measure_life(const char *producer, unsigned long vms);

/* prodcons PRODUCER CONSUMER CAPACITY TURNS SEED [FILE]: the text goes to the file, if there is one. */
void measure_exchange(const char *producer, const char *consumer, unsigned capacity, unsigned long turns,
                      unsigned long seed, const char *text);

/* instructions PRODUCER CONSUMER CAPACITY TURNS SEED: the same run, stepped. */
void count_instructions(const char *producer, const char *consumer, unsigned capacity, unsigned long turns,
                        unsigned long seed);
