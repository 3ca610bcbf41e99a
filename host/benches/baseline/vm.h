/* A VM with one CPU, as KVM's documentation has one make it: raw ioctls and nothing else. */

#include <linux/kvm.h>
#include <stddef.h>

#include "ring.h"

struct vm {
    int fd, vcpu_fd;
    unsigned char *memory;
    struct kvm_run *run;
    size_t run_size;
    unsigned long exits;
    int stepping;
    unsigned long steps;
};

enum mode { REAL, PROTECTED, LONG };

/* The KVM device, once for all VMs. */
int open_kvm(void);

/* The stages of a VM's life, in order. Whatever fails ends the program with a message. */
void create_vm(struct vm *vm, int kvm);
void create_memory(struct vm *vm);
void create_vcpu(struct vm *vm, int kvm, enum mode mode);
void load(struct vm *vm, const void *image, size_t size);
void drop(struct vm *vm);

/* Runs the guest up to its next access of this port, which must be the next exit there is. */
void run_to_port(struct vm *vm, unsigned port, int direction);

/* What an `in` reads. */
void answer(struct vm *vm, unsigned value);

/* The time in seconds, from some point in the past. */
double now(void);

/* The CPU time of this process in seconds, its guests' included. */
double cpu_time(void);

/* Ends the program with what went wrong. */
void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...);
