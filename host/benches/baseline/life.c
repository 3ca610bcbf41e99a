/* A VM's life, from nothing to its first exit from C code, and its end; the mean of many, one after
 * another. */

#include "vm.h"

#include <stdio.h>

#include "measure.h"

enum stage { CREATE, LOAD, FIRST_EXIT, DROP, STAGES };

static const char *const NAMES[STAGES] = { "create_us", "load_us", "first_exit_us", "drop_us" };

/* Lives once, and adds what each stage took. */
static void live(int kvm, enum mode mode, const struct image *image, double spent[STAGES]) {
    struct vm vm;
    double at[STAGES + 1];
    at[CREATE] = now();
    create_vm(&vm, kvm);
    create_memory(&vm);
    create_vcpu(&vm, kvm, mode);
    at[LOAD] = now();
    load(&vm, image->bytes, image->size);
    at[FIRST_EXIT] = now();
    run_to_port(&vm, PORT_FETCH, KVM_EXIT_IO_IN);
    at[DROP] = now();
    drop(&vm);
    at[STAGES] = now();
    for (int stage = 0; stage < STAGES; stage++)
        spent[stage] += at[stage + 1] - at[stage];
}

void measure_life(enum mode mode, const char *producer, unsigned long vms) {
    int kvm = open_kvm();
    const struct image *image = read_image(producer);
    double warm_up[STAGES] = { 0 }, spent[STAGES] = { 0 }, started = 0;
    live(kvm, mode, image, warm_up);
    for (unsigned long i = 0; i < vms; i++)
        live(kvm, mode, image, spent);
    for (int stage = 0; stage < STAGES; stage++) {
        printf("%s\"%s\": %.3f", stage == 0 ? "{" : ", ", NAMES[stage], spent[stage] * 1e6 / vms);
        if (stage != DROP)
            started += spent[stage];
    }
    printf(", \"started_us\": %.3f}\n", started * 1e6 / vms);
}
