/* The exchange: two VMs, a ring that only the hypervisor moves between them, a random schedule. Each turn
 * is two exits: the guest fetches the ring, and ends its turn. The run is the one that Guestlab makes of the
 * same seed, and so is the text. */

#include "vm.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

enum { PRODUCER, CONSUMER, VMS };

static const char *const ROLES[VMS] = { "producer", "consumer" };

struct exchange {
    struct vm vms[VMS];
    struct ring ring;
    unsigned long turns[VMS], moved[VMS];
    FILE *text;
};

/* SplitMix64 (Steele, Lea, Flood, 2014). */
static uint64_t next(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

static uint64_t stream(uint64_t seed, uint64_t number) {
    uint64_t state = number;
    return seed ^ next(&state);
}

struct image *read_image(const char *path) {
    struct image *image = calloc(1, sizeof *image);
    FILE *file = fopen(path, "rb");
    if (!image || !file)
        die("%s cannot be read", path);
    image->size = fread(image->bytes, 1, sizeof image->bytes, file);
    fclose(file);
    return image;
}

static void start(struct vm *vm, int kvm, enum mode mode, const char *path, uint64_t seed, int number) {
    struct image *image = read_image(path);
    create_vm(vm, kvm);
    create_memory(vm);
    create_vcpu(vm, kvm, mode);
    load(vm, image->bytes, image->size);
    free(image);
    uint64_t state = stream(seed, number);
    uint64_t words[2];
    words[0] = next(&state);
    words[1] = next(&state) | 1;
    memcpy(vm->memory + SEED_ADDRESS, words, sizeof words);
}

/* The slots: an item, or a dot where there is none. */
static void print_ring(FILE *text, const struct ring *ring) {
    fputs("ring [", text);
    for (unsigned slot = 0; slot < ring->capacity; slot++) {
        unsigned place = (slot + ring->capacity - ring->cons_p) % ring->capacity;
        if (slot > 0)
            fputc(' ', text);
        if (place < ring->count)
            fprintf(text, "%2u", ring->slots[slot]);
        else
            fputs(" .", text);
    }
    fprintf(text, "]  cons_p=%u prod_p=%u count=%u\n", ring->cons_p, ring->prod_p, ring->count);
}

/* The items that a turn moved begin at slot `first`. */
static void print_turn(const struct exchange *exchange, unsigned long turn, int width, int role,
                       unsigned first, unsigned moved) {
    FILE *text = exchange->text;
    const struct ring *ring = &exchange->ring;
    char count[16] = "0", items[4 * MAX_CAPACITY + 64];
    if (moved > 0)
        snprintf(count, sizeof count, "%c%u", role == PRODUCER ? '+' : '-', moved);
    int len = sprintf(items, "[");
    for (unsigned i = 0; i < moved; i++)
        len += sprintf(items + len, i == 0 ? "%u" : " %u", ring->slots[(first + i) % ring->capacity]);
    sprintf(items + len, "]");
    int items_width = 3 * ring->capacity + 1 < 40 ? 3 * ring->capacity + 1 : 40;
    fprintf(text, "turn %*lu  %-8s  %*s  %-*s  ", width, turn, ROLES[role],
            ring->capacity < 10 ? 2 : 3, count, items_width, items);
    print_ring(text, ring);
}

/* One turn of the VM with this role; returns the number of items that it moved. */
static unsigned take_turn(struct exchange *exchange, int role) {
    struct vm *vm = &exchange->vms[role];
    struct ring *ring = &exchange->ring;
    unsigned before = ring->count;
    run_to_port(vm, PORT_FETCH, KVM_EXIT_IO_IN);
    memcpy(vm->memory + RING_ADDRESS, ring, sizeof *ring);
    answer(vm, RING_ADDRESS);
    run_to_port(vm, PORT_DONE, KVM_EXIT_IO_OUT);
    memcpy(ring, vm->memory + RING_ADDRESS, sizeof *ring);
    unsigned moved = role == PRODUCER ? ring->count - before : before - ring->count;
    exchange->turns[role]++;
    exchange->moved[role] += moved;
    return moved;
}

static void play(struct exchange *exchange, const struct plan *plan) {
    unsigned long turns = plan->turns;
    uint64_t schedule = stream(plan->seed, 0);
    int width = snprintf(NULL, 0, "%lu", turns);
    for (unsigned long turn = 1; turn <= turns; turn++) {
        int role = next(&schedule) >> 63;
        unsigned first = role == PRODUCER ? exchange->ring.prod_p : exchange->ring.cons_p;
        unsigned moved = take_turn(exchange, role);
        if (exchange->text)
            print_turn(exchange, turn, width < 2 ? 2 : width, role, first, moved);
    }
}

static void begin(struct exchange *exchange, const struct plan *plan) {
    const char *paths[VMS] = { plan->producer, plan->consumer };
    if (plan->capacity < 1 || plan->capacity > MAX_CAPACITY)
        die("a capacity is 1 to %d", MAX_CAPACITY);
    int kvm = open_kvm();
    exchange->ring.capacity = plan->capacity;
    exchange->ring.orders = RANDOM_ORDERS;
    for (int role = 0; role < VMS; role++)
        start(&exchange->vms[role], kvm, plan->mode, paths[role], plan->seed, role + 1);
}

void measure_exchange(const struct plan *plan, const char *text) {
    struct exchange exchange = { 0 };
    double began = cpu_time();
    if (text && !(exchange.text = fopen(text, "w")))
        die("%s cannot be written", text);
    begin(&exchange, plan);
    play(&exchange, plan);
    if (exchange.text && fclose(exchange.text) != 0)
        die("%s cannot be written", text);
    double spent = cpu_time() - began;
    unsigned long items = exchange.moved[PRODUCER] + exchange.moved[CONSUMER];
    unsigned long exits = exchange.vms[PRODUCER].exits + exchange.vms[CONSUMER].exits;
    printf("{\"turns_per_second\": %.3f, \"items_per_second\": %.3f, \"exits_per_turn\": %.4f}\n",
           plan->turns / spent, items / spent, (double)exits / plan->turns);
}

void count_instructions(const struct plan *plan) {
    struct exchange exchange = { 0 };
    begin(&exchange, plan);
    for (int role = 0; role < VMS; role++)
        exchange.vms[role].stepping = 1;
    play(&exchange, plan);
    printf("{");
    for (int role = 0; role < VMS; role++) {
        double steps = exchange.vms[role].steps;
        printf("%s\"%s_per_turn\": %.4f, \"%s_per_item\": %.4f", role == 0 ? "" : ", ", ROLES[role],
               steps / exchange.turns[role], ROLES[role], steps / exchange.moved[role]);
    }
    printf("}\n");
}
