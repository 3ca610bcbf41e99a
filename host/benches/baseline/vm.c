#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define TSS_ADDRESS 0xFFFBD000

/* Page tables of long mode: one of each level, and one large page of 2 MiB, which is all of memory. */
#define PML4 0x2000
#define PDPT 0x3000
#define PD 0x4000
#define PRESENT_WRITABLE 3
#define LARGE (1 << 7)

#define CR0_PE (1 << 0)
#define CR0_PG (1u << 31)
#define CR4_PAE (1 << 5)
#define EFER_LME (1 << 8)
#define EFER_LMA (1 << 10)

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "baseline: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    exit(1);
}

static int call(int fd, unsigned long request, unsigned long argument, const char *name) {
    int result = ioctl(fd, request, argument);
    if (result < 0)
        die("%s: %s", name, strerror(errno));
    return result;
}

#define CALL(fd, request, argument) call(fd, request, (unsigned long)(argument), #request)

int open_kvm(void) {
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm < 0)
        die("/dev/kvm: %s", strerror(errno));
    if (CALL(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
        die("KVM's API has another version");
    return kvm;
}

void create_vm(struct vm *vm, int kvm) {
    memset(vm, 0, sizeof *vm);
    vm->fd = CALL(kvm, KVM_CREATE_VM, 0);
    CALL(vm->fd, KVM_SET_TSS_ADDR, TSS_ADDRESS);
}

void create_memory(struct vm *vm) {
    vm->memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (vm->memory == MAP_FAILED)
        die("mmap: %s", strerror(errno));
    struct kvm_userspace_memory_region region = {
        .memory_size = MEMORY_SIZE,
        .userspace_addr = (unsigned long)vm->memory,
    };
    CALL(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static void set_segments(struct kvm_sregs *sregs, enum mode mode) {
    struct kvm_segment code = {
        .limit = 0xFFFFFFFF, .selector = 1 << 3, .present = 1, .type = 11, .s = 1, .g = 1,
        .db = mode == PROTECTED, .l = mode == LONG,
    };
    struct kvm_segment data = code;
    data.type = 3;
    data.selector = 2 << 3;
    data.db = 1;
    data.l = 0;
    sregs->cs = code;
    sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
}

static void set_page_tables(struct vm *vm, struct kvm_sregs *sregs) {
    *(unsigned long *)(vm->memory + PML4) = PDPT | PRESENT_WRITABLE;
    *(unsigned long *)(vm->memory + PDPT) = PD | PRESENT_WRITABLE;
    *(unsigned long *)(vm->memory + PD) = PRESENT_WRITABLE | LARGE;
    sregs->cr3 = PML4;
    sregs->cr4 |= CR4_PAE;
    sregs->cr0 |= CR0_PG;
    sregs->efer |= EFER_LME | EFER_LMA;
}

void create_vcpu(struct vm *vm, int kvm, enum mode mode) {
    vm->vcpu_fd = CALL(vm->fd, KVM_CREATE_VCPU, 0);
    vm->run_size = CALL(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    vm->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu_fd, 0);
    if (vm->run == MAP_FAILED)
        die("mmap of a vCPU: %s", strerror(errno));
    struct kvm_sregs sregs;
    CALL(vm->vcpu_fd, KVM_GET_SREGS, &sregs);
    if (mode == REAL) {
        sregs.cs.base = sregs.cs.selector = 0;
    } else {
        set_segments(&sregs, mode);
        sregs.cr0 |= CR0_PE;
    }
    if (mode == LONG)
        set_page_tables(vm, &sregs);
    CALL(vm->vcpu_fd, KVM_SET_SREGS, &sregs);
    struct kvm_regs regs = { .rflags = 2, .rsp = STACK_TOP };
    CALL(vm->vcpu_fd, KVM_SET_REGS, &regs);
}

void load(struct vm *vm, const void *image, size_t size) {
    if (size > PML4)
        die("the image does not fit");
    memcpy(vm->memory, image, size);
}

void drop(struct vm *vm) {
    munmap(vm->run, vm->run_size);
    close(vm->vcpu_fd);
    close(vm->fd);
    munmap(vm->memory, MEMORY_SIZE);
}

/* The next entry is one instruction. KVM loses the wish over some instructions: it is said each time. */
static void ask_for_step(struct vm *vm) {
    struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP };
    CALL(vm->vcpu_fd, KVM_SET_GUEST_DEBUG, &debug);
}

/* Completes the last exit's instruction without beginning another: an entry that leaves at once. */
static void complete(struct vm *vm) {
    vm->run->immediate_exit = 1;
    ioctl(vm->vcpu_fd, KVM_RUN, 0);
    vm->run->immediate_exit = 0;
}

static void step_to_exit(struct vm *vm) {
    complete(vm);
    do {
        ask_for_step(vm);
        CALL(vm->vcpu_fd, KVM_RUN, 0);
        vm->steps++;
    } while (vm->run->exit_reason == KVM_EXIT_DEBUG);
}

void run_to_port(struct vm *vm, unsigned port, int direction) {
    if (vm->stepping)
        step_to_exit(vm);
    else
        CALL(vm->vcpu_fd, KVM_RUN, 0);
    vm->exits++;
    struct kvm_run *run = vm->run;
    if (run->exit_reason != KVM_EXIT_IO || run->io.port != port || run->io.direction != direction)
        die("the guest left with exit reason %u, and not at port %#x", run->exit_reason, port);
}

void answer(struct vm *vm, unsigned value) {
    *(unsigned *)((char *)vm->run + vm->run->io.data_offset) = value;
}

static double read_clock(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

double now(void) { return read_clock(CLOCK_MONOTONIC); }

double cpu_time(void) { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }
